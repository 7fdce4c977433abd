// ThreadTeam: a fixed set of workers that share out numbered items. The caller of `run` is worker 0; the others wait, at first
// spinning for some tens of microseconds, then asleep. Invariants: one `run` at a time; when it returns every item was handled
// once and no worker touches the task any more; a worker that wakes too late for a task is not waited for.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace lumen {

class ThreadTeam {
 public:
  explicit ThreadTeam(int threads);  // at least 1
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(worker, begin, end) for ranges that cover [0, items), on any worker 0 .. size() - 1. Ranges are long at first, seven
  // eighths of an even share, then shorter and shorter, down to `grain` items, so that all end together: a worker streams through memory,
  // and each range begins with waiting for it (SmolLM2's decoding on two threads: 10% faster than with halves of a share).
  // A team of one, or no more than `grain` items, gets the whole range in one call. `fn` must not throw nor call run.
  template <class Fn>
  void run(int64_t items, int64_t grain, const Fn& fn) {
    if (items <= 0) return;
    if (workers_.empty() || items <= grain) {
      fn(0, int64_t{0}, items);
      return;
    }
    run_shared({[](const void* f, int worker, int64_t begin, int64_t end) { (*static_cast<const Fn*>(f))(worker, begin, end); }, &fn, items,
                grain < 1 ? 1 : grain});
  }

 private:
  struct Task {
    void (*call)(const void*, int, int64_t, int64_t) = nullptr;
    const void* fn = nullptr;
    int64_t items = 0, grain = 1;
  };
  void run_shared(const Task& task);
  void work(int worker);
  void loop(int worker);
  uint64_t wait_for_task(uint32_t seen);

  // epoch << 32 | open << 31 | workers inside the task. A worker enters by a compare-and-swap that adds 1 while the task is open.
  alignas(64) std::atomic<uint64_t> gate_{0};
  alignas(64) std::atomic<int64_t> next_{0};  // first item not claimed
  alignas(64) Task task_;
  std::atomic<uint32_t> epoch_{0};     // what sleeping workers watch
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<uint32_t> left_{0};      // what a sleeping caller watches: counts tasks that were left by their last worker
  std::atomic<bool> caller_sleeps_{false}, stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace lumen
