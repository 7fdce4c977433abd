// Finds sums of products with a weight's row.
#include <map>

#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {
using ir::Ek;
using ir::ExprPtr;

static ExprPtr strip(const ExprPtr& e) { return e->kind == Ek::Cast && e->type == DType::F32 ? e->args[0] : e; }

// A load whose last index is exactly the reduced one, over the tensor's whole constant innermost axis.
static bool row_of(const ir::Function& f, const ir::Value& v, const ExprPtr& e, int index, int64_t k) {
  if (e->kind != Ek::Load || e->args.empty()) return false;
  const ir::Type& t = f.values[v.operands[e->operand]].type;
  if (!t.dims.back().is_const() || t.dims.back().value != k) return false;
  if (e->args.back()->kind != Ek::Index || e->args.back()->ival != index) return false;
  for (size_t i = 0; i + 1 < e->args.size(); ++i)
    if (ir::uses_index(e->args[i], index)) return false;
  return true;
}

void form_dots(ir::Function& f) {
  std::map<std::pair<ExprPtr, std::vector<int64_t>>, ExprPtr> known;
  for (ir::Value& v : f.values) {
    if (v.kind != ir::ValueKind::Compute || v.dims.size() != 2) continue;
    int n_axis = 1;
    auto [it, fresh] = known.try_emplace({v.body, signature(f, v)});
    if (!fresh) {
      v.body = it->second;
      continue;
    }
    v.body = it->second = ir::rewrite(v.body, [&](const ExprPtr& e) -> ExprPtr {
      if (e->kind != Ek::Reduce || e->reduction != ir::Reduction::Sum || e->args[0]->kind != Ek::Int || e->args[0]->ival != 0 ||
          e->args[1]->kind != Ek::Int || e->args[2]->kind != Ek::Op || e->args[2]->op != ir::Op::Mul)
        return nullptr;
      int index = static_cast<int>(e->ival);
      ExprPtr x = strip(e->args[2]->args[0]), w = strip(e->args[2]->args[1]);
      auto weight = [&](const ExprPtr& l) { return l->kind == Ek::Load && f.values[v.operands[l->operand]].role == ir::Role::Weight; };
      if (weight(x) && !weight(w)) std::swap(x, w);
      if (!weight(w) || weight(x)) return nullptr;
      if (!row_of(f, v, x, index, e->args[1]->ival) || !row_of(f, v, w, index, e->args[1]->ival)) return nullptr;
      if (x->args.size() != 2 || w->args.size() != 2) return nullptr;
      const ExprPtr& row = w->args[0];
      if (row->kind != Ek::Index || row->ival != n_axis || ir::uses_index(x->args[0], n_axis)) return nullptr;
      if (f.values[v.operands[x->operand]].type.format || f.values[v.operands[x->operand]].type.scalar != DType::F32) return nullptr;
      return ir::make_dot(x->operand, {x->args[0]}, w->operand, {row});
    });
  }
}

}  // namespace lumen::passes
