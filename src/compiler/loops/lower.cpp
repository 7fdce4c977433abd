// Picks the lowering by the shape of an operation's body.
#include "compiler/loops/lower.h"

#include "compiler/loops/lowering.h"

namespace lumen::loops {

Shape shape_of(const ir::Value& v) {
  Shape shape = Shape::Rows;
  ir::visit(v.body, [&](const ir::Expr& e) {
    if (e.kind == ir::Ek::Dot) shape = Shape::Dot;
    if (e.kind == ir::Ek::Reduce && e.reduction == ir::Reduction::SoftmaxSum) shape = Shape::Attention;
  });
  return shape;
}

LowerContext::LowerContext(const ir::Function& function, const ir::Value& value, const Machine& machine, const Schedule& schedule,
                           const std::string& kernel_name)
    : f(function), v(value), m(machine), s(schedule), b(kernel_name), e(b, function, value) {
  for (size_t i = 0; i < v.operands.size(); ++i) {
    bool in_out = v.kind == ir::ValueKind::Scatter && i == 0;
    e.operand_buffer.push_back(b.buffer(f.values[v.operands[i]].name, in_out ? BufferKind::InOut : BufferKind::Input));
  }
  if (v.kind != ir::ValueKind::Scatter) result_ = b.buffer("out", BufferKind::Output);
  layouts.resize(v.operands.size());
}

Error LowerContext::unsupported(const std::string& what) const {
  return Error{"kernel " + (v.name.empty() ? "%" + std::to_string(v.id) : v.name) + ": cannot lower " + what};
}

Result<Lowered> LowerContext::finish() {
  if (!e.error.empty()) return unsupported(e.error);
  return Lowered{b.take(), layouts};
}

Result<Lowered> lower(const ir::Function& f, const ir::Value& v, const Machine& m, const Schedule& s) {
  static const char* const kShapes[] = {"rows", "dot", "attention"};
  std::string name = v.name.substr(0, v.name.find_first_of(".[%"));
  LowerContext c(f, v, m, s, (name.empty() ? kShapes[static_cast<int>(shape_of(v))] : name));
  switch (shape_of(v)) {
    case Shape::Rows: return lower_rows(c);
    case Shape::Dot: return lower_dot(c);
    case Shape::Attention: return lower_attention(c);
  }
  return c.unsupported("this operation");
}

}  // namespace lumen::loops
