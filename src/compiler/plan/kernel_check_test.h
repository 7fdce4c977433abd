// Runs a case of kernel_cases_test.h on devices and compares results and states with the interpreter's.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "compiler/plan/kernel_cases_test.h"
#include "compiler/plan/run_function.h"

namespace lumen::kernel_cases {

// How far a device may be from the interpreter.
struct Tolerance {
  double relative = 1e-6;       // of the result's scale
  bool codes_may_step = false;  // requantised codes are equal to the bit, or may fall on the other side of a half: rare, and one step
};

inline int compared = 0;  // cases times devices

// Largest product of the lengths of a row of x and a row of w: what reassociating a dot product's sum may move, times an ulp or so.
inline double dot_scale(const Params& params) {
  if (!params.count("x") || !params.count("w")) return 0;
  double scale = 1;
  for (const char* name : {"x", "w"}) {
    const ir::Tensor& t = params.at(name);
    std::vector<float> v = ir::to_floats(t);
    size_t k = static_cast<size_t>(t.type.dims.back().value);
    double longest = 0;
    for (size_t r = 0; r + k <= v.size(); r += k) {
      double sum = 0;
      for (size_t i = 0; i < k; ++i) sum += static_cast<double>(v[r + i]) * v[r + i];
      longest = std::max(longest, std::sqrt(sum));
    }
    scale *= longest;
  }
  return scale;
}

// Requantised activations; true where a code differs.
inline bool check_codes(const ir::Tensor& want, const ir::Tensor& got, const Tolerance& tolerance, const std::string& what) {
  if (want.data == got.data) return false;
  EXPECT_TRUE(tolerance.codes_may_step) << what << ": requantised activations differ";
  int n = 0;
  for (size_t i = 0; i < want.data.size(); ++i) n += want.data[i] != got.data[i];
  std::printf("%s: %d bytes of %zu of the requantised activations differ\n", what.c_str(), n, want.data.size());
  EXPECT_LE(n, 4 + static_cast<int>(want.data.size() / 50)) << what;
  std::vector<float> x = ir::to_floats(want), y = ir::to_floats(got);
  float peak = 0;
  for (float v : x) peak = std::max(peak, std::abs(v));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1.01 * peak / 127) << what << ": requantised activations at " << i;
  return true;
}

inline void check_floats(const ir::Tensor& want, const ir::Tensor& got, double scale, double relative, const std::string& what) {
  std::vector<float> x = ir::to_floats(want), y = ir::to_floats(got);
  ASSERT_EQ(x.size(), y.size()) << what;
  for (float v : x) scale = std::max(scale, std::abs(static_cast<double>(v)));
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(x[i], y[i], relative * (scale + std::abs(x[i])) + 1e-30) << what << " at " << i << " of " << x.size();
}

inline std::map<std::string, ir::Tensor*> pointers(Params& params) {
  std::map<std::string, ir::Tensor*> out;
  for (auto& [name, t] : params) out[name] = &t;
  return out;
}

// Runs the case on the device: all results and states must be `want` and `states`, the interpreter's.
inline void check_device(const Case& c, Target& device, const std::vector<ir::Tensor>& want, const Params& states,
                         const Tolerance& tolerance) {
  std::string what = c.what + " on " + device.machine().name;
  Params mine = c.params;
  auto got = plan::run_function(c.f, device, pointers(mine), c.symbols, c.token_hint);
  ASSERT_TRUE(got) << what << ": " << got.error().message;
  ASSERT_EQ(got->size(), want.size()) << what;
  ++compared;
  bool stepped = false;
  for (size_t r = 0; r < want.size(); ++r)
    if (want[r].type.format) stepped |= check_codes(want[r], (*got)[r], tolerance, what);
  double relative = stepped ? 1e-2 : tolerance.relative, scale = dot_scale(c.params);
  for (size_t r = 0; r < want.size(); ++r)
    if (!want[r].type.format) check_floats(want[r], (*got)[r], scale, relative, what);
  for (const auto& [name, t] : states) {
    if (t.type.scalar != DType::F16 || t.type.format) continue;
    std::vector<float> x = ir::to_floats(t), y = ir::to_floats(mine[name]);
    for (size_t i = 0; i < x.size(); ++i)  // half a step of f16, and what the step before may move
      ASSERT_NEAR(x[i], y[i], 1e-3 * std::abs(x[i]) + 1e-6) << what << ": state " << name << " at " << i;
  }
}

// A result must not depend on the plan: with each of `hints`, the same bytes. Gives the first's.
inline ir::Tensor check_plans(const Case& c, Target& device, std::initializer_list<int> hints) {
  std::optional<ir::Tensor> first;
  for (int hint : hints) {
    Params mine = c.params;
    auto got = plan::run_function(c.f, device, pointers(mine), c.symbols, hint);
    EXPECT_TRUE(got) << c.what << ": " << got.error().message;
    if (!got) return {};
    ++compared;
    if (first) EXPECT_TRUE(first->data == (*got)[0].data) << c.what << " on " << device.machine().name << ": a plan with hint " << hint << " rounds otherwise";
    else first = (*got)[0];
  }
  return *first;
}

inline void check(const Case& c, const std::vector<Target*>& devices, const Tolerance& tolerance) {
  if (std::getenv("LUMEN_TEST_TRACE")) std::fprintf(stderr, "%s\n", c.what.c_str());
  Params params = c.params;
  ir::Bindings b;
  b.params = pointers(params);
  b.symbols = c.symbols;
  auto want = ir::interpret(c.f, b);
  ASSERT_TRUE(want) << c.what << ": " << want.error().message;
  for (Target* device : devices) check_device(c, *device, *want, params, tolerance);
}

}  // namespace lumen::kernel_cases
