// Arithmetic of the language on its two kinds of numbers: static ones (int64, double; exact, evaluated here) and scalar
// expressions of the IR (small integers promote to i32, f16 and bf16 to f32, an integer beside a float becomes a float).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/diag.h"
#include "compiler/ir/expr.h"
#include "compiler/sema/library.h"

namespace lumen::sema {

// `op` as the AST spells it. Mistakes: types that do not fit, overflow, division by zero.
StaticValue static_unary(const std::string& op, const StaticValue& a, Span span);
StaticValue static_binary(const std::string& op, const StaticValue& a, const StaticValue& b, Span span);
// sqrt, exp, min, f32 …; nullopt: no such function on static values.
std::optional<StaticValue> static_call(const std::string& name, const std::vector<StaticValue>& args, Span span);

ir::ExprPtr to_expr(const StaticValue& v, Span span);
ir::ExprPtr promote(const ir::ExprPtr& e);
ir::ExprPtr to_float(const ir::ExprPtr& e, Span span);
ir::ExprPtr to_index(const ir::ExprPtr& e, Span span);  // i32
// Converts a value to the element type of a declared result: integers to floats, floats rounded to f16; never a float to an integer.
ir::ExprPtr convert(const ir::ExprPtr& e, DType to, Span span);
ir::ExprPtr scalar_unary(const std::string& op, const ir::ExprPtr& a, Span span);
ir::ExprPtr scalar_binary(const std::string& op, const ir::ExprPtr& a, const ir::ExprPtr& b, Span span);
ir::ExprPtr scalar_select(const ir::ExprPtr& c, const ir::ExprPtr& a, const ir::ExprPtr& b, Span span);
// Functions of numbers; null: no such function.
ir::ExprPtr scalar_call(const std::string& name, const std::vector<ir::ExprPtr>& args, Span span);
std::vector<std::string> scalar_functions();

}  // namespace lumen::sema
