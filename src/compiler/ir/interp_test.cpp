// The interpreter against straightforward C++: awkward shapes, reductions, dot products in both forms, formats, scatter, errors.
#include "compiler/ir/interp.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compiler/ir/test_support.h"

namespace lumen::ir {
namespace {
using namespace testing;

Tensor run_one(const Function& f, const std::map<std::string, Tensor*>& params, int threads = 1, EncodeHook hook = nullptr) {
  Bindings b;
  b.params = params;
  b.threads = threads;
  b.encode = hook;
  EXPECT_EQ(verify(f), "");
  auto r = interpret(f, b);
  EXPECT_TRUE(r.ok()) << (r ? "" : r.error().message);
  return r && !r->empty() ? std::move((*r)[0]) : Tensor{};
}
std::string error_of(const Function& f, const std::map<std::string, Tensor*>& params, std::map<std::string, int64_t> symbols = {}) {
  Bindings b;
  b.params = params;
  b.symbols = std::move(symbols);
  auto r = interpret(f, b);
  return r ? "" : r.error().message;
}

TEST(Interp, ElementwiseOverAwkwardShapes) {
  for (int64_t n : {1, 7, 8, 63, 64, 65, 130})
    for (int64_t t : {1, 3})
      for (int threads : {1, 3}) {
        Function f;
        int x = add_param(f, "x", type_of(DType::F32, {Dim("T"), n}), Role::Input);
        int w = add_param(f, "w", type_of(DType::F32, {n}), Role::Weight);
        ExprPtr shifted = ld(0, {ix(0), mod(add(ix(1), i32(1)), i32(n))});
        f.results = {add_compute(f, type_of(DType::F32, {Dim("T"), n}), {x, w}, {"t", "n"}, add(mul(shifted, ld(1, {ix(1)})), f32(ix(0))))};
        Tensor xt = tensor(type_of(DType::F32, {t, n}), random_floats(t * n, 1)),
               wt = tensor(type_of(DType::F32, {n}), random_floats(n, 2));
        auto out = values_of<float>(run_one(f, {{"x", &xt}, {"w", &wt}}, threads));
        auto xv = values_of<float>(xt), wv = values_of<float>(wt);
        for (int64_t i = 0; i < t; ++i)
          for (int64_t j = 0; j < n; ++j) {
            float product = xv[i * n + (j + 1) % n] * wv[j];
            ASSERT_EQ(out[i * n + j], product + static_cast<float>(i));
          }
      }
}

TEST(Interp, RankZeroAndEmptyDomains) {
  Function f;
  int x = add_param(f, "x", type_of(DType::I32, {Dim("T")}), Role::Input);
  f.results = {add_compute(f, type_of(DType::I32, {}), {x}, {}, sum(0, i32(0), make_extent("T"), ld(0, {ix(0)}, DType::I32))),
               add_compute(f, type_of(DType::I32, {Dim("T")}), {x}, {"t"}, mul(ld(0, {ix(0)}, DType::I32), i32(2)))};
  for (int64_t n : {0, 5, 100}) {
    std::vector<int32_t> v(n);
    int32_t expect = 0;
    for (int64_t i = 0; i < n; ++i) expect += v[i] = static_cast<int32_t>(i * i - 7);
    Tensor t = tensor(type_of(DType::I32, {n}), v);
    Bindings b;
    b.params = {{"x", &t}};
    auto r = interpret(f, b);
    ASSERT_TRUE(r.ok()) << r.error().message;
    EXPECT_EQ(values_of<int32_t>((*r)[0]), std::vector<int32_t>{expect});
    for (int32_t& i : v) i *= 2;
    EXPECT_EQ(values_of<int32_t>((*r)[1]), v);
  }
}

// y[t] = sum over j < t + 1 of x[j] - max over j of x[t..]: ranges that differ from lane to lane.
TEST(Interp, ReductionsWithBoundsPerLane) {
  int64_t n = 77;
  Function f;
  int x = add_param(f, "x", type_of(DType::F32, {n}), Role::Input);
  ExprPtr up_to = sum(1, i32(0), ix(0), ld(0, {ix(1)}));
  ExprPtr least = make_reduce(Reduction::Min, 2, {ix(0), i32(n), ld(0, {ix(2)})});
  ExprPtr most = make_reduce(Reduction::Max, 3, {ix(0), ix(0), ld(0, {ix(3)})});  // empty: -inf
  f.results = {add_compute(f, type_of(DType::F32, {n}), {x}, {"t"}, add(up_to, make_op(Op::Max, {most, least})))};
  Tensor xt = tensor(type_of(DType::F32, {n}), random_floats(n, 3));
  auto v = values_of<float>(xt), out = values_of<float>(run_one(f, {{"x", &xt}}));
  for (int64_t t = 0; t < n; ++t) {
    double s = 0;
    for (int64_t j = 0; j < t; ++j) s += v[j];
    float m = INFINITY;
    for (int64_t j = t; j < n; ++j) m = std::min(m, v[j]);
    ASSERT_EQ(out[t], static_cast<float>(s) + m) << t;
  }
}

TEST(Interp, IntegerReductions) {
  Function f;
  int x = add_param(f, "x", type_of(DType::U8, {3, 100}), Role::Input);
  auto red = [&](Reduction r, int64_t lo, int64_t hi) { return make_reduce(r, 1, {i32(lo), i32(hi), ld(0, {ix(0), ix(1)}, DType::U8)}); };
  f.results = {add_compute(f, type_of(DType::U8, {3}), {x}, {"t"}, red(Reduction::Sum, 0, 100)),
               add_compute(f, type_of(DType::U8, {3}), {x}, {"t"}, red(Reduction::Max, 0, 0)),
               add_compute(f, type_of(DType::U8, {3}), {x}, {"t"}, red(Reduction::Min, 0, 0))};
  std::vector<uint8_t> v(300);
  std::vector<uint8_t> sums(3);
  for (int i = 0; i < 300; ++i) sums[i / 100] = static_cast<uint8_t>(sums[i / 100] + (v[i] = static_cast<uint8_t>(i * 37)));
  Tensor t = tensor(type_of(DType::U8, {3, 100}), v);
  Bindings b;
  b.params = {{"x", &t}};
  auto r = interpret(f, b);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(values_of<uint8_t>((*r)[0]), sums);
  EXPECT_EQ(values_of<uint8_t>((*r)[1]), (std::vector<uint8_t>{0, 0, 0}));
  EXPECT_EQ(values_of<uint8_t>((*r)[2]), (std::vector<uint8_t>{255, 255, 255}));
}

// Attention: o[t, h, d] over a causal range, with and without sink, for lanes over d and for a scalar d.
TEST(Interp, SoftmaxSum) {
  for (int64_t d_size : {4, 33, 70})
    for (bool sink : {false, true}) {
      int64_t tokens = 5, heads = 2, c = 6, n = 90;
      Function f;
      int q = add_param(f, "q", type_of(DType::F32, {tokens, heads, c}), Role::Input);
      int k = add_param(f, "k", type_of(DType::F32, {n, c}), Role::Input);
      int v = add_param(f, "v", type_of(DType::F32, {n, d_size}), Role::Input);
      int pos = add_param(f, "pos", type_of(DType::I32, {tokens}), Role::Input);
      ExprPtr score = mul(sum(4, i32(0), i32(c), mul(ld(0, {ix(0), ix(1), ix(4)}), ld(1, {ix(3), ix(4)}))), make_float(0.5));
      std::vector<ExprPtr> args = {i32(0), add(ld(3, {ix(0)}, DType::I32), i32(1)), score, ld(2, {ix(3), ix(2)})};
      if (sink) args.push_back(add(make_float(0.25), f32(ix(1))));
      f.results = {add_compute(f, type_of(DType::F32, {tokens, heads, d_size}), {q, k, v, pos}, {"t", "h", "d"},
                               make_reduce(Reduction::SoftmaxSum, 3, args))};
      Tensor qt = tensor(type_of(DType::F32, {tokens, heads, c}), random_floats(tokens * heads * c, 4, 3));
      Tensor kt = tensor(type_of(DType::F32, {n, c}), random_floats(n * c, 5, 3));
      Tensor vt = tensor(type_of(DType::F32, {n, d_size}), random_floats(n * d_size, 6));
      std::vector<int32_t> pv = {-1, 0, 10, 63, 89};
      Tensor pt = tensor(type_of(DType::I32, {tokens}), pv);
      auto out = values_of<float>(run_one(f, {{"q", &qt}, {"k", &kt}, {"v", &vt}, {"pos", &pt}}, 2));
      auto qv = values_of<float>(qt), kv = values_of<float>(kt), vv = values_of<float>(vt);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t h = 0; h < heads; ++h) {
          std::vector<double> s, num(d_size);
          for (int64_t j = 0; j <= pv[t]; ++j) {
            double dot = 0;
            for (int64_t i = 0; i < c; ++i) dot += qv[(t * heads + h) * c + i] * kv[j * c + i];
            s.push_back(dot * 0.5);
          }
          double m = sink ? 0.25 + static_cast<double>(h) : -INFINITY, den = 0;
          for (double x : s) m = std::max(m, x);
          if (sink) den = std::exp(0.25 + static_cast<double>(h) - m);
          for (size_t j = 0; j < s.size(); ++j) {
            double e = std::exp(s[j] - m);
            den += e;
            for (int64_t d = 0; d < d_size; ++d) num[d] += e * vv[static_cast<int64_t>(j) * d_size + d];
          }
          for (int64_t d = 0; d < d_size; ++d)
            ASSERT_NEAR(out[(t * heads + h) * d_size + d], s.empty() ? 0 : num[d] / den, 2e-6) << t << " " << h << " " << d;
        }
    }
}

// The score varies with the lanes' axis, as in writing out the softmax itself.
TEST(Interp, SoftmaxWithScoresPerLane) {
  int64_t n = 40, m = 9;
  Function f;
  int x = add_param(f, "x", type_of(DType::F32, {m, n}), Role::Input);
  f.results = {add_compute(f, type_of(DType::F32, {n}), {x}, {"n"},
                           make_reduce(Reduction::SoftmaxSum, 1, {i32(0), i32(m), ld(0, {ix(1), ix(0)}), f32(ix(1))}))};
  Tensor xt = tensor(type_of(DType::F32, {m, n}), random_floats(m * n, 7, 4));
  auto v = values_of<float>(xt), out = values_of<float>(run_one(f, {{"x", &xt}}));
  for (int64_t i = 0; i < n; ++i) {
    double den = 0, num = 0;
    for (int64_t j = 0; j < m; ++j) {
      den += std::exp(v[j * n + i]);
      num += std::exp(v[j * n + i]) * static_cast<double>(j);
    }
    ASSERT_NEAR(out[i], num / den, 2e-5);
  }
}

// A load that only a non-empty range may execute must not be hoisted past it; a division likewise.
TEST(Interp, EmptyRangesDoNotEvaluateTheirBody) {
  Function f;
  int x = add_param(f, "x", type_of(DType::F32, {4}), Role::Input), n = add_param(f, "n", type_of(DType::I32, {20}), Role::Input);
  ExprPtr count = ld(1, {ix(0)}, DType::I32);
  ExprPtr body = mul(ld(0, {sub(count, i32(1))}), f32(add(div(i32(12), count), ix(1))));
  f.results = {add_compute(f, type_of(DType::F32, {20}), {x, n}, {"t"}, sum(1, i32(0), count, body))};
  Tensor xt = tensor(type_of(DType::F32, {4}), std::vector<float>{1, 2, 3, 4});
  std::vector<int32_t> nv(20);
  for (int i = 0; i < 20; ++i) nv[i] = i % 5;
  Tensor nt = tensor(type_of(DType::I32, {20}), nv);
  auto out = values_of<float>(run_one(f, {{"x", &xt}, {"n", &nt}}));
  for (int i = 0; i < 20; ++i) {
    float expect = 0;
    for (int j = 0; j < nv[i]; ++j) expect += static_cast<float>(nv[i]) * static_cast<float>(12 / nv[i] + j);
    EXPECT_EQ(out[i], expect);
  }
}

TEST(Interp, DecodeAndFormattedLoads) {
  for (FormatRef fmt : {nibbles_format(), two_level_format()}) {
    Tensor w = random_formatted(fmt, 5, 512, 8);
    std::vector<float> all = to_floats(w);
    for (int64_t e = 0; e < 5 * 512; ++e) {
      const uint8_t* block = w.data.data() + e / fmt->block * fmt->block_bytes;
      ASSERT_EQ(all[e], decode(*fmt, block, e % fmt->block));
      float raw = static_cast<float>(eval_block_expr(*fmt, fmt->value, block, e % fmt->block));
      ASSERT_EQ(all[e], raw);
    }
    // The embedding's gather, and a matrix product written as a sum.
    Function f;
    int wp = add_param(f, "w", w.type, Role::Weight), ids = add_param(f, "ids", type_of(DType::I32, {3}), Role::Input);
    int x = add_compute(f, type_of(DType::F32, {3, 512}), {wp, ids}, {"t", "d"}, ld(0, {ld(1, {ix(0)}, DType::I32), ix(1)}));
    f.results = {add_compute(f, type_of(DType::F32, {3, 5}), {x, wp}, {"t", "n"},
                             sum(2, i32(0), i32(512), mul(ld(0, {ix(0), ix(2)}), ld(1, {ix(1), ix(2)}))))};
    std::vector<int32_t> idv = {4, 0, 4};
    Tensor idt = tensor(type_of(DType::I32, {3}), idv);
    auto out = values_of<float>(run_one(f, {{"w", &w}, {"ids", &idt}}, 2));
    for (int t = 0; t < 3; ++t)
      for (int n = 0; n < 5; ++n) {
        double s = 0;
        for (int k = 0; k < 512; ++k) {
          float p = all[idv[t] * 512 + k] * all[n * 512 + k];
          s += p;
        }
        ASSERT_EQ(out[t * 5 + n], static_cast<float>(s));
      }
  }
}

// A format whose value is a sum over a range that differs from element to element, in blocks smaller than the lanes.
TEST(Interp, DecodesSumsOverRangesPerElement) {
  auto f = std::make_shared<FormatType>();
  f->name = "running_sum";
  f->block = 8;
  f->block_bytes = 10;
  f->fields = {{"d", DType::F16, 1, 0}, {"q", DType::I8, 8, 2}};
  f->value =
      mul(f32(field(0, DType::F16, i32(0))), f32(sum(1, i32(0), add(ix(0), i32(1)), make_cast(field(1, DType::I8, ix(1)), DType::I32))));
  Tensor t = random_formatted(f, 3, 200, 21);
  std::vector<float> got = to_floats(t);
  for (int e = 0; e < 600; ++e) {
    const uint8_t* block = t.data.data() + e / 8 * 10;
    uint16_t h;
    std::memcpy(&h, block, 2);
    int s = 0;
    for (int j = 0; j <= e % 8; ++j) s += static_cast<int8_t>(block[2 + j]);
    ASSERT_EQ(got[e], half_to_float(h) * static_cast<float>(s)) << e;
  }
}

TEST(Interp, DotOfFloats) {
  FormatRef fmt = nibbles_format();
  int64_t k = 96, rows = 75, tokens = 2;
  Tensor w = random_formatted(fmt, rows, k, 9);
  Tensor x = tensor(type_of(DType::F32, {tokens, k}), random_floats(tokens * k, 10));
  Function f;
  int xp = add_param(f, "x", x.type, Role::Input), wp = add_param(f, "w", w.type, Role::Weight);
  f.results = {add_compute(f, type_of(DType::F32, {tokens, rows}), {xp, wp}, {"t", "n"}, make_dot(0, {ix(0)}, 1, {ix(1)}))};
  auto out = values_of<float>(run_one(f, {{"x", &x}, {"w", &w}}, 2));
  std::vector<float> wf = to_floats(w), xf = to_floats(x);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t n = 0; n < rows; ++n) {
      double s = 0;
      for (int64_t i = 0; i < k; ++i) s += static_cast<double>(xf[t * k + i]) * wf[n * k + i];
      ASSERT_EQ(out[t * rows + n], static_cast<float>(s));
    }
}

TEST(Interp, DotOfDense16Bit) {
  int64_t k = 21, rows = 70;
  std::vector<uint16_t> h;
  for (float v : random_floats(rows * k, 11)) h.push_back(float_to_half(v));
  Tensor w = tensor(type_of(DType::F16, {rows, k}), h), x = tensor(type_of(DType::F32, {k}), random_floats(k, 12));
  Function f;
  int xp = add_param(f, "x", x.type, Role::Input), wp = add_param(f, "w", w.type, Role::Weight);
  f.results = {add_compute(f, type_of(DType::F32, {rows}), {xp, wp}, {"n"}, make_dot(0, {}, 1, {ix(0)}))};
  auto out = values_of<float>(run_one(f, {{"x", &x}, {"w", &w}}));
  std::vector<float> wf = to_floats(w), xf = to_floats(x);
  for (int64_t n = 0; n < rows; ++n) {
    double s = 0;
    for (int64_t i = 0; i < k; ++i) s += static_cast<double>(xf[i]) * wf[n * k + i];
    ASSERT_EQ(out[n], static_cast<float>(s));
  }
}

// Activations are quantised by a compute; the integer dot product must agree with doubles over the decoded values.
TEST(Interp, DotOfCodes) {
  for (FormatRef fmt : {nibbles_format(), two_level_format()})
    for (int group : {16, 32, 64}) {
      if (fmt->block % group && group % fmt->block) continue;
      FormatRef act = activation_format(group);
      int64_t k = 512, rows = 67, tokens = 2;
      Tensor w = random_formatted(fmt, rows, k, 13);
      Tensor x = tensor(type_of(DType::F32, {tokens, k}), random_floats(tokens * k, 14, 5));
      Function f;
      int xp = add_param(f, "x", x.type, Role::Input), wp = add_param(f, "w", w.type, Role::Weight);
      int q = add_compute(f, type_of(act, {tokens, k}), {xp}, {"t", "k"}, ld(0, {ix(0), ix(1)}));
      int y = add_compute(f, type_of(DType::F32, {tokens, rows}), {q, wp}, {"t", "n"}, make_dot(0, {ix(0)}, 1, {ix(1)}));
      f.results = {y, q};
      Bindings b;
      b.params = {{"x", &x}, {"w", &w}};
      b.threads = 2;
      ASSERT_EQ(verify(f), "");
      auto r = interpret(f, b);
      ASSERT_TRUE(r.ok()) << r.error().message;
      auto out = values_of<float>((*r)[0]);
      std::vector<float> wf = to_floats(w), xf = to_floats((*r)[1]);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t n = 0; n < rows; ++n) {
          double s = 0, size = 0;
          for (int64_t i = 0; i < k; ++i) {
            s += static_cast<double>(xf[t * k + i]) * wf[n * k + i];
            size += std::fabs(static_cast<double>(xf[t * k + i]) * wf[n * k + i]);
          }
          ASSERT_NEAR(out[t * rows + n], s, size * 1e-6) << fmt->name << " " << group;
        }
    }
}

TEST(Interp, AbsMaxEncode) {
  FormatRef act = activation_format(32);
  int64_t k = 96;
  std::vector<float> x = random_floats(k, 15, 9);
  std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
  x[70] = -20;
  std::vector<uint8_t> row(static_cast<size_t>(row_bytes(*act, k)));
  EXPECT_EQ(row.size() % 64, 0u);
  encode_absmax_row(*act, x.data(), k, row.data());
  auto* s = reinterpret_cast<const float*>(row.data() + plane_offset(*act, 0, k));
  auto* q = reinterpret_cast<const int8_t*>(row.data() + plane_offset(*act, 1, k));
  auto* sums = reinterpret_cast<const int16_t*>(row.data() + plane_offset(*act, 2, k));
  EXPECT_EQ(plane_offset(*act, 1, k), 12);
  EXPECT_EQ(plane_offset(*act, 2, k), 12 + 96);
  for (int64_t g = 0; g < k / 32; ++g) {
    float a = 0;
    for (int64_t i = 0; i < 32; ++i) a = std::max(a, std::fabs(x[g * 32 + i]));
    EXPECT_EQ(s[g], a / 127.0f);
    float inv = a > 0 ? 127.0f / a : 0.0f;
    for (int64_t i = 0; i < 32; ++i) ASSERT_EQ(q[g * 32 + i], static_cast<int>(std::nearbyint(x[g * 32 + i] * inv)));
  }
  EXPECT_EQ(q[70], -127);
  for (int64_t g = 0; g < k / 16; ++g) {
    int sum = 0;
    for (int64_t i = 0; i < 16; ++i) sum += q[g * 16 + i];
    ASSERT_EQ(sums[g], sum);
  }
  std::vector<float> back(k);
  decode_row(*act, row.data(), k, back.data());
  for (int64_t i = 0; i < k; ++i) ASSERT_EQ(back[i], s[i / 32] * static_cast<float>(q[i]));
}

// Keys appended to a state at given places, then read in the same run; the state tensor itself changes.
TEST(Interp, ScatterIntoState) {
  int64_t places = 10, c = 20;
  Function f;
  int state = add_param(f, "k", type_of(DType::F16, {places, c}), Role::State);
  int x = add_param(f, "x", type_of(DType::F32, {Dim("T"), c}), Role::Input),
      at = add_param(f, "at", type_of(DType::I32, {Dim("T")}), Role::Input);
  int s = add_scatter(f, {Dim("T"), c}, {state, x, at}, {"t", "c"}, {ld(2, {ix(0)}, DType::I32), ix(1)},
                      make_cast(ld(1, {ix(0), ix(1)}), DType::F16));
  int total = add_compute(f, type_of(DType::F32, {places}), {s}, {"p"}, sum(1, i32(0), i32(c), f32(ld(0, {ix(0), ix(1)}, DType::F16))));
  f.results = {total, s};
  Tensor st = make_tensor(type_of(DType::F16, {places, c}));
  Tensor xt = tensor(type_of(DType::F32, {2, c}), random_floats(2 * c, 16)),
         att = tensor(type_of(DType::I32, {2}), std::vector<int32_t>{7, 2});
  Bindings b;
  b.params = {{"k", &st}, {"x", &xt}, {"at", &att}};
  auto r = interpret(f, b);
  ASSERT_TRUE(r.ok()) << r.error().message;
  auto sums = values_of<float>((*r)[0]), xv = values_of<float>(xt), sv = to_floats(st);
  EXPECT_EQ((*r)[1].bytes(), st.bytes());
  for (int64_t p = 0; p < places; ++p) {
    int t = p == 7 ? 0 : p == 2 ? 1 : -1;
    double sum = 0;
    for (int64_t i = 0; i < c; ++i) {
      float expect = t < 0 ? 0 : half_to_float(float_to_half(xv[t * c + i]));
      ASSERT_EQ(sv[p * c + i], expect);
      sum += expect;
    }
    EXPECT_EQ(sums[p], static_cast<float>(sum));
  }
}

// A scatter whose body reads the state it writes (a shift by one) sees it as it was before.
TEST(Interp, ScatterReadsBeforeItWrites) {
  Function f;
  int state = add_param(f, "s", type_of(DType::I32, {20}), Role::State);
  f.results = {add_scatter(f, {19}, {state}, {"i"}, {add(ix(0), i32(1))}, ld(0, {ix(0)}, DType::I32))};
  std::vector<int32_t> v(20);
  for (int i = 0; i < 20; ++i) v[i] = i;
  Tensor st = tensor(type_of(DType::I32, {20}), v);
  auto out = values_of<int32_t>(run_one(f, {{"s", &st}}));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(out[i], i == 0 ? 0 : i - 1);
}

void nibbles_hook(const FormatType& f, const float* x, int64_t k, uint8_t* row) {
  for (int64_t b = 0; b < k / f.block; ++b, x += f.block, row += f.block_bytes) {
    uint16_t one = float_to_half(1);
    std::memcpy(row, &one, 2);
    for (int i = 0; i < 16; ++i) row[2 + i] = static_cast<uint8_t>(static_cast<int>(x[i] + 8) | static_cast<int>(x[i + 16] + 8) << 4);
  }
}

TEST(Interp, ScatterIntoFormattedState) {
  FormatRef fmt = nibbles_format();
  Function f;
  int state = add_param(f, "s", type_of(fmt, {4, 96}), Role::State), x = add_param(f, "x", type_of(DType::F32, {64}), Role::Input);
  // Read before and after: what was decoded earlier in the run must not be used again.
  auto row_sum = [&](int s) {
    return add_compute(f, type_of(DType::F32, {4}), {s}, {"r"}, sum(1, i32(0), i32(96), ld(0, {ix(0), ix(1)})));
  };
  int before = row_sum(state);
  int s = add_scatter(f, {64}, {state, x}, {"i"}, {i32(2), add(ix(0), i32(32))}, ld(1, {ix(0)}));
  f.results = {before, row_sum(s)};
  Tensor st = random_formatted(fmt, 4, 96, 17);
  std::vector<float> xv(64), old = to_floats(st);
  for (int i = 0; i < 64; ++i) xv[i] = static_cast<float>(i % 15 - 7);
  Tensor xt = tensor(type_of(DType::F32, {64}), xv);
  Bindings b;
  b.params = {{"s", &st}, {"x", &xt}};
  EXPECT_NE(error_of(f, b.params).find("no encoder for the format nibbles"), std::string::npos);
  b.encode = nibbles_hook;
  auto r = interpret(f, b);
  ASSERT_TRUE(r.ok()) << r.error().message;
  std::vector<float> now = to_floats(st);
  for (int i = 0; i < 4 * 96; ++i) ASSERT_EQ(now[i], i / 96 == 2 && i % 96 >= 32 ? xv[i % 96 - 32] : old[i]);
  auto sum_of = [](const std::vector<float>& v, int row) {
    double s = 0;
    for (int i = 0; i < 96; ++i) s += v[row * 96 + i];
    return static_cast<float>(s);
  };
  for (int row = 0; row < 4; ++row) {
    EXPECT_EQ(values_of<float>((*r)[0])[row], sum_of(old, row));
    EXPECT_EQ(values_of<float>((*r)[1])[row], sum_of(now, row));
  }
  Function part;
  state = add_param(part, "s", type_of(fmt, {4, 96}), Role::State);
  part.results = {add_scatter(part, {16}, {state}, {"i"}, {i32(2), ix(0)}, make_float(1))};
  auto partial = interpret(part, b);
  ASSERT_FALSE(partial.ok());
  EXPECT_NE(partial.error().message.find("must write whole blocks of 32"), std::string::npos) << partial.error().message;
}

TEST(Interp, ReshapeAndConst) {
  Function f;
  std::vector<int32_t> v = {1, 2, 3, 4, 5, 6};
  std::vector<uint8_t> bytes(24);
  std::memcpy(bytes.data(), v.data(), 24);
  int c = add_const(f, type_of(DType::I32, {2, 3}), bytes);
  int r = add_reshape(f, c, {3, 2});
  f.results = {add_compute(f, type_of(DType::I32, {2, 3}), {r}, {"i", "j"}, ld(0, {ix(1), ix(0)}, DType::I32)), c, r};
  Bindings b;
  auto out = interpret(f, b);
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(values_of<int32_t>((*out)[0]), (std::vector<int32_t>{1, 3, 5, 2, 4, 6}));
  EXPECT_EQ(values_of<int32_t>((*out)[1]), v);
  EXPECT_EQ((*out)[2].type.dims, (std::vector<Dim>{3, 2}));
}

// Weights outside, decoded once: the second run must give the same without reading them again, until told to forget.
TEST(Interp, KeepsDecodedWeights) {
  FormatRef fmt = nibbles_format();
  Tensor w = random_formatted(fmt, 3, 64, 18), mapped;
  mapped.type = w.type;
  mapped.external = w.data.data();
  Function f;
  int wp = add_param(f, "w", w.type, Role::Weight);
  f.results = {add_compute(f, type_of(DType::F32, {3}), {wp}, {"n"}, sum(1, i32(0), i32(64), ld(0, {ix(0), ix(1)})))};
  Bindings b;
  b.params = {{"w", &mapped}};
  Interpreter in;
  auto first = values_of<float>((*in.run(f, b))[0]);
  w.data[5] ^= 1;
  EXPECT_EQ(values_of<float>((*in.run(f, b))[0]), first);
  in.forget();
  EXPECT_NE(values_of<float>((*in.run(f, b))[0]), first);
}

TEST(Interp, Errors) {
  Function f;
  int x = add_param(f, "x", type_of(DType::F32, {Dim("T")}), Role::Input), n = add_param(f, "n", type_of(DType::I32, {}), Role::Input);
  f.bounds["T"] = 8;
  ExprPtr at = add(ix(0), ld(1, {}, DType::I32));
  f.results = {add_compute(f, type_of(DType::F32, {Dim("T")}), {x, n}, {"t"}, ld(0, {at}), "y")};
  Tensor xt = make_tensor(type_of(DType::F32, {5})), nt = tensor(type_of(DType::I32, {}), std::vector<int32_t>{1});
  EXPECT_EQ(error_of(f, {{"x", &xt}}), "function : %1 \"n\": no tensor is bound to this parameter");
  EXPECT_EQ(error_of(f, {{"x", &xt}, {"n", &nt}}), "function : %2 \"y\": load from %0 \"x\": index 5 of axis 0 is not in [0, 5)");
  EXPECT_EQ(error_of(f, {{"x", &xt}, {"n", &nt}}, {{"T", 4}}), "function : %0 \"x\": expected f32[4], bound to f32[5]");
  Tensor big = make_tensor(type_of(DType::F32, {9}));
  EXPECT_EQ(error_of(f, {{"x", &big}, {"n", &nt}}), "function : the symbol T is 9, expected 0 to 8");
  Function d;
  int y = add_param(d, "y", type_of(DType::I32, {20}), Role::Input);
  d.results = {add_compute(d, type_of(DType::I32, {20}), {y}, {"t"}, div(i32(7), ld(0, {ix(0)}, DType::I32)))};
  Tensor zeros = make_tensor(type_of(DType::I32, {20}));
  EXPECT_EQ(error_of(d, {{"y", &zeros}}), "function : %1: division by zero");
  Function t;
  auto table = std::make_shared<const std::vector<double>>(std::vector<double>{1, 2});
  y = add_param(t, "y", type_of(DType::I32, {3}), Role::Input);
  t.results = {add_compute(t, type_of(DType::F32, {3}), {y}, {"t"}, make_table(table, DType::F32, add(ld(0, {ix(0)}, DType::I32), ix(0))))};
  Tensor three = make_tensor(type_of(DType::I32, {3}));
  EXPECT_EQ(error_of(t, {{"y", &three}}), "function : %1: table: index 2 is not in [0, 2)");
}

}  // namespace
}  // namespace lumen::ir
