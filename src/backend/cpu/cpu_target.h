// The CPU as a Target: kernels become machine code, buffers are host memory, launches run on one thread team.
#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "compiler/target.h"

namespace lumen {

struct CpuOptions {
  std::string level = "native";  // "native", "avx2", "avx512", "avx512vnni"
  int threads = 0;               // 0: as many as the process may use
};

// A level that this CPU lacks is allowed: it compiles and lists, and launch refuses. Launches are synchronous; one caller at a time.
Result<std::unique_ptr<Target>> make_cpu_target(const CpuOptions& options = {});

}  // namespace lumen
