// prepare: the passes over loop IR that come before machine code, in order.
#pragma once
#include "compiler/loops/loop_ir.h"
#include "compiler/machine.h"

namespace lumen::cpu {

// The same kernel, free of Exp, Log, Sin, Cos and Tanh, ready for emit().
loops::Kernel prepare(const loops::Kernel& kernel, const Machine& machine);

}  // namespace lumen::cpu
