// allocate: linear-scan assignment of values to registers of one kind. The emitter gives AsmJit one virtual register a slot, so
// that its allocator, which fragments long ranges, has nothing left to decide while all fits.
// Invariants: two values share a slot only where their live ranges do not meet; a value that dies at the position where
// another begins may pass its slot on.
#pragma once
#include <utility>
#include <vector>

namespace lumen::cpu {

// Live ranges from accesses met in program order. Positions are statement numbers.
class LiveRanges {
 public:
  struct Range {
    int begin = -1, end = -1;  // 2 * position for a read, 2 * position + 1 for an assignment
    double weight = 0;         // accesses, those in loops counted more
    std::vector<int> hints;    // values whose slot this one would like
  };
  int add();  // a new value's number
  void read(int value) { access(value, 2 * position_); }
  void assign(int value) { access(value, 2 * position_ + 1); }
  void from_start(int value) { from_start_.push_back(value); }  // made at the function's start, if it is read at all
  void hint(int value, int like) { ranges_[value].hints.push_back(like); }
  void next() { ++position_; }
  void enter_loop();
  void leave_loop();
  // Ranges that enter a loop or leave it are stretched over all of it.
  const std::vector<Range>& finish();

 private:
  void access(int value, int at);
  int position_ = 0, depth_ = 0;
  std::vector<Range> ranges_;
  std::vector<std::vector<int>> accesses_;     // positions, ascending
  std::vector<std::pair<int, int>> loops_;     // inner ones first
  std::vector<int> open_, from_start_;
};

// A slot below `slots` for each value, or -1 for those that had to give way (the least used for their length).
std::vector<int> allocate(const std::vector<LiveRanges::Range>& ranges, int slots);

}  // namespace lumen::cpu
