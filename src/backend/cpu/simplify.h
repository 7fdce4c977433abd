// simplify: constant folding, copy propagation and common subexpressions over loop IR, with I64 values seen as base + constant,
// so that constants end up in addresses' displacements.
//   %3 = const 4    %4 = add %i, %3    %5 = mul %4, %32    load [w + %5]
// becomes (with unread ops left for remove_dead)
//   %9 = mul %i, %32    load [w + %9 + 128]
// Invariants: only registers with one assignment are touched; results are the same to the bit; loads are not merged.
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void simplify(loops::Kernel& k);

}  // namespace lumen::cpu
