// How a weight lies in memory for a lowered dot product: rows interleaved so that vector lanes are rows, codes split from scales.
// Derived from the format's integer form and the schedule's lane count alone; the same for every format of the same form.
//
// A tensor is cut into groups of `rows` rows; a group into chunks of `chunk` elements along k. A chunk holds
//   float levels    entry e (k / extent), row r at  level.offset + (e * rows + r) * size
//   integer levels  extent 16:  (unit u = k / 32, half h) at  level.offset + ((u * rows + r) * 2 + h) * size   [pairs]
//                   else:       level.offset + (e * rows + r) * size
//   codes           unit u at codes + u * unit_bytes; in a unit the planes one after the other (widest first); a plane of b bits
//                   is b vectors of `rows` dwords; byte i of dword r of vector v holds, at bits [b*s, b*s + b), plane bits of
//                   element 4 * (v + b * s) + i of row r, s = 0 .. 8/b - 1. The first plane holds the low bits of a code.
// Plain float weights have no levels: element (k, r) at (k * rows + r) * size, chunk = 1.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "compiler/ir/format.h"

namespace lumen::formats {

struct PackedLevel {
  int64_t offset = 0;  // bytes from the start of the chunk
  DType stored = DType::F32;
  int extent = 0;
  bool pairs = false;
};

struct PackedLayout {
  bool integer = false;
  int rows = 8;
  int chunk = 1;             // elements
  int64_t chunk_bytes = 0;   // of `rows` rows
  int64_t k = 0, n = 0, groups = 0;  // groups: padded up to whole tiles
  std::vector<PackedLevel> scale, offset;  // parallel to IntForm::scale, ::offset
  int64_t codes = 0;
  int unit_bytes = 0;
  std::vector<int> planes;   // bits each
  DType element = DType::F32;  // float weights
  int64_t group_bytes() const { return k / chunk * chunk_bytes; }
  int64_t bytes() const { return groups * group_bytes(); }
};

inline constexpr int kUnit = 32;  // elements

// True where a weight of this type with rows of k elements takes the integer path.
bool has_integer_layout(const ir::Type& weight);
// `tile_groups`: groups of one schedule tile; the number of groups is padded up to a multiple of it.
PackedLayout packed_layout(const ir::Type& weight, int rows, int tile_groups);
// Element type that a weight without an integer layout is packed in: its own for plain floats, F32 for formats.
PackedLayout packed_float_layout(const ir::Type& weight, int rows, int tile_groups, DType element);

// Writes groups [g0, g1) of the packed tensor to `out` (the start of the whole packed tensor). `row(n)` gives the n-th row in the
// storage of weight's own type.
void pack(const ir::Type& weight, const PackedLayout& layout, const std::function<const uint8_t*(int64_t n)>& row, int64_t g0, int64_t g1,
          uint8_t* out);

}  // namespace lumen::formats
