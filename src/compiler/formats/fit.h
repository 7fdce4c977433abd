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
    if (dense) return nearest_integer(v);
    nearest_listed(&v, 1);
    return v;
  }
  float nearest_integer(float v) const {   // dense; NaN becomes hi
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    return (std::max(lo, std::min(hi, v)) + kRound) - kRound;
  }
  void nearest_listed(float* v, int n) const;  // not dense; in place
  float step(float v, int by) const;           // the value `by` places after v, which is one of the set's
  static constexpr size_t kShortList = 16;
};

struct Fit {
  float s = 0, o = 0;
};
struct FitOptions {
  bool negative = true;  // s may be negative
  int sign = 0;          // of o: 0 free, -1: o <= 0, 1: o >= 0
  bool quick = false;    // fewer trials
};

// Minimises sum of w * (x - s * c)^2 over s and c; the codes stand in `code`.
Fit fit_scale(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options, float* code);
// Minimises sum of w * (x - s * c - o)^2 over s, o and c.
Fit fit_affine(const CodeSet& set, const float* x, const float* w, int n, const FitOptions& options, float* code);

}  // namespace lumen::formats
