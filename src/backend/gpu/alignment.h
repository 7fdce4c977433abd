// What powers of two divide the I64 registers of a kernel: loads that are known to be aligned read one word.
#pragma once
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace lumen::gpu {

inline constexpr int kMostAligned = 16;  // zeros below this many bits are all alike

// For each register the number of low bits that are always zero; 0 for others than I64.
std::vector<int> low_zero_bits(const loops::Kernel& k);

// Bytes (1, 2 or 4) that divide the address; buffers begin at multiples of 256.
int alignment(const loops::Address& at, const std::vector<int>& zeros);

}  // namespace lumen::gpu
