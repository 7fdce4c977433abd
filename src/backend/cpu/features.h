// What the CPU that runs us has: instruction sets and caches.
#pragma once
#include <cstdint>
#include <string>

namespace lumen::cpu {

struct Features {
  bool avx2 = false;    // with FMA and F16C
  bool avx512 = false;  // F, BW, DQ, VL (and BMI2)
  bool vnni = false;    // AVX-512 VNNI
  int64_t l1 = 32 << 10, l2 = 512 << 10;  // data caches of one core, bytes
  int cores = 1;        // that this process may use
};
Features detect();

}  // namespace lumen::cpu
