// Builders: append a value to a function and give its number.
#include "compiler/ir/ir.h"

#include "base/assert.h"

namespace lumen::ir {
namespace {

int append(Function& f, Value v) {
  v.id = static_cast<int>(f.values.size());
  f.values.push_back(std::move(v));
  return f.values.back().id;
}
// Unnamed axes get their number's name, so that the text form knows one for each.
void name_axes(std::vector<std::string>& axes, size_t rank) {
  for (size_t i = axes.size(); i < rank; ++i) axes.push_back("i" + std::to_string(i));
}

}  // namespace

int add_param(Function& f, std::string name, Type type, Role role) {
  Value v;
  v.kind = ValueKind::Param;
  v.type = std::move(type);
  v.name = std::move(name);
  v.role = role;
  return append(f, std::move(v));
}

int add_compute(Function& f, Type type, std::vector<int> operands, std::vector<std::string> axes, ExprPtr body, std::string name) {
  Value v;
  v.kind = ValueKind::Compute;
  v.dims = type.dims;
  v.type = std::move(type);
  v.name = std::move(name);
  v.operands = std::move(operands);
  v.axes = std::move(axes);
  name_axes(v.axes, v.dims.size());
  v.body = std::move(body);
  return append(f, std::move(v));
}

int add_scatter(Function& f, std::vector<Dim> dims, std::vector<int> operands, std::vector<std::string> axes, std::vector<ExprPtr> dest,
                ExprPtr body, std::string name) {
  LUMEN_ASSERT(!operands.empty() && operands[0] >= 0 && operands[0] < static_cast<int>(f.values.size()));
  Value v;
  v.kind = ValueKind::Scatter;
  v.type = f.values[operands[0]].type;
  v.name = std::move(name);
  v.operands = std::move(operands);
  v.dims = std::move(dims);
  v.axes = std::move(axes);
  name_axes(v.axes, v.dims.size());
  v.body = std::move(body);
  v.dest = std::move(dest);
  return append(f, std::move(v));
}

int add_reshape(Function& f, int operand, std::vector<Dim> dims) {
  LUMEN_ASSERT(operand >= 0 && operand < static_cast<int>(f.values.size()));
  Value v;
  v.kind = ValueKind::Reshape;
  v.type = f.values[operand].type;
  v.type.dims = std::move(dims);
  v.operands = {operand};
  return append(f, std::move(v));
}

int add_const(Function& f, Type type, std::vector<uint8_t> data, std::string name) {
  Value v;
  v.kind = ValueKind::Const;
  v.type = std::move(type);
  v.name = std::move(name);
  v.data = std::move(data);
  return append(f, std::move(v));
}

}  // namespace lumen::ir
