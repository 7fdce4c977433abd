// Which bits of a block an expression depends on, result bit by result bit. A source bit has number 8 * byte + bit (bit 0 lowest).
// Conservative: a bit may be listed that does not matter; none is left out that does.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "compiler/ir/format.h"

namespace lumen::formats {

using BitList = std::vector<int>;  // source bits, ascending
BitList unite(const BitList& a, const BitList& b);

// Dependences of one value: bit i of it is the constant ones >> i & 1 where on(i) is empty.
struct NodeBits {
  std::vector<BitList> deps;  // one a bit of the type (comparisons and Bool: one); empty: every bit depends on `all`
  uint64_t ones = 0;
  BitList all;  // union
  const BitList& on(int i) const { return deps.empty() ? all : deps[static_cast<size_t>(i)]; }
};

class BitAnalysis {
 public:
  explicit BitAnalysis(const ir::FormatType& f) : f_(f) {}
  const NodeBits& of(const ir::ExprPtr& e);
  const BitList& support(const ir::ExprPtr& e) { return of(e).all; }

 private:
  NodeBits compute(const ir::ExprPtr& e);
  NodeBits field(const ir::Expr& e);
  NodeBits operation(const ir::Expr& e);
  NodeBits spread(const ir::Expr& e);
  const ir::FormatType& f_;
  std::unordered_map<const ir::Expr*, NodeBits> memo_;
  std::vector<ir::ExprPtr> keep_;
};

}  // namespace lumen::formats
