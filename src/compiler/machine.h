// Machine: a device described as data. Schedules are picked from it; nothing asks which device it is.
#pragma once
#include <cstdint>
#include <string>

namespace lumen {

struct Machine {
  std::string name;             // "avx2", "avx512", "avx512vnni", "wgsl"
  int lanes = 1;                // 32-bit lanes of a vector register; 1: scalar code, threads are the lanes
  int vector_registers = 16;
  bool maddubs = false;         // u8 x s8 pairs to i16, saturating
  bool dot4 = false;            // u8 x s8 quads accumulated in i32, as one instruction
  bool gpu = false;
  int64_t l1 = 32 << 10, l2 = 512 << 10;  // bytes a worker has to itself
  int threads = 1;
};

}  // namespace lumen
