// hoist: pure ops of operands that a loop does not change move in front of the loop (loads stay: the loop may run no time).
//   for %i { %4 = splat %s  %5 = mul %x, %4 }      becomes      %4 = splat %s  for %i { %5 = mul %x, %4 }
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void hoist(loops::Kernel& k);

}  // namespace lumen::cpu
