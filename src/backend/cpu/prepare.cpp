// The order of the CPU's passes over loop IR.
#include "backend/cpu/prepare.h"

#include "backend/cpu/clean.h"
#include "backend/cpu/expand_math.h"
#include "backend/cpu/hoist.h"
#include "backend/cpu/simplify.h"
#include "backend/cpu/split.h"
#include "backend/cpu/strengthen.h"
#include "backend/cpu/unroll.h"

namespace lumen::cpu {

loops::Kernel prepare(const loops::Kernel& kernel, const Machine&) {
  loops::Kernel k = kernel;
  expand_math(k);
  simplify(k);  // bounds become constants
  unroll(k);
  split_registers(k);
  simplify(k);
  hoist(k);
  remove_dead(k);
  strengthen(k);
  simplify(k);  // what the new counters start from
  remove_dead(k);
  merge_splats(k);
  coalesce_moves(k);
  return k;
}

}  // namespace lumen::cpu
