// The team's waiting and waking. The gate's release stores and acquire loads order the task against the workers' reads of it;
// the sleepers' and caller's words use sequential consistency (store, then look whether someone sleeps).
#include "base/thread_team.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/assert.h"

namespace lumen {
namespace {

constexpr uint64_t kOpen = uint64_t{1} << 31, kInside = kOpen - 1;
constexpr auto kSpin = std::chrono::microseconds(60);  // longer than the gap between two launches of a decode step

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `ready` or the time is up; says which.
template <class Ready>
bool spin(Ready ready) {
  auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake(std::atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) {
  LUMEN_ASSERT(threads >= 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { loop(i); });
}

ThreadTeam::~ThreadTeam() {
  stop_.store(true);
  epoch_.fetch_add(1);
  gate_.store(uint64_t{epoch_.load()} << 32, std::memory_order_release);
  futex_wake(epoch_, INT32_MAX);
  for (std::thread& t : workers_) t.join();
}

void ThreadTeam::work(int worker) {
  const Task& t = task_;
  int64_t begin = next_.load(std::memory_order_relaxed), shares = 8 * size();
  while (begin < t.items) {
    int64_t left = t.items - begin, n = std::min(left, std::max(t.grain, left * 7 / shares));
    if (!next_.compare_exchange_weak(begin, begin + n, std::memory_order_relaxed)) continue;
    t.call(t.fn, worker, begin, begin + n);
    begin = next_.load(std::memory_order_relaxed);
  }
}

void ThreadTeam::run_shared(const Task& task) {
  LUMEN_ASSERT((gate_.load(std::memory_order_relaxed) & (kOpen | kInside)) == 0);  // one task at a time
  task_ = task;
  next_.store(0, std::memory_order_relaxed);
  uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  gate_.store(uint64_t{epoch} << 32 | kOpen, std::memory_order_release);
  epoch_.store(epoch, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) futex_wake(epoch_, INT32_MAX);
  work(0);
  gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
  auto empty = [&] { return (gate_.load(std::memory_order_acquire) & kInside) == 0; };
  if (spin(empty)) return;
  caller_sleeps_.store(true, std::memory_order_seq_cst);
  for (;;) {
    uint32_t left = left_.load(std::memory_order_seq_cst);
    if (empty()) break;
    futex_wait(left_, left);
  }
  caller_sleeps_.store(false, std::memory_order_relaxed);
}

// The gate of a task newer than `seen`.
uint64_t ThreadTeam::wait_for_task(uint32_t seen) {
  auto newer = [&] { return static_cast<uint32_t>(gate_.load(std::memory_order_acquire) >> 32) != seen; };
  while (!spin(newer)) {
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    futex_wait(epoch_, seen);  // returns at once where the epoch has moved on
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  }
  return gate_.load(std::memory_order_acquire);
}

void ThreadTeam::loop(int worker) {
  uint32_t seen = 0;
  for (;;) {
    uint64_t gate = wait_for_task(seen);
    seen = static_cast<uint32_t>(gate >> 32);
    if (stop_.load()) return;
    bool inside = false;
    while (!inside && (gate & kOpen) && static_cast<uint32_t>(gate >> 32) == seen)
      inside = gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel, std::memory_order_acquire);
    if (!inside) continue;
    work(worker);
    uint64_t before = gate_.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & kInside) == 1 && !(before & kOpen)) {
      left_.fetch_add(1, std::memory_order_seq_cst);
      if (caller_sleeps_.load(std::memory_order_seq_cst)) futex_wake(left_, 1);
    }
  }
}

}  // namespace lumen
