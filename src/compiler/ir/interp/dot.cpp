// Dot products: f32 rows (of Dot and of sums of products of consecutive elements) and the integer form of interp.h.
#include <algorithm>
#include <numeric>

#include "compiler/ir/interp/machine.h"
#include "compiler/ir/scalar.h"

namespace lumen::ir::interp {
namespace {

constexpr int kRows = 8;  // rows summed side by side: each sum is a chain of dependent additions

// out[r] = sum over k ascending of x[r][k] * w[r][k] in f64. RoundProducts: each product is an f32 operation of its own.
template <bool RoundProducts>
void dot_rows(const float* const* x, const float* const* w, int64_t k, double* out) {
  double s[kRows] = {};
  for (int64_t i = 0; i < k; ++i)
    for (int r = 0; r < kRows; ++r) {
      if constexpr (RoundProducts) {
        float p = x[r][i] * w[r][i];
        s[r] += p;
      } else {
        s[r] += static_cast<double>(x[r][i]) * w[r][i];
      }
    }
  std::copy(s, s + kRows, out);
}

// Rows of x and w a lane at a time, kRows of them together; rows past n repeat the last one.
template <bool RoundProducts, class XRow, class WRow>
void dot_lanes(int n, int64_t k, Vec& out, const XRow& x_row, const WRow& w_row) {
  for (int l = 0; l < n; l += kRows) {
    const float *x[kRows], *w[kRows];
    int m = std::min(kRows, n - l);
    for (int r = 0; r < kRows; ++r) {
      x[r] = r < m ? x_row(l + r) : x[m - 1];
      w[r] = r < m ? w_row(l + r) : w[m - 1];
      if (!x[r] || !w[r]) return;
    }
    double s[kRows];
    if (m == 1) {
      double t = 0;
      for (int64_t i = 0; i < k; ++i) {
        if constexpr (RoundProducts) {
          float p = x[0][i] * w[0][i];
          t += p;
        } else {
          t += static_cast<double>(x[0][i]) * w[0][i];
        }
      }
      s[0] = t;
    } else {
      dot_rows<RoundProducts>(x, w, k, s);
    }
    for (int r = 0; r < m; ++r) out.f[l + r] = static_cast<float>(s[r]);
  }
}

}  // namespace

const float* Machine::floats(const Operand& o, int64_t first, int64_t k, std::vector<float>& scratch) {
  if (o.format) {
    int64_t row_k = o.row_length();
    return o.decoded->floats->row(first / row_k) + first % row_k;
  }
  if (o.scalar == DType::F32 && reinterpret_cast<uintptr_t>(o.bytes) % alignof(float) == 0)
    return reinterpret_cast<const float*>(o.bytes) + first;
  scratch.resize(static_cast<size_t>(k));
  Vec v;
  for (int64_t i = 0; i < k; ++i) {
    read_element(o.scalar, o.bytes, first + i, v, 0);
    scratch[static_cast<size_t>(i)] = is_float(o.scalar) ? v.f[0] : int_to_float(v.i[0], o.scalar);
  }
  return scratch.data();
}

// Element number of the access; the row holds k elements from there.
bool Machine::row_start(const Access& a, int lane, int64_t k, int64_t& first) {
  const Operand& o = (*operands_)[a.operand];
  int rank = static_cast<int>(a.index.size());
  if (!offset(a, rank, lane, first)) return false;
  int64_t last = at(a.index[rank - 1], lane) + k - 1;
  if (last < o.row_length()) return true;
  fail("load from " + o.label + ": index " + std::to_string(last) + " of axis " + std::to_string(rank - 1) + " is not in [0, " +
       std::to_string(o.row_length()) + ")");
  return false;
}

void Machine::run_sum_product(const Instr& i, int n) {
  const Loop& l = p_.loops[i.aux];
  int lanes = i.vec ? n : 1;
  Vec& d = regs_[i.dst];
  int64_t k = at(l.hi, 0) - at(l.lo, 0);
  std::fill(d.f, d.f + lanes, 0.0f);
  if (k <= 0) return;
  run_block(l.pre, n);
  const Operand &a = (*operands_)[l.a.operand], &b = (*operands_)[l.b.operand];
  // Rows stored as f32 or kept decoded stay where they are; dense 16-bit rows are converted, one lane at a time.
  auto converted = [](const Operand& o) {
    return !o.format && (o.scalar != DType::F32 || reinterpret_cast<uintptr_t>(o.bytes) % alignof(float));
  };
  auto row = [&](const Access& x, const Operand& o, int lane, std::vector<float>& scratch) -> const float* {
    int64_t first = 0;
    return row_start(x, lane, k, first) ? floats(o, first, k, scratch) : nullptr;
  };
  int step = converted(a) || converted(b) ? 1 : lanes;
  for (int at_lane = 0; at_lane < lanes && error_.empty(); at_lane += step) {
    Vec out;
    dot_lanes<true>(
        step, k, out, [&](int r) { return row(l.a, a, at_lane + r, scratch_[0]); },
        [&](int r) { return row(l.b, b, at_lane + r, scratch_[1]); });
    if (error_.empty()) std::copy(out.f, out.f + step, d.f + at_lane);
  }
}

void Machine::run_dot(const Instr& i, int n) {
  const std::pair<Access, Access>& d = p_.dots[i.aux];
  int lanes = i.vec ? n : 1;
  Vec& out = regs_[i.dst];
  std::fill(out.f, out.f + lanes, 0.0f);
  const Operand& x = (*operands_)[d.first.operand];
  if (x.format && x.format->row_planes)
    dot_codes(d, out, lanes);
  else
    dot_floats(d, out, lanes);
}

void Machine::dot_floats(const std::pair<Access, Access>& d, Vec& out, int n) {
  const Operand &x = (*operands_)[d.first.operand], &w = (*operands_)[d.second.operand];
  int64_t k = w.row_length();
  auto row = [&](const Access& a, const Operand& o, int lane, std::vector<float>& scratch) -> const float* {
    int64_t r = 0;
    return offset(a, static_cast<int>(a.index.size()), lane, r) ? floats(o, r * k, k, scratch) : nullptr;
  };
  bool keeps = (x.format || x.scalar == DType::F32) && (w.format || w.scalar == DType::F32);
  int step = keeps ? n : 1;
  for (int l = 0; l < n && error_.empty(); l += step) {
    Vec s;
    dot_lanes<false>(
        step, k, s, [&](int r) { return row(d.first, x, l + r, scratch_[0]); },
        [&](int r) { return row(d.second, w, l + r, scratch_[1]); });
    if (error_.empty()) std::copy(s.f, s.f + step, out.f + l);
  }
}

namespace {

// One row of quantised activations: codes and one f32 scale for each group.
struct QuantRow {
  const int8_t* q;
  const uint8_t* scales;
  DType scale_type;
  int group;
};

// Elements that share one integer of the level, within a run of `whole`.
int64_t run_of(const CodeRows::Level& l, int64_t whole) { return l.extent ? std::gcd<int64_t>(l.extent, whole) : whole; }

// sum over runs of the level of its integer * sum of q * code; `codes` null: of q alone. Exact.
int64_t weighted_sum(const int8_t* q, const int16_t* codes, int64_t from, int64_t run, const CodeRows::Level& level) {
  int64_t total = 0, inner = run_of(level, run);
  for (int64_t k = from; k < from + run; k += inner) {
    int32_t s = 0;
    if (codes)
      for (int64_t j = k; j < k + inner; ++j) s += q[j] * codes[j];
    else
      for (int64_t j = k; j < k + inner; ++j) s += q[j];
    total += static_cast<int64_t>(level.extent ? level.i[k / level.extent] : 1) * s;
  }
  return total;
}

float dot_row(const QuantRow& x, const CodeRows::Row& w, const IntForm& form, int64_t k, int64_t run) {
  bool offsets = w.offset_f.extent || w.offset_i.extent;
  float y = 0;
  for (int64_t at = 0; at < k; at += run) {
    Vec s;
    read_element(x.scale_type, x.scales, at / x.group, s, 0);
    int64_t p = weighted_sum(x.q, w.codes, at, run, w.scale_i);
    if (form.bias != 0) p += form.bias * weighted_sum(x.q, nullptr, at, run, w.scale_i);
    float d = w.scale_f.extent ? w.scale_f.f[at / w.scale_f.extent] : 1.0f;
    float t = d * static_cast<float>(p);
    if (offsets) {
      float m = w.offset_f.extent ? w.offset_f.f[at / w.offset_f.extent] : 1.0f;
      t = t + m * static_cast<float>(weighted_sum(x.q, nullptr, at, run, w.offset_i));
    }
    y = y + s.f[0] * t;
  }
  return y;
}

}  // namespace

void Machine::dot_codes(const std::pair<Access, Access>& d, Vec& out, int n) {
  const Operand &x = (*operands_)[d.first.operand], &w = (*operands_)[d.second.operand];
  const FormatType& f = *x.format;
  int64_t k = w.row_length(), stride = row_bytes(f, k);
  CodeRows& codes = *w.decoded->codes;
  const FormatField& scale = f.fields[f.scale_field];
  QuantRow q{nullptr, nullptr, scale.type, scale.per};
  for (int l = 0; l < n; ++l) {
    int64_t xr = 0, wr = 0;
    if (!offset(d.first, static_cast<int>(d.first.index.size()), l, xr) ||
        !offset(d.second, static_cast<int>(d.second.index.size()), l, wr))
      return;
    const uint8_t* row = x.bytes + xr * stride;
    q.q = reinterpret_cast<const int8_t*>(row + plane_offset(f, f.code_field, k));
    q.scales = row + plane_offset(f, f.scale_field, k);
    CodeRows::Row cr = codes.row(wr);
    int64_t run = q.group;
    for (const CodeRows::Level* level : {&cr.scale_f, &cr.offset_f})
      if (level->extent) run = std::gcd<int64_t>(run, level->extent);
    out.f[l] = dot_row(q, cr, codes.form(), k, run);
  }
}

}  // namespace lumen::ir::interp
