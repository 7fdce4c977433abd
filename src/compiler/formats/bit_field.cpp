// A bit is a copy of source bit s where both agree under every setting.
#include "compiler/formats/bit_field.h"

namespace lumen::formats {
namespace {

bool find_source(const Values& v, const std::vector<double>& values, int bit, BitSource& out) {
  auto at = [&](size_t s) { return static_cast<int64_t>(values[s]) >> bit & 1; };
  bool constant = true;
  for (size_t s = 1; s < values.size() && constant; ++s) constant = at(s) == at(0);
  if (constant) {
    out = {-1, at(0) != 0};
    return true;
  }
  for (size_t i = 0; i < v.bits.size(); ++i) {
    bool inverted = at(0) != 0, same = true;
    for (size_t s = 0; s < values.size() && same; ++s) same = (at(s) != 0) == (((s >> i & 1) != 0) != inverted);
    if (!same) continue;
    out = {v.bits[i], inverted};
    return true;
  }
  return false;
}

}  // namespace

BitField find_bit_field(const Values& v, size_t output, int width) {
  BitField f;
  f.exact = true;
  f.bits.resize(static_cast<size_t>(width));
  for (int i = 0; i < width; ++i) f.exact &= find_source(v, v.of[output], i, f.bits[static_cast<size_t>(i)]);
  return f;
}

}  // namespace lumen::formats
