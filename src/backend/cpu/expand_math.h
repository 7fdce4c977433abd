// expand_math: replaces exp, log, sin, cos and tanh by polynomials in loop IR ops, of the op's own lanes.
//   %2:f32x8 = exp %1      becomes      %3 = const 1.44269504 ... %2:f32x8 = mul %17, %18
// Within 2 ulp (tanh: 4) of the real function, infinities and NaNs as libm has them, denormal results kept. sin and cos: for
// |x| <= 1e5; beyond, the error grows with |x|.
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void expand_math(loops::Kernel& k);

}  // namespace lumen::cpu
