// Trials of scales around the one that just reaches the extremes, each followed by its least-squares optimum: clipping the
// largest numbers a little often pays, and rounding has many local minima. Nearly all of the time of encoding is spent here, so the
// loops are written over eight lanes and compiled a second time for CPUs with AVX2; both give the same sums, lane by lane.
#include "compiler/formats/fit.h"

#include <cstring>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors of 32 bytes pass between inlined functions only
#define LUMEN_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define LUMEN_WIDE __attribute__((target("avx2")))
#endif

namespace lumen::formats {
namespace {

// How far past its end the set is stretched in the trials, in steps of a code: below 0 the scale grows, above 0 extremes are clipped.
std::vector<float> make_trials(float from, float to, int count) {
  std::vector<float> r;
  for (int i = 0; i < count; ++i) r.push_back(from + (to - from) * static_cast<float>(i) / static_cast<float>(count - 1));
  return r;
}
const std::vector<float>& trials(const CodeSet& set, bool quick) {
  static const std::vector<float> kFew = make_trials(-0.25f, 0.5f, 3), kSome = make_trials(-0.5f, 1.5f, 5),
                                  kMany = make_trials(-0.75f, 2.25f, 13);
  float steps = set.dense ? set.hi - set.lo : static_cast<float>(set.values.size());
  if (steps > 128) return kFew;
  return quick || steps > 63 ? kSome : kMany;
}

enum class Kind { Dense, Short, Long };  // how the nearest code is found: by rounding, by comparisons with all middles, by searching
Kind kind_of(const CodeSet& set) {
  if (set.dense) return Kind::Dense;
  return set.middles.size() <= CodeSet::kShortList ? Kind::Short : Kind::Long;
}

using V8 = float __attribute__((vector_size(32)));  // of GCC and clang

LUMEN_INLINE V8 load8(const float* p) {
  V8 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
LUMEN_INLINE V8 all(float v) { return V8{v, v, v, v, v, v, v, v}; }
LUMEN_INLINE float total(const V8& v) {
  V8 s = v + __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
  s += __builtin_shufflevector(s, s, 2, 3, 0, 1, 6, 7, 4, 5);
  return s[0] + s[1];
}

template <Kind kind>
LUMEN_INLINE V8 nearest8(const CodeSet& set, const V8& from) {
  V8 lo = all(set.lo), hi = all(set.hi), v = from;
  if constexpr (kind == Kind::Dense) {
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (v + all(CodeSet::kRound)) - all(CodeSet::kRound);
  }
  V8 c = lo;
  for (size_t i = 0; i < set.middles.size(); ++i) c += v > all(set.middles[i]) ? all(set.values[i + 1] - set.values[i]) : V8{};
  return c;
}

// Sums that depend on the codes of x * inv + shift.
template <Kind kind>
LUMEN_INLINE void choose(const CodeSet& set, const float* x, const float* w, int n, float inv, float shift, CodeSums& s) {
  V8 xc{}, cc{}, sc{};
  int i = 0;
  if constexpr (kind != Kind::Long) {
    for (; i + 8 <= n; i += 8) {
      V8 xi = load8(x + i), c = nearest8<kind>(set, xi * all(inv) + all(shift)), wc = load8(w + i) * c;
      xc += wc * xi;
      cc += wc * c;
      sc += wc;
    }
  }
  s.xc = total(xc);
  s.cc = total(cc);
  s.c = total(sc);
  for (; i < n; ++i) {
    float c = set.nearest(x[i] * inv + shift), wc = w[i] * c;
    s.xc += wc * x[i];
    s.cc += wc * c;
    s.c += wc;
  }
}

template <Kind kind>
LUMEN_INLINE CodeSums nearest_of(const CodeSet& set, const float* x, const float* w, int n, float s, float o, float inv, float* code) {
  V8 error{}, xc{}, cc{}, sc{};
  int i = 0;
  if constexpr (kind != Kind::Long) {
    for (; i + 8 <= n; i += 8) {
      V8 xi = load8(x + i), rest = xi - all(o), c = nearest8<kind>(set, rest * all(inv)), wi = load8(w + i), wc = wi * c,
         e = rest - all(s) * c;
      std::memcpy(code + i, &c, sizeof c);
      error += wi * e * e;
      xc += wc * xi;
      cc += wc * c;
      sc += wc;
    }
  }
  CodeSums sums{total(error), total(xc), total(cc), total(sc)};
  for (; i < n; ++i) {
    float c = code[i] = set.nearest((x[i] - o) * inv), e = x[i] - o - s * c, wc = w[i] * c;
    sums.error += w[i] * e * e;
    sums.xc += wc * x[i];
    sums.cc += wc * c;
    sums.c += wc;
  }
  return sums;
}

LUMEN_INLINE float gain(const CodeSums& s) { return s.cc > 0 ? s.xc * s.xc / s.cc : 0; }

template <Kind kind>
LUMEN_INLINE Fit scale_of(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options) {
  auto [lo, hi] = std::minmax_element(x, x + n);
  float largest = set.largest(), best = 0, best_inv = 0;
  CodeSums s;
  for (int sign : {1, -1}) {
    if (sign < 0 && (!options.negative || (options.positive && set.lo == -set.hi))) continue;
    if (sign > 0 && !options.positive && set.lo != -set.hi) continue;
    float top = sign > 0 ? *hi : -*lo, bottom = sign > 0 ? *lo : -*hi;  // of sign * x
    float reach = std::max(set.hi > 0 ? top / set.hi : 0.0f, set.lo < 0 ? bottom / set.lo : 0.0f);
    if (!(reach > 0)) continue;
    for (float t : trials(set, options.quick)) {
      if (largest + t < 0.3f * largest) continue;
      float inv = static_cast<float>(sign) * (largest + t) / (largest * reach);
      choose<kind>(set, x, w, n, inv, 0, s);
      float g = gain(s);
      if (g > best) {
        best = g;
        best_inv = inv;
      }
    }
  }
  if (best_inv == 0 || !std::isfinite(best_inv)) return {};
  Fit fit;
  for (int i = 0; i < 3; ++i) {
    choose<kind>(set, x, w, n, best_inv, 0, s);
    if (i > 0 && gain(s) <= best) break;
    best = std::max(best, gain(s));
    fit = {s.cc > 0 ? s.xc / s.cc : 0, 0, s.cc};
    if (fit.s == 0 || !std::isfinite(1 / fit.s)) break;
    best_inv = 1 / fit.s;
  }
  return fit;
}

// The state of a search for scale and offset.
struct Affine {
  float x = 0, w = 0;  // sums of w * x and w
  float left = INFINITY;
  Fit best;
};

// Best scale and offset for the sums' codes, the offset's sign respected; returns what they leave of the squares less sum w x^2.
LUMEN_INLINE float solve(const CodeSums& s, const Affine& a, int sign, Fit& fit) {
  float det = s.cc * a.w - s.c * s.c;
  fit = {0, a.w > 0 ? a.x / a.w : 0, s.cc};
  if (det > 1e-12f * s.cc * a.w) fit = {(s.xc * a.w - a.x * s.c) / det, (a.x * s.cc - s.xc * s.c) / det, s.cc};
  if ((sign < 0 && fit.o > 0) || (sign > 0 && fit.o < 0)) fit = {s.cc > 0 ? s.xc / s.cc : 0, 0, s.cc};
  return fit.s * fit.s * s.cc + fit.o * fit.o * a.w + 2 * fit.s * fit.o * s.c - 2 * fit.s * s.xc - 2 * fit.o * a.x;
}

// Tries the codes of x * inv + shift; true where they are the best so far.
template <Kind kind>
LUMEN_INLINE bool consider(const CodeSet& set, const float* x, const float* w, int n, float inv, float shift, const FitOptions& options,
                           Affine& a) {
  CodeSums s;
  Fit fit;
  choose<kind>(set, x, w, n, inv, shift, s);
  float rest = solve(s, a, options.sign, fit);
  if (!(rest < a.left) || !(options.negative || fit.s >= 0)) return false;
  a.left = rest;
  a.best = fit;
  return true;
}

// All numbers alike, or all on the side that the offset cannot reach.
Fit constant(const CodeSet& set, float v, const FitOptions& options) {
  if (options.sign == 0 || v * static_cast<float>(options.sign) >= 0) return {0, v};
  float c = set.largest() == set.hi ? set.hi : set.lo;
  if (c == 0 || !(options.negative || v / c > 0)) return {};
  return {v / c, 0, c * c};
}

template <Kind kind>
LUMEN_INLINE Fit affine_of(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options) {
  auto [lo, hi] = std::minmax_element(x, x + n);
  float bottom = *lo, top = *hi;
  if (options.sign < 0) bottom = std::min(bottom, 0.0f);
  if (options.sign > 0) bottom = std::max(bottom, 0.0f);
  float span = set.hi - set.lo;
  if (!(top > bottom) || span <= 0) return constant(set, (bottom + top) / 2, options);
  Affine a;
  for (int i = 0; i < n; ++i) {
    a.x += w[i] * x[i];
    a.w += w[i];
  }
  for (float t : trials(set, options.quick)) {
    if (span + t < 0.3f * span) continue;
    float inv = (span + t) / (top - bottom);
    consider<kind>(set, x, w, n, inv, set.lo - bottom * inv - t / 2, options, a);
    if (!options.quick && t != 0) consider<kind>(set, x, w, n, inv, set.lo - bottom * inv, options, a);
  }
  for (int i = 0; i < 3 && a.best.s != 0 && std::isfinite(1 / a.best.s); ++i)
    if (!consider<kind>(set, x, w, n, 1 / a.best.s, -a.best.o / a.best.s, options, a)) break;
  return a.best;
}

// One function for each way of compiling it, chosen by what the CPU can do.
#define LUMEN_BY_KIND(call, ...)             \
  switch (kind_of(set)) {                    \
    case Kind::Dense:                        \
      return call<Kind::Dense>(__VA_ARGS__); \
    case Kind::Short:                        \
      return call<Kind::Short>(__VA_ARGS__); \
    default:                                 \
      return call<Kind::Long>(__VA_ARGS__);  \
  }
#if defined(LUMEN_WIDE)
const bool kWide = __builtin_cpu_supports("avx2");
LUMEN_WIDE Fit scale_wide(const CodeSet& set, const float* x, const float* w, int n,
                          const FitOptions& options){LUMEN_BY_KIND(scale_of, set, x, w, n, options)} LUMEN_WIDE Fit
    affine_wide(const CodeSet& set, const float* x, const float* w, int n,
                const FitOptions& options){LUMEN_BY_KIND(affine_of, set, x, w, n, options)} LUMEN_WIDE CodeSums
    nearest_wide(const CodeSet& set, const float* x, const float* w, int n, float s, float o, float inv, float* code) {
  LUMEN_BY_KIND(nearest_of, set, x, w, n, s, o, inv, code)
}
#define LUMEN_IF_WIDE(call) \
  if (kWide) return call
#else
#define LUMEN_IF_WIDE(call)
#endif

}  // namespace

CodeSet CodeSet::range(int lo, int hi) {
  CodeSet r;
  r.lo = static_cast<float>(lo);
  r.hi = static_cast<float>(hi);
  r.dense = true;
  return r;
}

float CodeSet::step(float v, int by) const {
  if (dense) return std::clamp(v + static_cast<float>(by), lo, hi);
  auto at = std::lower_bound(values.begin(), values.end(), v) - values.begin() + by;
  return values[static_cast<size_t>(std::clamp<std::ptrdiff_t>(at, 0, static_cast<std::ptrdiff_t>(values.size()) - 1))];
}

CodeSet CodeSet::of(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  CodeSet r;
  r.lo = values.front();
  r.hi = values.back();
  bool whole = std::all_of(values.begin(), values.end(), [](float v) { return v == std::trunc(v) && std::fabs(v) < 1e6f; });
  r.dense = whole && r.hi - r.lo + 1 == static_cast<float>(values.size());
  if (r.dense) return r;
  for (size_t i = 1; i < values.size(); ++i) r.middles.push_back((values[i - 1] + values[i]) / 2);
  r.values = std::move(values);
  return r;
}

CodeSums nearest_codes(const CodeSet& set, const float* x, const float* w, int n, float s, float o, float inv, float* code) {
  LUMEN_IF_WIDE(nearest_wide(set, x, w, n, s, o, inv, code));
  LUMEN_BY_KIND(nearest_of, set, x, w, n, s, o, inv, code)
}

Fit fit_scale(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options) {
  LUMEN_IF_WIDE(scale_wide(set, x, w, n, options));
  LUMEN_BY_KIND(scale_of, set, x, w, n, options)
}

Fit fit_affine(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options) {
  LUMEN_IF_WIDE(affine_wide(set, x, w, n, options));
  LUMEN_BY_KIND(affine_of, set, x, w, n, options)
}

}  // namespace lumen::formats
