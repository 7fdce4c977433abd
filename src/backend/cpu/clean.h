// clean: three small passes that end the preparation.
//   remove_dead:     ops and loads whose result nobody reads go, as do loops and branches that have become empty
//   merge_splats:    %3:f32x1 = load ... %4:f32x8 = splat %3   becomes   %4:f32x8 = load_splat ...
//   coalesce_moves:  %5 = add %acc, %x ... %acc = mov %5       becomes   %acc = add %acc, %x
#pragma once
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

void remove_dead(loops::Kernel& k);
void merge_splats(loops::Kernel& k);
void coalesce_moves(loops::Kernel& k);

}  // namespace lumen::cpu
