// Expressions that differ only in the field entries they read have the same key: what is found about one holds for the others.
#pragma once
#include <algorithm>
#include <bit>

#include "compiler/formats/enumerate.h"

namespace lumen::formats {

// The expression's structure without the indices of the field entries it reads, which go to `leaves` in the order they are met.
class ShapeKey {
 public:
  std::vector<uint64_t> key;
  std::vector<Leaf> leaves;
  explicit ShapeKey(const ir::ExprPtr& e) { add(e); }

 private:
  uint64_t add(const ir::ExprPtr& e) {
    auto it = number_.find(e.get());
    if (it != number_.end()) return it->second;
    bool leaf = e->kind == ir::Ek::Field && e->args[0]->kind == ir::Ek::Int;
    std::vector<uint64_t> args;
    for (size_t i = 0; i < e->args.size() && !leaf; ++i) args.push_back(add(e->args[i]));
    key.insert(key.end(), {static_cast<uint64_t>(e->kind), static_cast<uint64_t>(e->type), static_cast<uint64_t>(e->op),
                           static_cast<uint64_t>(e->ival), std::bit_cast<uint64_t>(e->fval), reinterpret_cast<uint64_t>(e->table.get())});
    key.insert(key.end(), args.begin(), args.end());
    if (e->kind == ir::Ek::Field && !leaf) key.push_back(reinterpret_cast<uint64_t>(e.get()));  // any entry, by the data: like no other
    if (leaf) {
      Leaf l{static_cast<int>(e->ival), e->args[0]->ival};
      size_t at = static_cast<size_t>(std::find(leaves.begin(), leaves.end(), l) - leaves.begin());
      if (at == leaves.size()) leaves.push_back(l);
      key.push_back(at);
    }
    return number_[e.get()] = number_.size();
  }
  std::unordered_map<const ir::Expr*, uint64_t> number_;
};

}  // namespace lumen::formats
