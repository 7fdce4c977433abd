// Picks the schedule of an operation from the machine's data.
#pragma once
#include "compiler/ir/ir.h"
#include "compiler/loops/lower.h"
#include "compiler/machine.h"

namespace lumen::schedule {

// token_hint: the most tokens a step of this plan has, where that is few: 1 decodes one sequence; 0 is any number.
loops::Schedule choose(const ir::Function& f, const ir::Value& v, const Machine& m, int token_hint);

}  // namespace lumen::schedule
