// Trials of scales around the one that just reaches the extremes, each followed by its least-squares optimum: clipping the
// largest numbers a little often pays, and rounding has many local minima.
#include "compiler/formats/fit.h"

#include <cstring>

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

struct Sums {  // weighted, over one choice of codes
  float xc = 0, cc = 0, x = 0, c = 0, w = 0;
};

using V4 = float __attribute__((vector_size(16)));  // of GCC and clang: four sums side by side

V4 load4(const float* p) {
  V4 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
V4 all(float v) { return V4{v, v, v, v}; }
float total(V4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }

// The nearest codes of four numbers.
template <bool kDense>
V4 nearest4(const CodeSet& set, V4 v) {
  V4 lo = all(set.lo), hi = all(set.hi);
  if constexpr (kDense) {
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return (v + all(CodeSet::kRound)) - all(CodeSet::kRound);
  }
  V4 c = lo;
  for (size_t i = 0; i < set.middles.size(); ++i) c += v > all(set.middles[i]) ? all(set.values[i + 1] - set.values[i]) : V4{};
  return c;
}

// Chooses the codes of x * inv + shift and adds up what depends on them.
template <bool kDense>
void choose_of(const CodeSet& set, const float* x, const float* w, int n, float inv, float shift, float* code, Sums& s) {
  V4 xc{}, cc{}, sc{};
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    V4 xi = load4(x + i), c = nearest4<kDense>(set, xi * all(inv) + all(shift)), wc = load4(w + i) * c;
    std::memcpy(code + i, &c, sizeof c);
    xc += wc * xi;
    cc += wc * c;
    sc += wc;
  }
  s.xc = total(xc);
  s.cc = total(cc);
  s.c = total(sc);
  for (; i < n; ++i) {
    float c = set.nearest(x[i] * inv + shift), wc = w[i] * c;
    code[i] = c;
    s.xc += wc * x[i];
    s.cc += wc * c;
    s.c += wc;
  }
}

void choose(const CodeSet& set, const float* x, const float* w, int n, float inv, float shift, float* code, Sums& s) {
  if (set.dense) {
    choose_of<true>(set, x, w, n, inv, shift, code, s);
  } else if (set.middles.size() <= CodeSet::kShortList) {
    choose_of<false>(set, x, w, n, inv, shift, code, s);
  } else {
    s.xc = s.cc = s.c = 0;
    for (int i = 0; i < n; ++i) {
      float c = code[i] = set.nearest(x[i] * inv + shift);
      s.xc += w[i] * c * x[i];
      s.cc += w[i] * c * c;
      s.c += w[i] * c;
    }
  }
}

template <bool kDense>
float nearest_of(const CodeSet& set, const float* x, const float* w, int n, float s, float o, float inv, float* code) {
  V4 sum{};
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    V4 xi = load4(x + i) - all(o), c = nearest4<kDense>(set, xi * all(inv)), e = xi - all(s) * c;
    std::memcpy(code + i, &c, sizeof c);
    sum += load4(w + i) * e * e;
  }
  float rest = total(sum);
  for (; i < n; ++i) {
    float c = code[i] = set.nearest((x[i] - o) * inv), e = x[i] - o - s * c;
    rest += w[i] * e * e;
  }
  return rest;
}

void zero(const CodeSet& set, int n, float* code) { std::fill(code, code + n, set.nearest(0)); }

float gain(const Sums& s) { return s.cc > 0 ? s.xc * s.xc / s.cc : 0; }

// Best scale and offset for the sums' codes, the offset's sign respected; returns what they leave of the squares less sum w x^2.
float solve(const Sums& s, int sign, Fit& fit) {
  float det = s.cc * s.w - s.c * s.c;
  fit = {0, s.w > 0 ? s.x / s.w : 0};
  if (det > 1e-12f * s.cc * s.w) fit = {(s.xc * s.w - s.x * s.c) / det, (s.x * s.cc - s.xc * s.c) / det};
  if ((sign < 0 && fit.o > 0) || (sign > 0 && fit.o < 0)) fit = {s.cc > 0 ? s.xc / s.cc : 0, 0};
  return fit.s * fit.s * s.cc + fit.o * fit.o * s.w + 2 * fit.s * fit.o * s.c - 2 * fit.s * s.xc - 2 * fit.o * s.x;
}

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

float nearest_codes(const CodeSet& set, const float* x, const float* w, int n, float s, float o, float inv, float* code) {
  if (set.dense) return nearest_of<true>(set, x, w, n, s, o, inv, code);
  if (set.middles.size() <= CodeSet::kShortList) return nearest_of<false>(set, x, w, n, s, o, inv, code);
  float sum = 0;
  for (int i = 0; i < n; ++i) {
    float c = code[i] = set.nearest((x[i] - o) * inv), e = x[i] - o - s * c;
    sum += w[i] * e * e;
  }
  return sum;
}

Fit fit_scale(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options, float* code) {
  auto [lo, hi] = std::minmax_element(x, x + n);
  float largest = set.largest(), best = 0, best_inv = 0;
  Sums s;
  for (int sign : {1, -1}) {
    if (sign < 0 && (!options.negative || (options.positive && set.lo == -set.hi))) continue;
    if (sign > 0 && !options.positive && set.lo != -set.hi) continue;
    float top = sign > 0 ? *hi : -*lo, bottom = sign > 0 ? *lo : -*hi;  // of sign * x
    float reach = std::max(set.hi > 0 ? top / set.hi : 0.0f, set.lo < 0 ? bottom / set.lo : 0.0f);
    if (!(reach > 0)) continue;
    for (float t : trials(set, options.quick)) {
      if (largest + t < 0.3f * largest) continue;
      float inv = static_cast<float>(sign) * (largest + t) / (largest * reach), g;
      choose(set, x, w, n, inv, 0, code, s);
      g = gain(s);
      if (g > best) {
        best = g;
        best_inv = inv;
      }
    }
  }
  if (best_inv == 0 || !std::isfinite(best_inv)) {
    zero(set, n, code);
    return {};
  }
  Fit fit;
  for (int i = 0; i < 3; ++i) {
    choose(set, x, w, n, best_inv, 0, code, s);
    float scale = s.cc > 0 ? s.xc / s.cc : 0;
    if (i > 0 && gain(s) <= best) break;
    best = std::max(best, gain(s));
    fit.s = scale;
    if (scale == 0 || !std::isfinite(1 / scale)) break;
    best_inv = 1 / scale;
  }
  return fit;
}

Fit fit_affine(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options, float* code) {
  auto [lo, hi] = std::minmax_element(x, x + n);
  float bottom = *lo, top = *hi;
  if (options.sign < 0) bottom = std::min(bottom, 0.0f);
  if (options.sign > 0) bottom = std::max(bottom, 0.0f);
  float span = set.hi - set.lo;
  Fit best;
  if (!(top > bottom) || span <= 0) {  // all alike, or all on the side that the offset cannot reach
    float c = set.nearest(0), v = (bottom + top) / 2;
    std::fill(code, code + n, c);
    if (options.sign == 0 || v * static_cast<float>(options.sign) >= 0) return {0, v};
    c = set.largest() == set.hi ? set.hi : set.lo;
    if (c == 0 || !(options.negative || v / c > 0)) return {};
    std::fill(code, code + n, c);
    return {v / c, 0};
  }
  float left = INFINITY;
  Sums s;
  for (int i = 0; i < n; ++i) {
    s.x += w[i] * x[i];
    s.w += w[i];
  }
  auto consider = [&](float inv, float shift) {
    Fit fit;
    choose(set, x, w, n, inv, shift, code, s);
    float rest = solve(s, options.sign, fit);
    if (!(rest < left) || !(options.negative || fit.s >= 0)) return false;
    left = rest;
    best = fit;
    return true;
  };
  for (float t : trials(set, options.quick)) {
    if (span + t < 0.3f * span) continue;
    float inv = (span + t) / (top - bottom);
    consider(inv, set.lo - bottom * inv - t / 2);
    if (!options.quick && t != 0) consider(inv, set.lo - bottom * inv);
  }
  for (int i = 0; i < 3 && best.s != 0 && std::isfinite(1 / best.s); ++i)
    if (!consider(1 / best.s, -best.o / best.s)) break;
  return best;
}

}  // namespace lumen::formats
