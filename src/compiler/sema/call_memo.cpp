// A model calls the same function with arguments of the same types in every layer. What a call emitted is kept as a template and
// repeated with other operands: the body is evaluated once, and its expressions are shared, which later passes make use of.
#include <algorithm>

#include "compiler/sema/evaluator.h"

namespace lumen::sema {

// Everything that the values a call emits depend on, apart from which tensors the arguments are; empty: not to be kept. `operands`
// receives the ids of the tensors and states.
std::string Evaluator::memo_key(const ast::FnDecl& fn, const Scope& scope, std::vector<int>& operands) const {
  std::string key = fn.name + "@" + std::to_string(reinterpret_cast<uintptr_t>(&fn));
  auto operand = [&](int id) {
    size_t i = 0;
    while (i < operands.size() && operands[i] != id) ++i;
    if (i == operands.size()) operands.push_back(id);
    const ir::Value& v = fn_->values[static_cast<size_t>(id)];
    return "$" + std::to_string(i) + ":" + std::to_string(static_cast<int>(v.role)) + std::to_string(static_cast<int>(v.kind));
  };
  for (const auto& [name, v] : scope.names) {
    key += "|" + name + "=" + std::to_string(static_cast<int>(v.kind)) + ":";
    switch (v.kind) {
      case Vk::Static: key += std::to_string(v.value.index()) + to_text(v.value); break;
      case Vk::Scalar: key += ir::print(v.expr); break;
      case Vk::Element: key += to_string(v.type); break;
      case Vk::Tensor:
        if (v.id < 0) return "";
        key += to_string(v.type) + operand(v.id);
        break;
      case Vk::Paged: key += to_string(v.type) + operand(v.state->id); break;
      default: return "";
    }
  }
  return key;
}

// Keeps values [before, end) of the function as what a call with this key emits, if nothing else happened.
void Evaluator::memorise(const std::string& key, const std::vector<int>& operands, const Scope& scope, size_t before, const Val& result) {
  if (result.kind != Vk::Tensor || result.id < 0) return;
  for (const auto& [name, v] : scope.names)
    if (v.kind == Vk::Paged && std::find(operands.begin(), operands.end(), v.state->id) == operands.end()) return;  // the call changed a state
  CallMemo memo;
  auto encoded = [&](int id) {
    for (size_t i = 0; i < operands.size(); ++i)
      if (operands[i] == id) return -1 - static_cast<int>(i);
    if (id >= static_cast<int>(before)) return id - static_cast<int>(before);
    const ir::Value& v = fn_->values[static_cast<size_t>(id)];
    return v.kind == ir::ValueKind::Param && v.role == ir::Role::Input ? kOutside + id : kUnknown;
  };
  for (size_t i = before; i < fn_->values.size(); ++i) {
    ir::Value v = fn_->values[i];
    if (v.kind != ir::ValueKind::Compute && v.kind != ir::ValueKind::Reshape) return;  // a parameter made on first use, a state
    for (int& o : v.operands)
      if ((o = encoded(o)) == kUnknown) return;
    auto base = base_names_.find(static_cast<int>(i));
    if (base != base_names_.end() && base->second.second != loops_.size()) return;  // named after a loop inside the function
    memo.values.push_back({std::move(v), base == base_names_.end() ? "" : base->second.first});
  }
  if ((memo.result = encoded(result.id)) == kUnknown) return;
  memos_[key] = std::move(memo);
}

Val Evaluator::repeat(const CallMemo& memo, const std::vector<int>& operands) {
  int before = static_cast<int>(fn_->values.size());
  auto decoded = [&](int code) { return code < 0 ? operands[static_cast<size_t>(-1 - code)] : code >= kOutside ? code - kOutside : before + code; };
  for (const auto& [value, base] : memo.values) {
    ir::Value v = value;
    v.id = static_cast<int>(fn_->values.size());
    for (int& o : v.operands) o = decoded(o);
    if (!base.empty()) v.name = full_name(base, v.operands);
    fn_->values.push_back(std::move(v));
  }
  return tensor_val(decoded(memo.result));
}

}  // namespace lumen::sema
