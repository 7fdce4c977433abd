// Picks the schedule of an operation from the machine's data.
#pragma once
#include "compiler/ir/ir.h"
#include "compiler/loops/lower.h"
#include "compiler/machine.h"

namespace lumen::schedule {

// one_token: the run-time extent of the first axis is known to be 1 (decoding one sequence).
loops::Schedule choose(const ir::Function& f, const ir::Value& v, const Machine& m, bool one_token);

}  // namespace lumen::schedule
