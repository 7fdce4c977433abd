// Folding of the expression makers: constants, and identities of integers. Never changes the value of a float expression.
#pragma once
#include "compiler/ir/expr.h"

namespace lumen::ir {

// Why op cannot take arguments of these types; empty: it can.
std::string op_error(Op op, const std::vector<DType>& types);
// The simpler expression, or null. May reorder `args` (constants of commutative integer ops go to the right).
ExprPtr fold_op(Op op, std::vector<ExprPtr>& args);
ExprPtr fold_cast(const ExprPtr& e, DType t);
ExprPtr fold_bitcast(const ExprPtr& e, DType t);

}  // namespace lumen::ir
