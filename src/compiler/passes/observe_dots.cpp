// What weights are multiplied with, made results of the function: importance matrices are sums of them.
#include <algorithm>

#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {
using ir::Ek;
using ir::ExprPtr;

// f32[1, K]: the squares of x[t, k], summed over t.
static int sum_of_squares(ir::Function& f, int x) {
  const ir::Type& t = f.values[static_cast<size_t>(x)].type;
  ExprPtr rows = t.dims[0].is_const() ? ir::make_int(t.dims[0].value) : ir::make_extent(t.dims[0].symbol);
  ExprPtr element = ir::make_load(0, DType::F32, {ir::make_index(2), ir::make_index(1)});
  ir::Type out{DType::F32, nullptr, {ir::Dim(1), t.dims[1]}};
  ExprPtr body = ir::make_reduce(ir::Reduction::Sum, 2, {ir::make_int(0), rows, ir::make_op(ir::Op::Mul, {element, element})});
  return ir::add_compute(f, out, {x}, {"o", "k"}, body, "squares." + f.values[static_cast<size_t>(x)].name);
}

std::vector<DotInput> observe_dots(ir::Function& f) {
  std::vector<DotInput> found;
  std::vector<int> inputs;  // by entry of `found`
  for (const ir::Value& v : f.values) {
    if (v.kind != ir::ValueKind::Compute) continue;
    bool result = std::count(f.results.begin(), f.results.end(), v.id) > 0;
    ir::visit(v.body, [&](const ir::Expr& e) {
      if (e.kind != Ek::Dot) return;
      const ir::Value& w = f.values[static_cast<size_t>(v.operands[static_cast<size_t>(e.operand2)])];
      if (w.role != ir::Role::Weight) return;
      int x = v.operands[static_cast<size_t>(e.operand)];
      size_t at = static_cast<size_t>(std::find(inputs.begin(), inputs.end(), x) - inputs.begin());
      if (at == inputs.size()) {
        inputs.push_back(x);
        found.emplace_back();
      }
      found[at].weights.push_back(w.name);
      found[at].gives_result = found[at].gives_result || result;
    });
  }
  for (size_t i = 0; i < found.size(); ++i) {
    f.results.push_back(sum_of_squares(f, inputs[i]));
    found[i].columns = f.values[static_cast<size_t>(f.results.back())].type.dims[1].value;
  }
  return found;
}

}  // namespace lumen::passes
