// The instruction loop, loads, fields, tables and reductions. A failed access gives 0, keeps the first error and goes on.
#include "compiler/ir/interp/machine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/assert.h"
#include "compiler/ir/scalar.h"

namespace lumen::ir::interp {

Machine::Machine(const Program& p, const std::vector<Operand>* operands) : p_(p), operands_(operands), regs_(p.registers) {
  for (const Program::Constant& c : p.constants)
    for (int i = 0; i < kLanes; ++i) {
      if (is_float(c.type))
        regs_[c.reg].f[i] = c.f;
      else
        regs_[c.reg].i[i] = c.i;
    }
}

void Machine::set_format(const FormatType* f, int64_t row_k) {
  format_ = f;
  row_k_ = row_k;
  plane_offsets_.clear();
  if (f->row_planes)
    for (size_t i = 0; i < f->fields.size(); ++i) plane_offsets_.push_back(plane_offset(*f, static_cast<int>(i), row_k));
}

void Machine::run_block(int block, int n) {
  for (const Instr& i : p_.blocks[block]) {
    int lanes = i.vec ? n : 1;
    switch (i.kind) {
      case Ik::Op:
        if (!run_op(i, regs_.data(), lanes)) fail("division by zero");
        break;
      case Ik::Cast:
        run_cast(i, regs_.data(), lanes);
        break;
      case Ik::Bitcast:
        run_bitcast(i, regs_.data(), lanes);
        break;
      case Ik::Splat: {
        Vec& d = regs_[i.dst];
        const Vec& a = regs_[i.src[0]];
        if (is_float(i.type))
          std::fill(d.f, d.f + kLanes, a.f[0]);
        else
          std::fill(d.i, d.i + kLanes, a.i[0]);
        break;
      }
      case Ik::Load:
        run_load(i, lanes);
        break;
      case Ik::Field:
        run_field(i, lanes);
        break;
      case Ik::Table:
        run_table(i, lanes);
        break;
      case Ik::Reduce:
        run_reduce(i, n);
        break;
      case Ik::Softmax:
        run_softmax(i, n);
        break;
      case Ik::SumProduct:
        run_sum_product(i, n);
        break;
      case Ik::LaneLoop:
        run_lane_loop(i, n);
        break;
      case Ik::Dot:
        run_dot(i, n);
        break;
    }
  }
}

bool Machine::offset(const Access& a, int count, int lane, int64_t& out) {
  const Operand& o = (*operands_)[a.operand];
  int64_t flat = 0;
  for (int k = 0; k < count; ++k) {
    int64_t v = at(a.index[k], lane);
    if (v < 0 || v >= o.dims[k]) {
      fail("load from " + o.label + ": index " + std::to_string(v) + " of axis " + std::to_string(k) + " is not in [0, " +
           std::to_string(o.dims[k]) + ")");
      return false;
    }
    flat = flat * o.dims[k] + v;
  }
  out = flat;
  return true;
}

void Machine::run_load(const Instr& i, int n) {
  const Access& a = p_.loads[i.aux];
  const Operand& o = (*operands_)[a.operand];
  Vec& d = regs_[i.dst];
  int rank = static_cast<int>(a.index.size());
  bool f32 = o.format || o.scalar == DType::F32;
  if (a.contiguous && n > 1 && f32) {
    int64_t first = 0, last = 0;
    if (!offset(a, rank, 0, first) || !offset(a, rank, n - 1, last)) {
      std::fill(d.f, d.f + n, 0.0f);
      return;
    }
    std::memcpy(d.f, floats(o, first, n, scratch_[0]), sizeof(float) * static_cast<size_t>(n));
    return;
  }
  int64_t k = o.row_length();
  for (int l = 0; l < n; ++l) {
    int64_t e = 0;
    if (!offset(a, rank, l, e)) {
      if (is_float(i.type))
        d.f[l] = 0;
      else
        d.i[l] = 0;
    } else if (o.format) {
      d.f[l] = o.decoded->floats->row(e / k)[e % k];
    } else {
      read_element(o.scalar, o.bytes, e, d, l);
    }
  }
}

namespace {

template <class T>
void read_integers(const uint8_t* const* at, Vec& d, int n) {
  for (int l = 0; l < n; ++l) {
    T v;
    std::memcpy(&v, at[l], sizeof v);
    d.i[l] = static_cast<int64_t>(v);
  }
}
// One element of type t for each lane. Scales are shared by many lanes: an address that repeats is converted once.
void read_lanes(DType t, const uint8_t* const* at, Vec& d, int n) {
  switch (t) {
    case DType::U8:
      return read_integers<uint8_t>(at, d, n);
    case DType::I8:
      return read_integers<int8_t>(at, d, n);
    case DType::U16:
      return read_integers<uint16_t>(at, d, n);
    case DType::U32:
      return read_integers<uint32_t>(at, d, n);
    default:
      break;
  }
  for (int l = 0; l < n; ++l) {
    if (l > 0 && at[l] == at[l - 1]) {
      if (is_float(t))
        d.f[l] = d.f[l - 1];
      else
        d.i[l] = d.i[l - 1];
    } else {
      read_element(t, at[l], 0, d, l);
    }
  }
}

}  // namespace

void Machine::run_field(const Instr& i, int n) {
  const FieldRead& r = p_.fields[i.aux];
  const FormatField& f = format_->fields[r.field];
  int64_t count = format_->row_planes ? (row_k_ + f.per - 1) / f.per * f.count : f.count, size = size_of(f.type);
  const uint8_t* at_lane[kLanes];
  const uint8_t* plane = base + (format_->row_planes ? plane_offsets_[r.field] : f.offset);
  const Vec& index = regs_[r.index.reg];
  for (int l = 0; l < n; ++l) {
    int64_t v = index.i[r.index.vec ? l : 0];
    if (static_cast<uint64_t>(v) >= static_cast<uint64_t>(count)) {
      fail("format " + format_->name + ": index " + std::to_string(v) + " of field " + f.name + " is not in [0, " + std::to_string(count) +
           ")");
      v = 0;
      if (count == 0) return;
    }
    at_lane[l] = plane + (format_->row_planes ? 0 : lane_base[r.block_per_lane ? l : 0]) + v * size;
  }
  read_lanes(f.type, at_lane, regs_[i.dst], n);
}

void Machine::run_table(const Instr& i, int n) {
  const TableRead& r = p_.tables[i.aux];
  Vec& d = regs_[i.dst];
  int64_t count = static_cast<int64_t>(r.table->size());
  for (int l = 0; l < n; ++l) {
    int64_t v = at(r.index, l);
    double x = 0;
    if (v < 0 || v >= count)
      fail("table: index " + std::to_string(v) + " is not in [0, " + std::to_string(count) + ")");
    else
      x = (*r.table)[static_cast<size_t>(v)];
    if (is_float(i.type))
      d.f[l] = round_to(static_cast<float>(x), i.type);
    else
      d.i[l] = wrap(static_cast<int64_t>(x), i.type);
  }
}

namespace {

int64_t lowest(DType t) {
  return !is_signed(t) ? 0 : t == DType::I64 ? std::numeric_limits<int64_t>::min() : -(int64_t{1} << (8 * size_of(t) - 1));
}
int64_t highest(DType t) {
  if (t == DType::U64) return -1;
  if (t == DType::I64) return std::numeric_limits<int64_t>::max();
  return (int64_t{1} << (8 * size_of(t) - (is_signed(t) ? 1 : 0))) - 1;
}

// Running result of a Sum, Max or Min, one a lane.
struct Accumulator {
  Reduction r;
  DType t;
  double sum[kLanes];
  Vec v;

  Accumulator(Reduction reduction, DType type, int n) : r(reduction), t(type) {
    for (int l = 0; l < n; ++l) {
      sum[l] = 0;
      if (is_float(t))
        v.f[l] = r == Reduction::Max ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
      else
        v.i[l] = r == Reduction::Sum ? 0 : r == Reduction::Max ? lowest(t) : highest(t);
    }
  }
  void add_float(int lane, float x) {
    if (r == Reduction::Sum)
      sum[lane] += x;
    else
      v.f[lane] = float_op(r == Reduction::Max ? Op::Max : Op::Min, v.f[lane], x);
  }
  void add_int(int lane, int64_t x) {
    v.i[lane] = int_op(r == Reduction::Sum ? Op::Add : r == Reduction::Max ? Op::Max : Op::Min, t, v.i[lane], x);
  }
  void store(Vec& d, int n) const {
    for (int l = 0; l < n; ++l) {
      if (!is_float(t))
        d.i[l] = v.i[l];
      else
        d.f[l] = r == Reduction::Sum ? round_to(static_cast<float>(sum[l]), t) : v.f[l];
    }
  }
};

}  // namespace

void Machine::run_reduce(const Instr& i, int n) {
  const Loop& l = p_.loops[i.aux];
  int lanes = i.vec ? n : 1;
  int64_t lo = at(l.lo, 0), hi = at(l.hi, 0);
  Accumulator acc(l.reduction, i.type, lanes);
  if (lo < hi) run_block(l.pre, n);
  const Vec& value = regs_[l.value.reg];
  bool floating = is_float(i.type);
  for (int64_t r = lo; r < hi;) {
    Vec& var = regs_[l.var];
    if (l.lanes) {  // the values of the variable are the lanes; they are added up in order
      int m = static_cast<int>(std::min<int64_t>(kLanes, hi - r));
      for (int k = 0; k < m; ++k) var.i[k] = r + k;
      run_block(l.body, m);
      for (int k = 0; k < m; ++k) {
        if (floating)
          acc.add_float(0, value.f[l.value.vec ? k : 0]);
        else
          acc.add_int(0, value.i[l.value.vec ? k : 0]);
      }
      r += m;
    } else {
      var.i[0] = r++;
      run_block(l.body, n);
      for (int k = 0; k < lanes; ++k) {
        if (floating)
          acc.add_float(k, value.f[l.value.vec ? k : 0]);
        else
          acc.add_int(k, value.i[l.value.vec ? k : 0]);
      }
    }
    if (!error_.empty()) break;
  }
  acc.store(regs_[i.dst], lanes);
}

void Machine::run_softmax(const Instr& i, int n) {
  const Loop& l = p_.loops[i.aux];
  int lanes = i.vec ? n : 1;
  int64_t lo = at(l.lo, 0), hi = at(l.hi, 0);
  Vec& d = regs_[i.dst];
  std::fill(d.f, d.f + lanes, 0.0f);
  if (lo >= hi) return;
  float most = -std::numeric_limits<float>::infinity(), sink = most;
  if (l.sink.reg >= 0) most = sink = regs_[l.sink.reg].f[0];
  std::vector<float> e(static_cast<size_t>(hi - lo));
  run_block(l.pre, n);
  for (int64_t r = lo; r < hi && error_.empty(); r += kLanes) {
    int m = static_cast<int>(std::min<int64_t>(kLanes, hi - r));
    for (int k = 0; k < m; ++k) regs_[l.var].i[k] = r + k;
    run_block(l.body, m);
    for (int k = 0; k < m; ++k) {
      float s = regs_[l.value.reg].f[l.value.vec ? k : 0];
      e[static_cast<size_t>(r - lo + k)] = s;
      most = std::max(most, s);
    }
  }
  if (!error_.empty() || most == -std::numeric_limits<float>::infinity()) return;
  double denominator = l.sink.reg >= 0 ? std::exp(sink - most) : 0.0;
  for (float& s : e) denominator += s = std::exp(s - most);
  double sum[kLanes] = {};
  run_block(l.value_pre, n);
  const Vec& value = regs_[l.weighted.reg];
  for (int64_t r = lo; r < hi && error_.empty();) {
    Vec& var = regs_[l.value_var];
    if (l.lanes) {
      int m = static_cast<int>(std::min<int64_t>(kLanes, hi - r));
      for (int k = 0; k < m; ++k) var.i[k] = r + k;
      run_block(l.value_body, m);
      for (int k = 0; k < m; ++k) sum[0] += static_cast<double>(e[static_cast<size_t>(r - lo + k)]) * value.f[l.weighted.vec ? k : 0];
      r += m;
    } else {
      var.i[0] = r;
      run_block(l.value_body, n);
      double w = e[static_cast<size_t>(r - lo)];
      for (int k = 0; k < lanes; ++k) sum[k] += w * value.f[l.weighted.vec ? k : 0];
      ++r;
    }
  }
  for (int k = 0; k < lanes; ++k) d.f[k] = static_cast<float>(sum[k] / denominator);
}

void Machine::run_lane_loop(const Instr& i, int n) {
  const Loop& l = p_.loops[i.aux];
  int64_t first_base = lane_base[0];
  for (int k = 0; k < n; ++k) {
    regs_[l.var].i[0] = regs_[l.lane_var].i[k];
    lane_base[0] = k == 0 ? first_base : lane_base[k];
    run_block(l.body, 1);
    if (is_float(i.type))
      regs_[i.dst].f[k] = regs_[l.value.reg].f[0];
    else
      regs_[i.dst].i[k] = regs_[l.value.reg].i[0];
  }
  lane_base[0] = first_base;
}

}  // namespace lumen::ir::interp
