// eval: runs a loop kernel statement by statement. Slow; the oracle that compiled code is tested against.
// Every access is checked against its buffer: one outside is an Error, as is a division by a divisor that is not positive.
#pragma once
#include <cstdint>
#include <span>

#include "base/result.h"
#include "compiler/loops/loop_ir.h"

namespace lumen::loops {

struct EvalBuffer {
  uint8_t* data = nullptr;
  int64_t size = 0;  // bytes
};

// Runs the items [begin, end). `buffers`: the kernel's buffers but for Scratch ones, in order. Scratch starts as 0xA5 bytes.
Status eval(const Kernel& k, std::span<const EvalBuffer> buffers, std::span<const int64_t> scalars, int64_t begin, int64_t end);

}  // namespace lumen::loops
