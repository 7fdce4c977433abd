// The one emitter of device text from loop IR: emit(kernel, dialect). Kernels come with one lane: the threads are the lanes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "backend/gpu/dialect.h"
#include "base/result.h"

namespace lumen::gpu {

inline constexpr int kGroup = 64;  // invocations of a workgroup

// Bindings, numbered in order: the buffers given at a launch; the tables; one scratch buffer of `scratch_bytes` for each invocation of a
// launch, if that is not 0; the launch data: i32 first item, i32 number of items, the scalars as i32, padded to 16 bytes.
struct Shader {
  std::string text;
  std::vector<bool> used;     // a given buffer: the text reads or writes it; others are not declared
  std::vector<std::vector<uint8_t>> tables;
  int64_t scratch_bytes = 0;  // per invocation, a multiple of 4
  int64_t launch_bytes = 0;
};

// Errors name the kernel and the statement that the language cannot say.
Result<Shader> emit(const loops::Kernel& kernel, const Dialect& dialect);

}  // namespace lumen::gpu
