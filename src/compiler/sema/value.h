// What an expression of the language may stand for while it is evaluated, and the scopes that names live in.
// Invariants: Load operands in Val::expr are value ids of the function being made (compute.cpp turns them into operand numbers);
// a Tensor's element uses Index 0 … rank-1, every other index variable has a number from kFirstVariable on, used once.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/diag.h"
#include "compiler/ir/ir.h"
#include "compiler/sema/library.h"
#include "compiler/syntax/ast.h"

namespace lumen::sema {

struct Scope;
struct Val;

inline constexpr int kFirstVariable = 1 << 16;

// A name with a value for each tuple of static indices: weights of a layer, states, inputs made on first use.
struct Family {
  std::string name;
  size_t arity = 0;
  bool is_weight = false;
  std::function<Val(const std::vector<int64_t>&, Span)> get;
  std::function<bool(const std::vector<int64_t>&, Span)> has;  // null: always there
};

// The current SSA value of a state tensor; append moves it on.
struct StateCell {
  int id = -1;
  std::string name;
};

enum class Vk : uint8_t {
  Nothing,
  Static,   // value
  Scalar,   // expr
  Tensor,   // type (its format or scalar as stored), expr = the element; id where it is one value of the function
  Paged,    // state, type = f16[P, G, kPageTokens, C]
  Field,    // of a format's block: id = number, field
  Table,    // table, type.scalar
  Macro,    // let, scope
  Family,   // family
  Element,  // type (scalar and format): what a type parameter stands for
  Poison,   // its making failed and was reported
};

struct Val {
  Vk kind = Vk::Nothing;
  StaticValue value;
  ir::ExprPtr expr;
  ir::Type type;
  int id = -1;
  std::vector<std::string> axes;  // Tensor: names for printing, may be empty
  std::string made_by;            // Tensor without id: what to call it
  StateCell* state = nullptr;
  const Family* family = nullptr;
  const ir::FormatField* field = nullptr;
  bool drops_row = false;  // Field: its first subscript is the row (value(n, k))
  const ast::Stmt* let = nullptr;
  Scope* scope = nullptr;
  std::shared_ptr<const std::vector<double>> table;
};

Val static_val(StaticValue v);
Val scalar_val(ir::ExprPtr e);
Val dim_val(const ir::Dim& d);  // its number, or the extent
// "an int", "a tensor f32[T, 576]", "a paged state"; for messages.
std::string describe(const Val& v);
std::string describe(const StaticValue& v);  // "an integer", "a string"
std::string to_text(const StaticValue& v);   // 3, 1e-05, "x", [1, 2]

struct Scope {
  Scope* parent = nullptr;
  bool frame = false;  // a function's body: assignments never reach beyond
  std::map<std::string, Val> names;
};

}  // namespace lumen::sema
