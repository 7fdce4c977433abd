// Sizes of formatted rows and the places of planes in them.
#include "compiler/ir/format.h"

#include "base/assert.h"

namespace lumen::ir {
namespace {

int64_t plane_bytes(const FormatField& f, int64_t k) {
  int per = f.per > 0 ? f.per : 1;
  return (k + per - 1) / per * f.count * size_of(f.type);
}
int64_t round_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

}  // namespace

int64_t plane_offset(const FormatType& f, int field, int64_t k) {
  LUMEN_ASSERT(f.row_planes && field >= 0 && field <= static_cast<int>(f.fields.size()));
  int64_t at = 0;
  for (int i = 0; i < field; ++i) at = round_up(at + plane_bytes(f.fields[i], k), 4);
  return at;
}

int64_t row_bytes(const FormatType& f, int64_t k) {
  LUMEN_ASSERT(k % f.block == 0);
  if (!f.row_planes) return k / f.block * f.block_bytes;
  return round_up(plane_offset(f, static_cast<int>(f.fields.size()), k), 64);
}

}  // namespace lumen::ir
