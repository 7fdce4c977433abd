// The machine's readings come from another process.
#include "measure/prober.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace lumen::measure {
namespace {

TEST(Prober, ReadsAndCounts) {
  double parent = static_cast<double>(getpid());
  auto p = Prober::start(2, [parent](ThreadTeam& team) {
    return ArithmeticPeak{team.size() * 100.0, static_cast<double>(getpid()) == parent ? 1.0 : 2.0};
  });
  ASSERT_TRUE(p.ok());
  for (int64_t bytes : {int64_t{0}, int64_t{64} << 20, int64_t{1} << 40}) {
    auto r = (*p)->measure(bytes);
    ASSERT_TRUE(r.ok()) << r.error().message;
    EXPECT_GT(r->read_bytes, 1e8);
    EXPECT_EQ(r->peak.int8_ops, 200);
    EXPECT_EQ(r->peak.f32_ops, 2);  // not in this process
  }
}

TEST(Prober, ItsDeathIsSaid) {
  auto p = Prober::start(1, [](ThreadTeam&) -> ArithmeticPeak { _exit(1); });
  ASSERT_TRUE(p.ok());
  auto r = (*p)->measure(0);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().message, "the process that measures the machine's bandwidth and arithmetic has died");
}

}  // namespace
}  // namespace lumen::measure
