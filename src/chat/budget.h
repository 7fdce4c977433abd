// Limits and Budget: what a rendering may cost. Everything that loops, recurses or makes text spends from one Budget.
// Invariant: the first failure sticks; after it every spend() is refused, so that all loops end at once and the result is discarded.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace lumen::chat {

struct Limits {
  uint64_t max_steps = 10'000'000;  // a step: one node evaluated, one list element touched, or 32 bytes of text made
  uint32_t max_depth = 800;         // nested evaluations (macro calls, blocks, expressions)
  uint32_t max_value_depth = 200;   // nesting of lists and dicts
  size_t max_text = 32u << 20;      // bytes of the output, and of any one string
};

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}
  const Limits& limits() const { return limits_; }
  bool ok() const { return !failed_; }
  const std::string& error() const { return error_; }
  uint32_t error_line() const { return error_line_; }

  void fail(std::string message) {
    if (failed_) return;
    failed_ = true;
    error_ = std::move(message);
    error_line_ = line;
  }
  bool spend(uint64_t steps = 1) {
    if (failed_) return false;
    if (steps > limits_.max_steps - used_) {
      fail("the template does more work than allowed (" + std::to_string(limits_.max_steps) + " steps)");
      return false;
    }
    used_ += steps;
    return true;
  }
  // To be asked before a string of `bytes` is made.
  bool text(size_t bytes) {
    if (bytes > limits_.max_text) fail("the template makes a text longer than allowed (" + std::to_string(limits_.max_text) + " bytes)");
    return spend(bytes / 32);
  }

  uint32_t line = 0;   // where the template is now; kept by the interpreter
  uint32_t depth = 0;  // nested evaluations now

 private:
  Limits limits_;
  uint64_t used_ = 0;
  bool failed_ = false;
  std::string error_;
  uint32_t error_line_ = 0;
};

// One level of recursion, for as long as it lives. False when too deep or already failed.
class DepthGuard {
 public:
  explicit DepthGuard(Budget& budget) : budget_(budget) {
    if (++budget_.depth > budget_.limits().max_depth) budget_.fail("the template nests or recurses too deeply");
  }
  ~DepthGuard() { --budget_.depth; }
  explicit operator bool() const { return budget_.ok(); }

 private:
  Budget& budget_;
};

}  // namespace lumen::chat
