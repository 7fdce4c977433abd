// unroll: loops marked with unroll_hint whose bounds are constant and that run at most 16 times become straight code.
//   for %i in 0 .. 2 unroll { %4 = load [w + %i]  %acc = add %acc, %4 }
// becomes
//   %9 = const 0  %10 = load [w + %9]  %acc = add %acc, %10  %11 = const 1  %12 = load [w + %11]  %acc = add %acc, %12
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void unroll(loops::Kernel& k);

}  // namespace lumen::cpu
