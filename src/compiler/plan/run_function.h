// Runs a small function on a target from host tensors: what tests and `compile` use to compare a target with the interpreter.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "compiler/ir/interp.h"
#include "compiler/plan/plan.h"

namespace lumen::plan {

// `params` as for ir::interpret; states are updated in place. `f` is planned as it stands (passes are the caller's).
Result<std::vector<ir::Tensor>> run_function(const ir::Function& f, Target& target, const std::map<std::string, ir::Tensor*>& params,
                                             const std::map<std::string, int64_t>& symbols, int token_hint);

}  // namespace lumen::plan
