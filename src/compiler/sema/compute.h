// Numbering of index variables in finished expressions.
#pragma once
#include "compiler/ir/ir.h"

namespace lumen::sema {

// Variables below `first` stay; a reduction's index becomes first + how many reductions stand around it.
ir::ExprPtr renumber_variables(const ir::ExprPtr& e, int first);
// Moves all Params to the front (inputs, weights, states; each in its order) and numbers everything anew. `residuals` follow.
void params_first(ir::Function& f, std::vector<int>& residuals);

}  // namespace lumen::sema
