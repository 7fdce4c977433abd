// The two halves of an integer form, found from the terms of all elements: codes and levels.
#pragma once
#include <string>
#include <vector>

#include "compiler/formats/terms.h"

namespace lumen::formats {

// Everything classification knows about one format.
struct Subject {
  const ir::FormatType& f;
  const BlockMap& map;
  Interner& intern;
  BitAnalysis& bits;
  TermMaker& maker;
  Renamer& rename;
};

// Largest g = odd * 2^n with every value an integer multiple of it; 0 where there is none (no value, all zero, infinities).
double common_unit(const std::vector<double>& values);

// Fills block, bits, raw_max, bias, codebook and raw of `form`. `codes`: one for each kind of element, of its representative;
// that of element k is unit * (code(k) + bias). Empty result: success.
std::string find_codes(Subject& s, const std::vector<ir::ExprPtr>& codes, ir::IntForm& form, double& unit);

// Levels of one product, one term an element (its code is not looked at). At most one float and one integer level; the integer
// one is kept only where it fits i16 and sums of 32 products of it with values up to `code_abs` * 127 fit i32.
// `always`: give a constant level rather than an empty list.
std::string find_levels(Subject& s, const std::vector<Term>& terms, double code_abs, bool always, std::vector<ir::ScaleLevel>& levels);

}  // namespace lumen::formats
