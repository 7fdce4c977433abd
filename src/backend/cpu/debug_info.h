// debug_info: tells tools the names of compiled kernels. gdb: through its JIT interface, an ELF image in memory with one symbol
// and unwind rules. perf: a line in /tmp/perf-PID.map, where the environment has LUMEN_PERF_MAP.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lumen::cpu {

// gdb knows the code while this lives.
class DebugInfo {
 public:
  // `code` begins with push rbp; mov rbp, rsp.
  DebugInfo(const std::string& name, const uint8_t* code, size_t size);
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;
  const std::vector<uint8_t>& image() const { return image_; }

 private:
  std::vector<uint8_t> image_;
  struct Entry;
  std::unique_ptr<Entry> entry_;
};

}  // namespace lumen::cpu
