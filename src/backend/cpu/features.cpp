// CPUID through the compiler's builtins (they look at the operating system's saved state, too); caches from sysfs.
#include "backend/cpu/features.h"

#include <sched.h>

#include <fstream>

namespace lumen::cpu {
namespace {

// "32K" of /sys/devices/system/cpu/cpu0/cache/index*/size for a data or unified cache of this level; 0: unknown.
int64_t cache_size(int wanted_level) {
  for (int i = 0; i < 8; ++i) {
    std::string dir = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    std::ifstream level_file(dir + "level"), type_file(dir + "type"), size_file(dir + "size");
    int level = 0;
    int64_t size = 0;
    std::string type;
    char unit = 0;
    if (!(level_file >> level) || !(type_file >> type) || !(size_file >> size)) continue;
    size_file >> unit;
    if (level != wanted_level || type == "Instruction") continue;
    return size << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
  }
  return 0;
}

}  // namespace

Features detect() {
  Features f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
  f.vnni = f.avx512 && __builtin_cpu_supports("avx512vnni");
#endif
  if (int64_t size = cache_size(1)) f.l1 = size;
  if (int64_t size = cache_size(2)) f.l2 = size;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) f.cores = std::max(1, CPU_COUNT(&set));
  return f;
}

}  // namespace lumen::cpu
