// Kernels on a WebGPU device against the interpreter on the same IR after the passes. Skipped where there is no library or no
// Vulkan driver. Tolerances: WGSL allows a division 2.5 ulp and exp(x) 3 + 2|x| ulp, and a fused multiply-add may round twice;
// a code of requantised activations may then fall on the other side of a half, which is rare and one step.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "backend/webgpu/webgpu_target.h"
#include "compiler/loops/builder.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/run_function.h"
#include "compiler/sema/library.h"

namespace lumen {
namespace {

using sema::StaticValue;

const sema::Library& library() {
  static sema::Library lib = sema::Library::standard().take();
  return lib;
}

std::string missing;

Target* device() {
  static std::unique_ptr<Target> target = [] {
    auto t = make_webgpu_target();
    if (t) return t.take();
    missing = t.error().message;
    return std::unique_ptr<Target>();
  }();
  return target.get();
}

#define NEEDS_DEVICE() \
  if (!device()) GTEST_SKIP() << missing

// Random storage: integer fields any bits, floats of moderate size.
void fill(ir::Tensor& t, std::mt19937& rng) {
  std::uniform_real_distribution<float> real(-1, 1);
  auto put = [&](uint8_t* at, DType d, float x) {
    if (d == DType::F32)
      std::memcpy(at, &x, 4);
    else {
      uint16_t h = d == DType::F16 ? float_to_half(x) : float_to_bfloat(x);
      std::memcpy(at, &h, 2);
    }
  };
  if (!t.type.format) {
    int size = size_of(t.type.scalar);
    for (size_t i = 0; i < t.data.size(); i += size) {
      if (is_float(t.type.scalar))
        put(&t.data[i], t.type.scalar, real(rng));
      else
        for (int b = 0; b < size; ++b) t.data[i + b] = static_cast<uint8_t>(rng());
    }
    return;
  }
  const ir::FormatType& f = *t.type.format;
  for (size_t b = 0; b + f.block_bytes <= t.data.size(); b += f.block_bytes)
    for (const ir::FormatField& fd : f.fields)
      for (int i = 0; i < fd.count; ++i) {
        uint8_t* at = &t.data[b + fd.offset + i * size_of(fd.type)];
        if (is_float(fd.type))
          put(at, fd.type, 0.02f * real(rng));
        else
          for (int x = 0; x < size_of(fd.type); ++x)
            at[x] = static_cast<uint8_t>(fd.type == DType::U8 && f.fields.size() == 2 && fd.count == 1 ? 110 + rng() % 16 : rng());
      }
}

int cases = 0;

// Largest product of the lengths of a row of x and a row of w: what reassociating a dot product's sum may move, times an ulp or so.
double dot_scale(const std::map<std::string, ir::Tensor>& params) {
  if (!params.count("x") || !params.count("w")) return 0;
  double scale = 1;
  for (const char* name : {"x", "w"}) {
    const ir::Tensor& t = params.at(name);
    std::vector<float> v = ir::to_floats(t);
    int64_t k = t.type.dims.back().value;
    double longest = 0;
    for (size_t r = 0; r + k <= v.size(); r += k) {
      double sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += static_cast<double>(v[r + i]) * v[r + i];
      longest = std::max(longest, std::sqrt(sum));
    }
    scale *= longest;
  }
  return scale;
}

// Bytes of requantised activations that differ; asserts that no code is off by more than one step.
int differing_codes(const ir::Tensor& want, const ir::Tensor& got, const std::string& what) {
  int n = 0;
  for (size_t i = 0; i < want.data.size(); ++i) n += want.data[i] != got.data[i];
  if (n == 0) return 0;
  std::vector<float> x = ir::to_floats(want), y = ir::to_floats(got);
  float peak = 0;
  for (float v : x) peak = std::max(peak, std::abs(v));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1.01 * peak / 127) << what << ": requantised activations at " << i;
  std::printf("%s: %d bytes of %zu of the requantised activations differ\n", what.c_str(), n, want.data.size());
  EXPECT_LE(n, 4 + static_cast<int>(want.data.size() / 50)) << what;
  return n;
}

void compare(const ir::Function& f, std::map<std::string, ir::Tensor> params, const std::map<std::string, int64_t>& symbols, int hint,
             const std::string& what) {
  if (std::getenv("LUMEN_TEST_TRACE")) std::fprintf(stderr, "%s\n", what.c_str());
  std::map<std::string, ir::Tensor> mine = params;
  double scale = dot_scale(params);
  ir::Bindings b;
  for (auto& [name, t] : params) b.params[name] = &t;
  b.symbols = symbols;
  auto want = ir::interpret(f, b);
  ASSERT_TRUE(want) << what << ": " << want.error().message;
  std::map<std::string, ir::Tensor*> args;
  for (auto& [name, t] : mine) args[name] = &t;
  auto got = plan::run_function(f, *device(), args, symbols, hint);
  ASSERT_TRUE(got) << what << ": " << got.error().message;
  ++cases;
  int moved = 0;
  for (size_t r = 0; r < want->size(); ++r)
    if ((*want)[r].type.format) moved += differing_codes((*want)[r], (*got)[r], what);
  double relative = moved ? 1e-2 : 4e-6;
  for (size_t r = 0; r < want->size(); ++r) {
    const ir::Tensor &w = (*want)[r], &g = (*got)[r];
    if (w.type.format) continue;
    std::vector<float> x = ir::to_floats(w), y = ir::to_floats(g);
    ASSERT_EQ(x.size(), y.size());
    double most = scale;
    for (float v : x) most = std::max(most, std::abs(static_cast<double>(v)));
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], relative * most + 1e-30) << what << " at " << i << " of " << x.size();
  }
  for (auto& [name, t] : params)  // states
    if (t.type.scalar == DType::F16 && !t.type.format) {
      std::vector<float> x = ir::to_floats(t), y = ir::to_floats(mine[name]);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(x[i], y[i], 1e-3 * std::abs(x[i]) + 1e-6) << what << ": state " << name << " at " << i;
    }
}

ir::Function elaborate(const std::string& fn, const std::map<std::string, StaticValue>& bind) {
  auto f = sema::elaborate_function(library(), fn, bind);
  EXPECT_TRUE(f) << f.error().message;
  return f ? f.take() : ir::Function{};
}

ir::FormatRef activation(int group) {
  auto f = library().format("act_q8<" + std::to_string(group) + ">");
  return f ? *f : nullptr;
}

ir::Type concrete(ir::Type t, const std::map<std::string, int64_t>& symbols) {
  for (ir::Dim& d : t.dims)
    if (!d.is_const()) d = ir::Dim(symbols.at(d.symbol));
  return t;
}

std::map<std::string, ir::Tensor> random_params(const ir::Function& f, const std::map<std::string, int64_t>& symbols, uint32_t seed) {
  std::mt19937 rng(seed);
  std::map<std::string, ir::Tensor> out;
  for (const ir::Value& v : f.values)
    if (v.kind == ir::ValueKind::Param) {
      ir::Tensor t = ir::make_tensor(concrete(v.type, symbols));
      fill(t, rng);
      out[v.name] = std::move(t);
    }
  return out;
}

void linear(const std::string& name, int64_t k, int64_t n, int64_t t, bool integer) {
  auto format = library().format(name);
  ASSERT_TRUE(format) << name;
  std::map<std::string, StaticValue> bind = {{"K", k}, {"N", n}};
  bind["W"] = *format ? StaticValue(*format) : StaticValue(name);
  ir::Function f = elaborate("linear", bind);
  passes::Options o;
  o.integer_dots = integer;
  o.activation = activation;
  passes::run(f, o);
  for (const ir::Value& v : f.values)  // requantised activations are results too
    if (v.kind == ir::ValueKind::Compute && v.type.format) f.results.push_back(v.id);
  auto params = random_params(f, {{"T", t}}, static_cast<uint32_t>(k * 31 + n * 7 + t));
  compare(
      f, params, {{"T", t}}, t == 1 ? 1 : 0,
      "linear<" + name + "> K=" + std::to_string(k) + " N=" + std::to_string(n) + " T=" + std::to_string(t) + (integer ? "" : " exact"));
}

TEST(WebGpu, LinearInEveryFormat) {
  NEEDS_DEVICE();
  for (const std::string& name : library().format_names()) {
    auto format = library().format(name);
    if (!format || (*format && (*format)->row_planes)) continue;  // takes parameters; or not a weight's
    int64_t block = *format ? (*format)->block : 1;
    int64_t k = block == 1 ? 7 : block < 64 ? 3 * block : block;
    for (bool integer : {true, false}) {
      linear(name, k, 5, 3, integer);
      if (HasFatalFailure()) return;
      if (!*format) break;  // plain numbers have no integer path
    }
  }
}

TEST(WebGpu, LinearOfManyRows) {  // several workgroups, the last one partly filled; tokens one and many
  NEEDS_DEVICE();
  for (const char* name : {"f32", "q4_0", "q4_k", "q6_k"})
    for (int64_t t : {1, 9}) {
      linear(name, 512, 577, t, true);
      if (HasFatalFailure()) return;
    }
}

TEST(WebGpu, RowsOfTheLibrary) {
  NEEDS_DEVICE();
  struct Case {
    const char* fn;
    std::map<std::string, StaticValue> bind;
  };
  std::vector<Case> all = {{"rms_norm", {{"D", int64_t{576}}, {"eps", 1e-5}}},
                           {"rms_norm", {{"D", int64_t{13}}, {"eps", 1e-5}}},
                           {"head_rms_norm", {{"H", int64_t{3}}, {"C", int64_t{64}}, {"eps", 1e-6}}},
                           {"softmax", {{"D", int64_t{100}}}},
                           {"bias_add", {{"N", int64_t{33}}}},
                           {"rope", {{"H", int64_t{3}}, {"C", int64_t{64}}, {"F", int64_t{32}}}},
                           {"rope", {{"H", int64_t{2}}, {"C", int64_t{40}}, {"F", int64_t{10}}}}};
  for (const Case& c : all)
    for (int64_t t : {1, 5, 130}) {
      ir::Function f = elaborate(c.fn, c.bind);
      passes::run(f, {});
      auto params = random_params(f, {{"T", t}}, 5);
      if (params.count("pos"))
        for (int64_t i = 0; i < t; ++i) {
          int32_t p = static_cast<int32_t>(i * 1009);
          std::memcpy(&params["pos"].data[static_cast<size_t>(i) * 4], &p, 4);
        }
      compare(f, std::move(params), {{"T", t}}, 0, std::string(c.fn) + " T=" + std::to_string(t));
      if (HasFatalFailure()) return;
    }
}

TEST(WebGpu, AttentionOverPages) {
  NEEDS_DEVICE();
  struct Case {
    int64_t h, g, c, window;
  };
  for (Case s : {Case{4, 2, 64, 0}, Case{2, 2, 20, 5}}) {
    ir::Function f = elaborate("attention", {{"H", s.h},
                                             {"G", s.g},
                                             {"C", s.c},
                                             {"D", s.c},
                                             {"KF", std::string("f16")},
                                             {"VF", std::string("f16")},
                                             {"window", s.window},
                                             {"scale", 1.0 / std::sqrt(static_cast<double>(s.c))}});
    passes::run(f, {});
    std::map<std::string, int64_t> symbols = {{"T", 3}, {"S", 2}, {"B", 4}, {"P", 8}};
    auto params = random_params(f, symbols, 3);
    auto set = [&](const char* name, std::vector<int32_t> v) {
      ASSERT_TRUE(params.count(name)) << name;
      std::memcpy(params[name].data.data(), v.data(), v.size() * 4);
    };
    set("seq", {0, 1, 1});
    set("pos", {70, 3, 33});
    set("table", {5, 0, 7, 1, 2, 3, 4, 6});
    compare(f, params, symbols, 0,
            "attention H=" + std::to_string(s.h) + " C=" + std::to_string(s.c) + " window=" + std::to_string(s.window));
    if (HasFatalFailure()) return;
  }
}

// Bytes at any place: neither copies nor stores may touch their neighbours.
TEST(WebGpu, CopiesOfAnyLength) {
  NEEDS_DEVICE();
  auto b = device()->allocate(64);
  ASSERT_TRUE(b) << b.error().message;
  std::vector<uint8_t> want(64, 0xAB), got(64);
  ASSERT_TRUE(device()->upload(**b, 0, want));
  std::mt19937 rng(1);
  for (int i = 0; i < 40; ++i) {
    size_t at = rng() % 64, n = rng() % (64 - at + 1);
    std::vector<uint8_t> bytes(n);
    for (uint8_t& x : bytes) x = static_cast<uint8_t>(rng());
    std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<long>(at));
    ASSERT_TRUE(device()->upload(**b, static_cast<int64_t>(at), bytes));
    std::vector<uint8_t> part(64 - at);
    ASSERT_TRUE(device()->download(**b, static_cast<int64_t>(at), part));
    ASSERT_TRUE(std::equal(part.begin(), part.end(), want.begin() + static_cast<long>(at))) << i;
  }
  ASSERT_TRUE(device()->download(**b, 0, got));
  EXPECT_EQ(got, want);
  EXPECT_FALSE(device()->upload(**b, 60, std::vector<uint8_t>(5)));
  EXPECT_FALSE(device()->download(**b, -1, got));
}

TEST(WebGpu, MisuseIsAnError) {
  NEEDS_DEVICE();
  loops::Builder b("twice");
  int out = b.buffer("y", loops::BufferKind::Output);
  b.store(b.i32(1, 1), DType::U8, {out, b.begin(), {}, 0});
  auto code = device()->compile(b.take());
  ASSERT_TRUE(code) << code.error().message;
  auto memory = device()->allocate(1024);
  ASSERT_TRUE(memory);
  EXPECT_FALSE(device()->launch(**code, {}, {}, 1));
  BufferArg odd[] = {{memory->get(), 4}};
  EXPECT_FALSE(device()->launch(**code, odd, {}, 1));
  BufferArg fine[] = {{memory->get(), 256}};
  std::vector<uint8_t> bytes(1024, 7);
  ASSERT_TRUE(device()->upload(**memory, 0, bytes));
  ASSERT_TRUE(device()->launch(**code, fine, {}, 130));  // neighbours in one word, by different invocations
  ASSERT_TRUE(device()->download(**memory, 0, bytes));
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], i >= 256 && i < 256 + 130 ? 1 : 7) << i;
  EXPECT_FALSE(device()->allocate(int64_t{1} << 40));
}

TEST(WebGpu, AMissingLibraryIsNamed) {
  auto t = make_webgpu_target({"/nowhere/libwgpu.so"});
  ASSERT_FALSE(t);
  EXPECT_NE(t.error().message.find("scripts/fetch_wgpu.sh"), std::string::npos) << t.error().message;
  EXPECT_NE(t.error().message.find("/nowhere/libwgpu.so"), std::string::npos) << t.error().message;
}

TEST(WebGpu, Count) {
  NEEDS_DEVICE();
  std::printf("%d kernel cases compared with the interpreter\n", cases);
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace lumen
