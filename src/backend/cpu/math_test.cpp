// exp, log, sin, cos and tanh against libm in double: over many values and all kinds of edges; the largest errors are printed.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_target.h"
#include "backend/cpu/kernel_check.h"

namespace lumen::cpu {
namespace {

using namespace loops;

std::vector<float> compute(LOp op, const std::vector<float>& x, int lanes) {
  Builder b("math");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  b.kernel().grain = 4096;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg at = b.mul_imm(i, lanes * 4);
    b.store(b.op(op, {b.load(Ty::F32, lanes, DType::F32, {in, at})}), DType::F32, {out, at});
  });
  Target& t = target("avx2");
  auto code = t.compile(b.kernel());
  std::vector<float> y(x.size());
  if (!code) {
    ADD_FAILURE() << code.error().message;
    return y;
  }
  auto source = t.wrap(reinterpret_cast<const uint8_t*>(x.data()), static_cast<int64_t>(x.size() * 4)).take();
  auto result = t.wrap(reinterpret_cast<const uint8_t*>(y.data()), static_cast<int64_t>(y.size() * 4)).take();
  BufferArg args[] = {{source.get(), 0}, {result.get(), 0}};
  EXPECT_TRUE(t.launch(**code, args, {}, static_cast<int64_t>(x.size()) / lanes));
  return y;
}

// Distance from the exact value in units of its float's last place.
double error_of(float got, double exact) {
  float rounded = static_cast<float>(exact);
  if (std::isnan(exact) || std::isinf(rounded) || std::isnan(got) || std::isinf(got)) return ulp_distance(got, rounded);
  float magnitude = std::fabs(rounded);
  double ulp = std::nextafter(magnitude, INFINITY) - static_cast<double>(magnitude);
  return std::fabs(got - exact) / ulp;
}

void test_function(LOp op, double (*exact)(double), double lowest, double highest, double allowed) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 4099) {  // every kind of float
    float f = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isnan(f) || std::isinf(f) || (f >= lowest && f <= highest)) x.push_back(f);
  }
  for (int i = 0; i < 400000; ++i)
    x.push_back(static_cast<float>(std::max(lowest, -100.0) + (std::min(highest, 100.0) - std::max(lowest, -100.0)) * i / 400000));
  for (float f : {0.0f, -0.0f, 1.0f, -1.0f, 0.625f, 88.72283f, 88.72284f, -87.33655f, -103.97f, -104.0f, 1e-45f, 3e38f, -3e38f, INFINITY,
                  -INFINITY, NAN})
    if (std::isnan(f) || std::isinf(f) || (f >= lowest && f <= highest)) x.push_back(f);
  while (x.size() % 8) x.push_back(0.5f);
  std::vector<float> y = compute(op, x, 8);
  double worst = 0;
  float at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double e = error_of(y[i], exact(static_cast<double>(x[i])));
    if (e > worst) worst = e, at = x[i];
  }
  std::printf("%s: %zu values, largest error %.3f ulp at %.9g\n", std::string(name(op)).c_str(), x.size(), worst, at);
  EXPECT_LE(worst, allowed) << name(op) << " at " << at;
  std::vector<float> few(x.begin(), x.begin() + 1000), narrow = compute(op, few, 1);
  for (size_t i = 0; i < few.size(); ++i) ASSERT_EQ(ulp_distance(narrow[i], y[i]), 0) << name(op) << " of one lane at " << few[i];
}

constexpr double kAll = 3.5e38;
TEST(Math, Exp) { test_function(LOp::Exp, std::exp, -kAll, kAll, 2); }
TEST(Math, Log) { test_function(LOp::Log, std::log, -kAll, kAll, 2); }
TEST(Math, Sin) { test_function(LOp::Sin, std::sin, -1e5, 1e5, 2); }
TEST(Math, Cos) { test_function(LOp::Cos, std::cos, -1e5, 1e5, 2); }
TEST(Math, Tanh) { test_function(LOp::Tanh, std::tanh, -kAll, kAll, 4); }

TEST(Math, SinesOfWholeNumbers) {  // rope's angles at position p, first pair: p itself
  std::vector<float> x;
  for (int i = 0; i <= 100000; ++i) x.push_back(static_cast<float>(i));
  while (x.size() % 8) x.push_back(0);
  std::vector<float> s = compute(LOp::Sin, x, 8), c = compute(LOp::Cos, x, 8);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max({worst, error_of(s[i], std::sin(static_cast<double>(x[i]))), error_of(c[i], std::cos(static_cast<double>(x[i])))});
  std::printf("sin, cos of 0 .. 100000: largest error %.3f ulp\n", worst);
  EXPECT_LE(worst, 2);
}

}  // namespace
}  // namespace lumen::cpu
