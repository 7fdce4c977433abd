// strengthen: in an innermost loop, offsets that grow by a constant with the counter become registers that are added to.
//   for %i { %4 = mul %i, 144  %5 = add %rows, %4  load [w + %5] }
// becomes
//   %p = mov %rows  for %i { load [w + %p]  %p = add %p, 144 }
// Multiples of 2, 4 and 8 read by addresses alone stay: an address multiplies by those itself.
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void strengthen(loops::Kernel& k);

}  // namespace lumen::cpu
