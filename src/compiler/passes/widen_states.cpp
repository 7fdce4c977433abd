// For exact runs: states kept in 16-bit floats become f32, with everything that writes and reads them.
#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {
using ir::Ek;
using ir::ExprPtr;

void widen_states(ir::Function& f) {
  std::vector<bool> widened(f.values.size(), false);
  auto narrow_float = [](DType t) { return t == DType::F16 || t == DType::BF16; };
  for (ir::Value& v : f.values) {
    if (v.kind == ir::ValueKind::Param && v.role == ir::Role::State && !v.type.format && narrow_float(v.type.scalar)) {
      v.type.scalar = DType::F32;
      widened[v.id] = true;
    }
    if (!v.body) continue;
    auto load = [&](const ExprPtr& e) -> ExprPtr {
      if (e->kind == Ek::Load && widened[v.operands[e->operand]]) return ir::make_load(e->operand, DType::F32, e->args);
      return nullptr;
    };
    v.body = ir::rewrite(v.body, load);
    if (v.kind == ir::ValueKind::Scatter && widened[v.operands[0]]) {
      widened[v.id] = true;
      v.type.scalar = DType::F32;
      if (v.body->kind == Ek::Cast && narrow_float(v.body->type)) v.body = v.body->args[0];
      if (v.body->type != DType::F32) v.body = ir::make_cast(v.body, DType::F32);
    }
  }
}

}  // namespace lumen::passes
