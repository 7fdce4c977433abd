// A child process that measures, when asked, what the machine gives at that moment: a streaming read and arithmetic from registers.
// A process of its own because its memory must not be ours: a child's peak memory begins at its parent's (measure/process.h).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/thread_team.h"

namespace lumen::measure {

struct ArithmeticPeak {
  double int8_ops = 0, f32_ops = 0;  // a second; 0: not known for this machine
};

struct MachineReading {
  double read_bytes = 0;  // a second, by all threads, in 2 MB pages where the kernel gives them
  ArithmeticPeak peak;
  bool huge_pages = false;
};

class Prober {
 public:
  static constexpr int64_t kLeast = int64_t{16} << 20, kMost = int64_t{512} << 20;  // bytes of a streaming read

  // `peak` is called in the child. This process must have no other threads yet.
  static Result<std::unique_ptr<Prober>> start(int threads, std::function<ArithmeticPeak(ThreadTeam&)> peak);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  // A streaming read of so many bytes, within the limits above, and the peaks.
  Result<MachineReading> measure(int64_t bytes);

 private:
  Prober(int pid, int line) : pid_(pid), line_(line) {}
  int pid_, line_;
};

}  // namespace lumen::measure
