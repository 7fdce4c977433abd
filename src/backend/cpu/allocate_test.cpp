// Live ranges over loops, and linear scan: slots never shared by values that live at once.
#include "backend/cpu/allocate.h"

#include <gtest/gtest.h>

#include <random>

namespace lumen::cpu {
namespace {

TEST(Allocate, RangesStretchOverLoopsTheyEnter) {
  LiveRanges live;
  int before = live.add(), inside = live.add(), after = live.add(), constant = live.add(), unread = live.add();
  live.from_start(constant);
  live.from_start(unread);
  live.next();
  live.assign(before);  // 1
  live.next();
  live.enter_loop();  // 2 .. 5
  live.next();
  live.read(before);  // 3
  live.read(constant);
  live.assign(inside);
  live.next();
  live.read(inside);  // 4
  live.assign(after);
  live.next();
  live.leave_loop();
  live.next();
  live.read(after);  // 6
  const auto& r = live.finish();
  EXPECT_EQ(r[before].begin, 3);
  EXPECT_EQ(r[before].end, 11);  // to the loop's end: the next turn reads it
  EXPECT_EQ(r[inside].begin, 7);
  EXPECT_EQ(r[inside].end, 8);
  EXPECT_EQ(r[after].begin, 4);  // from the loop's start: a turn's value must survive to the end
  EXPECT_EQ(r[after].end, 12);
  EXPECT_EQ(r[constant].begin, 0);
  EXPECT_EQ(r[constant].end, 11);
  EXPECT_EQ(r[unread].begin, -1);
  EXPECT_GT(r[inside].weight, r[after].weight - 1);
}

TEST(Allocate, PassesASlotOnAndTakesHints) {
  LiveRanges live;
  int a = live.add(), b = live.add(), c = live.add();
  live.next();
  live.assign(a);
  live.assign(b);
  live.next();
  live.read(a);
  live.read(b);
  live.assign(c);
  live.hint(c, b);
  live.next();
  live.read(c);
  std::vector<int> slot = allocate(live.finish(), 2);
  EXPECT_NE(slot[a], slot[b]);
  EXPECT_EQ(slot[c], slot[b]);
}

TEST(Allocate, GivesWayWhereTooManyLive) {
  LiveRanges live;
  std::vector<int> v;
  for (int i = 0; i < 5; ++i) v.push_back(live.add());
  live.next();
  for (int x : v) live.assign(x);
  live.next();
  live.enter_loop();
  for (int i = 0; i < 3; ++i) live.read(v[static_cast<size_t>(i)]);
  live.next();
  live.leave_loop();
  live.next();
  for (int x : v) live.read(x);
  std::vector<int> slot = allocate(live.finish(), 3);
  for (int i = 0; i < 3; ++i) EXPECT_GE(slot[static_cast<size_t>(v[static_cast<size_t>(i)])], 0);  // those the loop reads
  EXPECT_LT(slot[static_cast<size_t>(v[3])], 0);
  EXPECT_LT(slot[static_cast<size_t>(v[4])], 0);
}

TEST(Allocate, RandomRangesNeverMeetInASlot) {
  std::mt19937 rng(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<LiveRanges::Range> ranges(60);
    for (auto& r : ranges) {
      r.begin = static_cast<int>(rng() % 100);
      r.end = r.begin + static_cast<int>(rng() % 20);
      r.weight = static_cast<double>(rng() % 100);
    }
    int slots = 1 + static_cast<int>(rng() % 12);
    std::vector<int> slot = allocate(ranges, slots);
    for (size_t i = 0; i < ranges.size(); ++i) {
      ASSERT_LT(slot[i], slots);
      for (size_t j = 0; j < i; ++j)
        if (slot[i] >= 0 && slot[i] == slot[j]) {
          ASSERT_TRUE(ranges[i].end < ranges[j].begin || ranges[j].end < ranges[i].begin);
        }
    }
  }
}

}  // namespace
}  // namespace lumen::cpu
