// split_registers: a register assigned several times, all of it within one statement list, becomes one register an assignment.
//   %s = const 0  %s = add %s, %a  %s = add %s, %b  store %s
// becomes
//   %5 = const 0  %6 = add %5, %a  %7 = add %6, %b  store %7
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void split_registers(loops::Kernel& k);

}  // namespace lumen::cpu
