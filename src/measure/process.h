// Running another program to its end: what it printed, how long until its first byte, what CPU time and memory it took, and how much
// of the machine others took meanwhile. Invariants: the child stands in a process group of its own, which is killed when the time is
// up or when we die; its standard input is empty. A child's peak memory starts at ours at the time of its birth: stay small.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace lumen::measure {

struct ProcessOptions {
  double timeout = 600;                                          // seconds
  std::string directory;                                         // to run in; empty: ours
  std::vector<std::pair<std::string, std::string>> environment;  // beside ours
  size_t most_output = size_t{64} << 20;                         // bytes of standard output; more of it ends the child
};

struct ProcessResult {
  int status = 0;  // exit status, or -signal
  bool timed_out = false, talked_too_much = false;
  std::string out, err;           // of standard error the last 64 kB
  double first_byte_seconds = 0;  // from before the start to the first byte on standard output; 0: there was none
  double wall_seconds = 0, cpu_seconds = 0;
  double others_share = 0;  // CPU time that other processes took, of what the machine had; slightly below 0 where clocks are coarse
  uint64_t peak_bytes = 0;  // most memory resident at once, mapped pages included

  bool fine() const { return status == 0 && !timed_out && !talked_too_much; }
  // "ended with status 1: LAST LINE OF ITS ERRORS", "was killed by signal 11 (Segmentation fault)", "gave no end within 10 s".
  std::string complaint(const ProcessOptions& options) const;
};

// A process that keeps one core busy for as long as this lives: a neighbour as bad as they come.
class BusyCore {
 public:
  BusyCore();
  ~BusyCore();
  BusyCore(const BusyCore&) = delete;
  BusyCore& operator=(const BusyCore&) = delete;

 private:
  int pid_;
};

// From now on the first SIGINT or SIGTERM ends the running child and makes run_process fail, now and later; a second one ends us.
void catch_interrupts();
bool interrupted();

// command[0] is a path, or a name to be found in $PATH. Error: it could not be started.
Result<ProcessResult> run_process(const std::vector<std::string>& command, const ProcessOptions& options);

}  // namespace lumen::measure
