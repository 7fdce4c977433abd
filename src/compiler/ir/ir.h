// The tensor IR: a function is a list of values in SSA form; a value is made by one operation over earlier values.
//   %3: f32[T, 576] = compute(%1, %2) [t, n] { dot(%1[t], %2[n]) }
// Shapes stand in types; state is updated in place by `scatter`, whose result names the state after the update.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/ir/expr.h"
#include "compiler/ir/format.h"
#include "compiler/ir/type.h"

namespace lumen::ir {

enum class ValueKind : uint8_t {
  Param,    // an argument: a runtime input, a weight or a state tensor (`role`)
  Compute,  // one scalar `body` over the output axes; a formatted result is encoded by its format's rule, block by block
  Scatter,  // like Compute over the domain `dims`, but element `body` is written to operands[0] at `dest`; result type = state's
  Reshape,  // operands[0] with other dimensions, same elements in row-major order; costs nothing
  Const,    // `data`, made by fold_constants or a literal
};

enum class Role : uint8_t { None, Input, Weight, State };

struct Value {
  int id = 0;  // = its place in Function::values
  ValueKind kind = ValueKind::Param;
  Type type;
  std::string name;            // for people and for binding: params always have one
  Role role = Role::None;
  std::vector<int> operands;   // ids; Expr::operand counts into this list
  std::vector<Dim> dims;       // Scatter: the domain. Compute: type.dims
  std::vector<std::string> axes;  // names of the output axes, for printing
  ExprPtr body;                // Compute, Scatter
  std::vector<ExprPtr> dest;   // Scatter: one index expression an axis of the state, I32
  std::vector<uint8_t> data;   // Const: little-endian elements
};

struct Function {
  std::string name;
  std::vector<Value> values;
  std::vector<int> results;
  // Upper bounds of symbols, where known: {"T", 512}
  std::map<std::string, int64_t> bounds;
};

// --- builder -----------------------------------------------------------------------------------------------------
int add_param(Function& f, std::string name, Type type, Role role);
int add_compute(Function& f, Type type, std::vector<int> operands, std::vector<std::string> axes, ExprPtr body, std::string name = "");
int add_scatter(Function& f, std::vector<Dim> dims, std::vector<int> operands, std::vector<std::string> axes, std::vector<ExprPtr> dest,
                ExprPtr body, std::string name = "");
int add_reshape(Function& f, int operand, std::vector<Dim> dims);
int add_const(Function& f, Type type, std::vector<uint8_t> data, std::string name = "");

// --- text --------------------------------------------------------------------------------------------------------
// print and read round-trip; formats are looked up by name through `find_format`. Grammar, at the head of print.cpp.
std::string print(const Function& f);
std::string print(const ExprPtr& e);  // for people: operands as $0, indices as i0, fields as field<0, u8>[index]
using FindFormat = std::function<FormatRef(const std::string& name)>;
Result<Function> read(const std::string& text, const FindFormat& find_format);

// --- verifier ----------------------------------------------------------------------------------------------------
// Every operand defined before use, ranks and types agree, indices are integers, axes bound, formatted rows hold whole blocks.
// Empty string: valid. Otherwise one line naming the value and the rule.
std::string verify(const Function& f);

}  // namespace lumen::ir
