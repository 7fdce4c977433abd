// Every kernel of the standard library and every format, on this CPU's levels, against the interpreter on the same IR after the
// passes: requantised activations equal to the bit, floats within the reassociation of their sums.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "backend/cpu/cpu_target.h"
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

std::vector<std::unique_ptr<Target>>& targets() {
  static std::vector<std::unique_ptr<Target>> all = [] {
    std::vector<std::unique_ptr<Target>> t;
    for (const char* level : {"avx2", "avx512", "avx512vnni"}) {
      bool here = std::string(level) == "avx2" ? __builtin_cpu_supports("avx2")
                  : std::string(level) == "avx512" ? __builtin_cpu_supports("avx512bw")
                                                   : __builtin_cpu_supports("avx512vnni");
      if (!here) {
        std::printf("this CPU has no %s: its kernels are not run here\n", level);
        continue;
      }
      t.push_back(make_cpu_target({level, 2}).take());
    }
    return t;
  }();
  return all;
}

// Random storage: integer fields any bits, floats of moderate size.
void fill(ir::Tensor& t, std::mt19937& rng) {
  std::uniform_real_distribution<float> real(-1, 1);
  auto put = [&](uint8_t* at, DType d, float x) {
    if (d == DType::F32) std::memcpy(at, &x, 4);
    else {
      uint16_t h = d == DType::F16 ? float_to_half(x) : float_to_bfloat(x);
      std::memcpy(at, &h, 2);
    }
  };
  if (!t.type.format) {
    int size = size_of(t.type.scalar);
    for (size_t i = 0; i < t.data.size(); i += size) {
      if (is_float(t.type.scalar)) put(&t.data[i], t.type.scalar, real(rng));
      else for (int b = 0; b < size; ++b) t.data[i + b] = static_cast<uint8_t>(rng());
    }
    return;
  }
  const ir::FormatType& f = *t.type.format;
  for (size_t b = 0; b + f.block_bytes <= t.data.size(); b += f.block_bytes)
    for (const ir::FormatField& fd : f.fields)
      for (int i = 0; i < fd.count; ++i) {
        uint8_t* at = &t.data[b + fd.offset + i * size_of(fd.type)];
        if (is_float(fd.type)) put(at, fd.type, 0.02f * real(rng));
        else for (int x = 0; x < size_of(fd.type); ++x) at[x] = static_cast<uint8_t>(fd.type == DType::U8 && f.fields.size() == 2 && fd.count == 1 ? 110 + rng() % 16 : rng());
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

// Runs f on every target, compares all results with the interpreter's.
void compare(const ir::Function& f, std::map<std::string, ir::Tensor> params, const std::map<std::string, int64_t>& symbols, int hint, const std::string& what) {
  std::map<std::string, ir::Tensor> fresh = params;
  if (std::getenv("LUMEN_TEST_TRACE")) std::fprintf(stderr, "%s\n", what.c_str());
  ir::Bindings b;
  for (auto& [name, t] : params) b.params[name] = &t;
  b.symbols = symbols;
  auto want = ir::interpret(f, b);
  ASSERT_TRUE(want) << what << ": " << want.error().message;
  for (auto& target : targets()) {
    std::map<std::string, ir::Tensor> mine = fresh;
    std::map<std::string, ir::Tensor*> args;
    for (auto& [name, t] : mine) args[name] = &t;
    auto got = plan::run_function(f, *target, args, symbols, hint);
    ASSERT_TRUE(got) << what << " on " << target->machine().name << ": " << got.error().message;
    ++cases;
    for (size_t r = 0; r < want->size(); ++r) {
      const ir::Tensor &w = (*want)[r], &g = (*got)[r];
      if (w.type.format) {
        ASSERT_EQ(w.data, g.data) << what << " on " << target->machine().name << ": requantised activations differ";
        continue;
      }
      std::vector<float> x = ir::to_floats(w), y = ir::to_floats(g);
      ASSERT_EQ(x.size(), y.size());
      double scale = dot_scale(fresh);
      for (float v : x) scale = std::max(scale, std::abs(static_cast<double>(v)));
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(x[i], y[i], 1e-6 * scale + 1e-6 * std::abs(x[i]) + 1e-30) << what << " on " << target->machine().name << " at " << i << " of " << x.size();
    }
    for (auto& [name, t] : params)  // states
      if (t.type.scalar == DType::F16 && !t.type.format) {
        std::vector<float> x = ir::to_floats(t), y = ir::to_floats(mine[name]);
        for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-3 * std::abs(x[i]) + 1e-6) << what << ": state " << name << " at " << i;
      }
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

TEST(Kernels, LinearInEveryFormat) {
  std::vector<std::string> formats = library().format_names();
  for (const std::string& name : formats) {
    auto format = library().format(name);
    if (!format) continue;  // takes parameters
    if (*format && (*format)->row_planes) continue;
    int block = *format ? (*format)->block : 1;
    std::vector<int64_t> widths = block == 1 ? std::vector<int64_t>{1, 7, 64, 96} : block <= 64 ? std::vector<int64_t>{block, 3 * block, 576 / block * block}
                                                                                               : std::vector<int64_t>{block, 2 * block};
    StaticValue w = *format;
    for (int64_t k : widths)
      for (int64_t n : {1, 16, 41})
        for (int64_t t : {1, 3, 9})
          for (bool integer : {true, false}) {
            std::map<std::string, StaticValue> bind = {{"K", k}, {"N", n}};
            bind["W"] = *format ? w : StaticValue(name);
            ir::Function f = elaborate("linear", bind);
            passes::Options o;
            o.integer_dots = integer;
            o.activation = activation;
            passes::run(f, o);
            for (const ir::Value& v : f.values)  // requantised activations are results too
              if (v.kind == ir::ValueKind::Compute && v.type.format) f.results.push_back(v.id);
            auto params = random_params(f, {{"T", t}}, static_cast<uint32_t>(k * 31 + n * 7 + t));
            compare(f, params, {{"T", t}}, t == 1 ? 1 : t == 3 ? 4 : 0,
                    "linear<" + name + "> K=" + std::to_string(k) + " N=" + std::to_string(n) + " T=" + std::to_string(t) + (integer ? "" : " exact"));
            if (HasFatalFailure()) return;
          }
  }
}

TEST(Kernels, RowsOfTheLibrary) {
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
    for (int64_t t : {1, 5}) {
      ir::Function f = elaborate(c.fn, c.bind);
      passes::run(f, {});
      compare(f, random_params(f, {{"T", t}}, 5), {{"T", t}}, 0, std::string(c.fn) + " T=" + std::to_string(t));
      if (HasFatalFailure()) return;
    }
}

TEST(Kernels, AttentionOverPages) {
  struct Case {
    int64_t h, g, c, window;
  };
  for (Case s : {Case{9, 3, 64, 0}, Case{4, 1, 256, 0}, Case{4, 4, 32, 5}, Case{14, 2, 64, 40}, Case{2, 1, 20, 0}}) {
    ir::Function f = elaborate("attention", {{"H", s.h}, {"G", s.g}, {"C", s.c}, {"D", s.c}, {"KF", std::string("f16")}, {"VF", std::string("f16")},
                                             {"window", s.window}, {"scale", 1.0 / std::sqrt(static_cast<double>(s.c))}});
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
    compare(f, params, symbols, 0, "attention H=" + std::to_string(s.h) + " C=" + std::to_string(s.c) + " window=" + std::to_string(s.window));
    if (HasFatalFailure()) return;
  }
}

TEST(Kernels, Count) {
  std::printf("%d kernel cases compared with the interpreter\n", cases);
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace lumen
