// Integer expressions that only move bits: found by looking at all their values, whatever operations they are written with.
#pragma once
#include <vector>

#include "compiler/formats/enumerate.h"

namespace lumen::formats {

// Where bit i of a value comes from.
struct BitSource {
  int source = -1;        // source bit; -1: constant
  bool inverted = false;  // the value's bit is the opposite of the source bit; for constants: the bit itself
};
struct BitField {
  std::vector<BitSource> bits;  // lowest first
  bool exact = false;           // every bit is one source bit, its opposite or a constant
};

// `v.of[output]` must hold integers in [0, 1 << width).
BitField find_bit_field(const Values& v, size_t output, int width);

}  // namespace lumen::formats
