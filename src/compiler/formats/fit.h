// One-dimensional quantisation: numbers approximated by s * c or s * c + o with c from a given set. What encoding is made of,
// for codes under scales as for integer scales under float scales.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace lumen::formats {

// The values a code may take, ascending; `dense`: all integers from lo to hi.
struct CodeSet {
  float lo = 0, hi = 0;
  bool dense = false;
  std::vector<float> values, middles;  // not dense: the values and what lies halfway between neighbours

  static CodeSet range(int lo, int hi);
  static CodeSet of(std::vector<float> values);  // finite; any order
  float largest() const { return std::max(std::fabs(lo), std::fabs(hi)); }
  float nearest(float v) const {
    if (dense) return (std::max(lo, std::min(hi, v)) + kRound) - kRound;  // NaN becomes hi
    size_t i = 0;
    if (middles.size() <= kShortList)
      for (float m : middles) i += v > m;
    else
      i = static_cast<size_t>(std::lower_bound(middles.begin(), middles.end(), v) - middles.begin());
    return values[i];
  }
  float step(float v, int by) const;            // the value `by` places after v, which is one of the set's
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr size_t kShortList = 16;
};

struct Fit {
  float s = 0, o = 0;
  float cc = 0;  // sum of w * c^2 over the codes it was found with: what an error of s costs
};
struct FitOptions {
  bool positive = true, negative = true;  // signs that s may have (fit_affine: positive is always tried)
  int sign = 0;                           // of o: 0 free, -1: o <= 0, 1: o >= 0
  bool quick = false;                     // fewer trials
};

// Minimises sum of w * (x - s * c)^2 over s and c.
Fit fit_scale(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options);
// Minimises sum of w * (x - s * c - o)^2 over s, o and c.
Fit fit_affine(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options);

// What least squares of scales and offsets need to know of one choice of codes, each summed with the weights w.
struct CodeSums {
  float error = 0, xc = 0, cc = 0, c = 0;  // (x - s * c - o)^2, x * c, c^2, c
};
// The nearest codes of (x - o) * inv, inv being 1 / s or 0.
CodeSums nearest_codes(const CodeSet& set, const float* x, const float* w, int n, float s, float o, float inv, float* code);

}  // namespace lumen::formats
