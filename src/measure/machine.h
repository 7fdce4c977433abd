// What the machine offers, as measured and as the system tells: for doctor, and to judge speeds by.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"

namespace lumen::measure {

struct Bandwidth {
  int threads = 1;
  bool huge_pages = false;      // 2 MB pages were asked for
  bool got_huge = false;        // and the kernel gave them for at least half of the memory
  double bytes_per_second = 0;  // best of the runs: others only take away
};
// Memory to stream through, again and again: a bandwidth measured beside something else, at the same moment.
class ReadProbe {
 public:
  static Result<std::unique_ptr<ReadProbe>> create(int threads, bool huge_pages, int64_t bytes);
  ~ReadProbe();
  double read(int64_t bytes = INT64_MAX);  // the first so many, or all, once, by all threads: bytes a second
  ThreadTeam& team() { return team_; }      // while no read runs
  bool got_huge() const { return got_huge_; }
  Status check() const;  // Error: reads gave other bytes than were written

 private:
  ReadProbe(int threads, void* memory, size_t mapped, int64_t pieces);
  ThreadTeam team_;
  void* memory_;
  size_t mapped_;
  uint8_t* data_;
  int64_t pieces_;  // of 2 MB
  uint64_t pieces_read_ = 0;
  bool got_huge_ = false;
  std::vector<uint64_t> sums_;
};
// Streaming read of `bytes` shared by `threads`, `runs` times after one that touches everything.
Result<Bandwidth> read_bandwidth(int threads, bool huge_pages, int64_t bytes = int64_t{256} << 20, int runs = 5);

struct MemoryInfo {
  uint64_t total = 0, available = 0;  // bytes; of what the process's control groups leave it, where they set a limit
  std::string huge_pages;             // "always", "madvise", "never", or "unknown"
};
MemoryInfo memory_info();

struct Cache {
  int level = 0;
  std::string type;  // "Data", "Instruction", "Unified"
  int64_t bytes = 0;
  int shared_by = 1;  // logical processors
};
std::vector<Cache> caches();

}  // namespace lumen::measure
