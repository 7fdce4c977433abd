// A value as a sum of terms, each a constant times levels times a code: what classification reads.
#pragma once
#include <string>
#include <vector>

#include "compiler/formats/enumerate.h"

namespace lumen::formats {

struct Term {
  double factor = 1;
  std::vector<ir::ExprPtr> levels;  // interned, any number type, depend on level bits only; sorted by sort_levels
  ir::ExprPtr code;                 // F32 or integer, depends on code bits only; null: 1
};

// Smallest interval that holds the expression's values, where one is known.
struct Interval {
  double lo = 0, hi = 0;
  bool known = false;
};

class TermMaker {
 public:
  TermMaker(const ir::FormatType& f, const BlockMap& map, BitAnalysis& bits, Interner& intern)
      : f_(f), map_(map), bits_(bits), intern_(intern) {}
  // Terms of a kind's representative, no two with the same levels and both or neither with a code. Empty error: success.
  std::vector<Term> terms(const BlockMap::Kind& kind, std::string& error);
  Interval interval(const ir::ExprPtr& e);

 private:
  std::vector<Term> split(const ir::ExprPtr& e);
  std::vector<Term> product(const std::vector<Term>& a, const std::vector<Term>& b);
  std::vector<Term> select(const ir::ExprPtr& e);
  std::vector<Term> fail(const std::string& why);
  void levels_of(const ir::ExprPtr& e, Term& t);
  bool exact(const ir::ExprPtr& e);  // the integer operation never wraps
  Interval compute_interval(const ir::ExprPtr& e);
  void merge(std::vector<Term>& terms);

  const ir::FormatType& f_;
  const BlockMap& map_;
  BitAnalysis& bits_;
  Interner& intern_;
  std::unordered_map<const ir::Expr*, Interval> intervals_;
  std::string error_;
};

ir::ExprPtr to_f32(ir::ExprPtr e);
// Interned expressions in one order, the same in every run of the program wherever hashes differ.
void sort_levels(std::vector<ir::ExprPtr>& levels);

}  // namespace lumen::formats
