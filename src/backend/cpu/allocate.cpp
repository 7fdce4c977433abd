// Live ranges and linear scan.
#include "backend/cpu/allocate.h"

#include <algorithm>
#include <numeric>

namespace lumen::cpu {

int LiveRanges::add() {
  ranges_.emplace_back();
  accesses_.emplace_back();
  return static_cast<int>(ranges_.size()) - 1;
}

void LiveRanges::access(int value, int at) {
  Range& r = ranges_[value];
  if (r.begin < 0) r.begin = at;
  r.begin = std::min(r.begin, at);
  r.end = std::max(r.end, at);
  double weight = 1;
  for (int i = 0; i < std::min(depth_, 8); ++i) weight *= 8;
  r.weight += weight;
  accesses_[value].push_back(at);
}

void LiveRanges::enter_loop() {
  ++depth_;
  open_.push_back(2 * position_);
}

void LiveRanges::leave_loop() {
  --depth_;
  loops_.emplace_back(open_.back(), 2 * position_ + 1);
  open_.pop_back();
}

const std::vector<LiveRanges::Range>& LiveRanges::finish() {
  for (int v : from_start_)
    if (ranges_[v].begin > 0) ranges_[v].begin = 0;
  for (size_t v = 0; v < ranges_.size(); ++v) {
    Range& r = ranges_[v];
    std::vector<int>& at = accesses_[v];
    std::sort(at.begin(), at.end());
    for (auto [begin, end] : loops_) {
      auto first = std::lower_bound(at.begin(), at.end(), begin);
      bool inside = first != at.end() && *first <= end, outside = r.begin < begin || r.end > end;
      if (!inside || !outside) continue;
      r.begin = std::min(r.begin, begin);
      r.end = std::max(r.end, end);
    }
  }
  return ranges_;
}

std::vector<int> allocate(const std::vector<LiveRanges::Range>& ranges, int slots) {
  std::vector<int> slot(ranges.size(), -1), order;
  for (size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i].begin >= 0) order.push_back(static_cast<int>(i));
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return ranges[a].begin < ranges[b].begin; });
  std::vector<int> holder(static_cast<size_t>(slots), -1);  // the value in each slot
  auto worth = [&](int v) { return ranges[v].weight / (ranges[v].end - ranges[v].begin + 1); };
  for (int v : order) {
    for (int& h : holder)
      if (h >= 0 && ranges[h].end < ranges[v].begin) h = -1;
    int best = -1;
    for (int like : ranges[v].hints)
      if (slot[like] >= 0 && holder[slot[like]] < 0) {
        best = slot[like];
        break;
      }
    for (int s = 0; s < slots && best < 0; ++s)
      if (holder[s] < 0) best = s;
    if (best < 0) {
      for (int s = 0; s < slots; ++s)
        if (best < 0 || worth(holder[s]) < worth(holder[best])) best = s;
      if (best < 0 || worth(holder[best]) >= worth(v)) continue;
      slot[holder[best]] = -1;
    }
    holder[best] = v;
    slot[v] = best;
  }
  return slot;
}

}  // namespace lumen::cpu
