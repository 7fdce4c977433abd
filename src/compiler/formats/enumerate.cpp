// Sharing of equal expressions, and values by trying every setting of the bits.
#include "compiler/formats/enumerate.h"

#include <algorithm>

namespace lumen::formats {

ir::ExprPtr Interner::operator()(const ir::ExprPtr& e) {
  return ir::rewrite(e, [this](const ir::ExprPtr& n) { return node(n); });
}

ir::ExprPtr Interner::node(const ir::ExprPtr& e) {
  auto [lo, hi] = nodes_.equal_range(e->hash);
  for (auto it = lo; it != hi; ++it)
    if (ir::equal(it->second, e)) return it->second;
  nodes_.emplace(e->hash, e);
  return e;
}

bool enumerate_values(const ir::FormatType& f, const std::vector<ir::ExprPtr>& outputs, const BitList& bits, Values& v, std::string& why) {
  if (static_cast<int>(bits.size()) > kMaxEnumeratedBits) {
    why = "it depends on " + std::to_string(bits.size()) + " bits, at most " + std::to_string(kMaxEnumeratedBits) + " are enumerated";
    return false;
  }
  BlockProgram program(f, outputs);
  if (why = program.error(); !why.empty()) return false;
  v.bits = bits;
  v.of.assign(outputs.size(), std::vector<double>(1ull << bits.size()));
  std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes), 0);
  for (size_t s = 0; s < 1ull << bits.size(); ++s) {
    for (size_t i = 0; i < bits.size(); ++i) {
      uint8_t mask = static_cast<uint8_t>(1u << (bits[i] % 8));
      uint8_t& byte = block[static_cast<size_t>(bits[i] / 8)];
      byte = static_cast<uint8_t>(s >> i & 1 ? byte | mask : byte & ~mask);
    }
    program.run(block.data());
    if (!program.in_range()) {
      why = "for some contents of a block it reads past the end of a field or a table, or divides by zero";
      return false;
    }
    for (size_t o = 0; o < outputs.size(); ++o) v.of[o][s] = program.number(o);
  }
  return true;
}

}  // namespace lumen::formats
