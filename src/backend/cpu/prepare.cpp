// The order of the CPU's passes over loop IR.
#include "backend/cpu/prepare.h"

#include "backend/cpu/expand_math.h"

namespace lumen::cpu {

loops::Kernel prepare(const loops::Kernel& kernel, const Machine&) {
  loops::Kernel k = kernel;
  expand_math(k);
  return k;
}

}  // namespace lumen::cpu
