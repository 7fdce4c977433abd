// Integer kernel: products of codes summed in i16 as far as their range allows (or by four-way dot products), integer scales
// applied to the i32 sums, float scales once a run. Formulas and exactness: compiler/ir/interp.h.
#include "compiler/loops/dot_kernel.h"

#include <algorithm>

namespace lumen::loops {
namespace {

class IntegerKernel {
 public:
  IntegerKernel(LowerContext& c, const DotOperand& d, WeightReader& reader, int groups, const TokenRows& x, std::vector<Reg>& acc)
      : b_(c.b), d_(d), w_(reader), lanes_(c.s.lanes), groups_(groups), x_(x), tokens_(x.count()), cells_(groups * x.count()), registers_(c.m.vector_registers), prefetch_(c.s.prefetch), acc_(acc) {}

  void run(bool panel, const std::vector<Reg>& base) {
    panel_ = panel;
    int64_t chunk_units = d_.layout.chunk / formats::kUnit;
    int64_t super = std::max<int64_t>({d_.p_run, d_.o_run, formats::kUnit}) / formats::kUnit;  // units
    if (panel) {  // the panel is one long row of units
      bool inner_loop = super > 2 && (d_.o_run == 0 || d_.o_run == d_.p_run);
      b_.for_(0, d_.k / formats::kUnit, super, [&](Reg first) { super_run(base, first, 0, super, inner_loop); });
      return;
    }
    b_.for_(0, d_.k / d_.layout.chunk, 1, [&](Reg chunk) {
      std::vector<Reg> at;
      Reg step = b_.mul_imm(chunk, d_.layout.chunk_bytes);
      for (Reg g : base) at.push_back(b_.add(g, step));
      for (int64_t line = 0; prefetch_ > 0 && line < d_.layout.chunk_bytes; line += 64)
        for (Reg g : at) b_.prefetch({d_.w_buffer, g, {}, prefetch_ + line});
      Reg k0 = b_.mul_imm(chunk, d_.layout.chunk);
      if (tokens_ * groups_ > 2 && chunk_units > 2 * super) {  // keep wide tiles short: a loop over the runs of a chunk
        b_.for_(0, chunk_units, super, [&](Reg first) { super_run(at, first, 0, super, false, k0); });
      } else {
        for (int64_t u = 0; u < chunk_units; u += super) super_run(at, Reg{}, u, super, false, k0);
      }
    });
  }

 private:
  Reg variable(Ty t) {
    Reg r = b_.reg(t, lanes_);
    b_.set(r, t == Ty::F32 ? b_.f32(0, lanes_) : b_.i32(0, lanes_));
    return r;
  }
  // First write of a sum is a move, so that no zeroing is paid.
  void accumulate(Reg& sum, Reg term) {
    if (!sum) sum = term; else sum = b_.add(sum, term);
  }
  void into(std::vector<Reg>& fixed, std::vector<Reg>& open, bool looped, int i, Reg term) {
    if (looped) b_.set_op(fixed[i], LOp::Add, {fixed[i], term}); else accumulate(open[i], term);
  }

  // Units [first + fixed, first + fixed + n) of one run of float scales (or several, where they are shorter than a unit).
  void super_run(const std::vector<Reg>& base, Reg first, int64_t fixed, int64_t n, bool inner_loop, Reg k0 = {}) {
    p_.assign(cells_, Reg{});
    o_.assign(cells_, Reg{});
    corr_.assign(tokens_, Reg{});
    osum_.assign(tokens_, Reg{});
    looped_ = inner_loop;
    if (inner_loop) {
      bool offsets = d_.has_offset();
      for (Reg& r : p_) r = variable(Ty::I32);
      if (offsets && d_.offset_int >= 0) for (Reg& r : o_) r = variable(Ty::I32);
      if (offsets && d_.offset_int < 0) for (Reg& r : osum_) r = variable(Ty::I32);
      if (needs_m()) { m_.clear(); for (int i = 0; i < cells_; ++i) m_.push_back(variable(Ty::I32)); }
      if (d_.bias && d_.scale_int < 0) for (Reg& r : corr_) r = variable(Ty::I32);
      b_.for_(first, b_.add_imm(first, n), 1, [&](Reg u) { unit(base, u, 0, k0); });
      UnitAt at{base, first, 0};
      w_.begin_unit(at);
      k_reg_ = b_.mul_imm(first, formats::kUnit);
      k_fixed_ = 0;
      finish_p(0);
      if (offsets) finish_o(0);
      return;
    }
    m_.assign(cells_, Reg{});
    for (int64_t u = fixed; u < fixed + n; ++u) {
      unit(base, first, u, k0);
      int64_t end = (u + 1) * formats::kUnit;
      if (d_.p_run >= formats::kUnit && end % d_.p_run == 0) finish_p(0);
      if (d_.has_offset() && d_.o_run >= formats::kUnit && end % d_.o_run == 0) finish_o(0);
    }
  }
  bool needs_m() const { return d_.bias != 0 && d_.scale_int >= 0; }

  // Address in token t's row of activations: plane `at` + `bytes_per` * (element / per).
  Address x_at(int t, int64_t plane, int64_t numerator, int64_t denominator, int64_t extra_elements) {
    int64_t k = k_fixed_ + extra_elements;
    Reg off = k_reg_;
    if (off) {
      if (numerator % denominator == 0) off = b_.mul_imm(off, numerator / denominator);
      else off = b_.mul_imm(b_.op(LOp::ShrS, {off}, __builtin_ctzll(denominator)), numerator);  // the register is a multiple of it
    }
    return {x_.buffer[t], x_.base[t], off, x_.disp[t] + plane + k / denominator * numerator};
  }

  void unit(const std::vector<Reg>& base, Reg first, int64_t fixed, Reg k0) {
    UnitAt at{base, first, fixed};
    w_.begin_unit(at);
    k_reg_ = first ? b_.mul_imm(first, formats::kUnit) : Reg{};
    if (k0) k_reg_ = k_reg_ ? b_.add(k_reg_, k0) : k0;
    k_fixed_ = fixed * formats::kUnit;
    bool halves = d_.halves();
    int order[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    if (halves) for (int i = 0; i < 8; ++i) order[i] = i;
    sums_.assign(cells_ * d_.parts(), Reg{});
    // A part after the other where both parts' sums together would not fit the registers; a panel's codes cost only a load.
    bool by_part = d_.parts() == 2 && panel_ && cells_ * 2 > registers_ / 2;
    int step = halves ? 4 : 8;
    for (int from = 0; from < 8; from += step) {
      int half = halves ? from / 4 : 0;
      if (by_part) for (int part = 0; part < 2; ++part) columns(order + from, step, half, part, part + 1);
      else columns(order + from, step, half, 0, d_.parts());
      end_of_columns(halves, half, from + step == 8);
    }
  }

  // Products of some columns of a unit, into the run's sums.
  void columns(const int* order, int count, int half, int part0, int part1) {
    for (int i = 0, length = 0; i < count; ++i) {
      column(order[i], part0, part1);
      if (i + 1 < count && (d_.dot4 || ++length < d_.chain)) continue;
      flush(half, part0, part1);
      length = 0;
    }
  }

  void end_of_columns(bool halves, int half, bool unit_ends) {
    if (d_.p_run == 16) {
      bias_sums(half);
      finish_p(half);
    } else if (unit_ends) {
      bias_sums(-1);
    }
    if (d_.has_offset() && d_.o_run == 16 && halves) {
      offset_sums(half);
      finish_o(half);
    } else if (unit_ends && d_.has_offset()) {
      if (d_.o_run == 16) for (int h = 0; h < 2; ++h) { offset_sums(h); finish_o(h); }
      else offset_sums(-1);
    }
  }

  void column(int c, int part0, int part1) {
    for (int part = part0; part < part1; ++part) {
      std::vector<Reg> w;
      for (int g = 0; g < groups_; ++g) w.push_back(w_.column(c, part, g));
      for (int t = 0; t < tokens_; ++t) {
        Reg x = b_.load_splat(Ty::I32, lanes_, DType::I32, x_at(t, d_.q_at, 1, 1, 4 * c));
        for (int g = 0; g < groups_; ++g) {
          Reg& sum = sums_[(t * groups_ + g) * d_.parts() + part];
          if (d_.dot4) {
            if (!sum) { sum = b_.reg(Ty::I32, lanes_); b_.set(sum, b_.i32(0, lanes_)); }
            b_.set_op(sum, LOp::Dot4, {sum, w[g], x});
          } else {
            Reg pair = b_.op(LOp::MaddUBS, {w[g], x});
            sum = sum ? b_.op(LOp::AddI16, {sum, pair}) : pair;
          }
        }
      }
    }
  }

  // i16 (or i32) sums of the current chain into the run's i32 sums, times the integer scale; the high part counts sixteen times.
  void flush(int half, int part0, int part1) {
    bool pairs = d_.scale_int >= 0 && d_.layout.scale[d_.scale_int].pairs;
    for (int g = 0; g < groups_; ++g) {
      Reg scale = d_.scale_int >= 0 ? w_.scale_dup(pairs ? half : 0, g) : Reg{};
      Reg factor = d_.dot4 && scale ? b_.op(LOp::ShrS, {scale}, 16) : scale;
      for (int t = 0; t < tokens_; ++t) {
        int cell = t * groups_ + g;
        for (int part = part0; part < part1; ++part) {
          Reg& sum = sums_[cell * d_.parts() + part];
          int weight = part == 1 ? 16 : 1;
          Reg wide;
          if (d_.dot4) wide = factor ? b_.mul(sum, factor) : sum;
          else wide = b_.op(LOp::MaddWD, {sum, factor ? factor : b_.i32(weight * 0x00010001, lanes_)});
          if (weight > 1 && (d_.dot4 || factor)) wide = b_.op(LOp::Shl, {wide}, 4);
          into(p_, p_, looped_, cell, wide);
          sum = Reg{};
        }
      }
    }
  }

  Reg sums_pair(int t) { return b_.load_splat(Ty::I32, lanes_, DType::I32, x_at(t, d_.sum_at, 2, 16, 0)); }
  Reg pair_of(int v, int half) {  // (v, v), or v in one half only
    uint32_t u = static_cast<uint16_t>(v);
    return b_.i32(static_cast<int32_t>(half == 0 ? u : half == 1 ? u << 16 : u | u << 16), lanes_);
  }

  // half: -1 the whole unit
  void bias_sums(int half) {
    if (d_.bias == 0) return;
    for (int t = 0; t < tokens_; ++t) {
      Reg s = sums_pair(t);
      if (d_.scale_int < 0) {
        into(corr_, corr_, looped_, t, b_.op(LOp::MaddWD, {s, pair_of(d_.bias, half)}));
        continue;
      }
      if (half >= 0) s = b_.op(LOp::And, {s, b_.i32(half == 0 ? 0xFFFF : static_cast<int32_t>(0xFFFF0000u), lanes_)});
      for (int g = 0; g < groups_; ++g) into(m_, m_, looped_, t * groups_ + g, b_.op(LOp::MaddWD, {w_.scale_pair(g), s}));
    }
  }
  void offset_sums(int half) {
    for (int t = 0; t < tokens_; ++t) {
      Reg s = sums_pair(t);
      if (d_.offset_int < 0) {
        into(osum_, osum_, looped_, t, b_.op(LOp::MaddWD, {s, pair_of(1, half)}));
        continue;
      }
      if (half >= 0) s = b_.op(LOp::And, {s, b_.i32(half == 0 ? 0xFFFF : static_cast<int32_t>(0xFFFF0000u), lanes_)});
      for (int g = 0; g < groups_; ++g) into(o_, o_, looped_, t * groups_ + g, b_.op(LOp::MaddWD, {w_.offset_pair(g), s}));
    }
  }

  Reg x_scale(int t, int half) {
    return b_.load_splat(Ty::F32, lanes_, DType::F32, x_at(t, d_.s_at, 4, d_.group, d_.group == 16 ? half * 16 : 0));
  }
  Reg times_bias(Reg m) {
    int bias = d_.bias, size = bias < 0 ? -bias : bias;
    Reg r = (size & (size - 1)) == 0 ? b_.op(LOp::Shl, {m}, __builtin_ctz(size)) : b_.mul(m, b_.i32(size, lanes_));
    return bias < 0 ? b_.op(LOp::Neg, {r}) : r;
  }

  // y += s * (d * (P + bias * M))
  void finish_p(int half) {
    for (int t = 0; t < tokens_; ++t) {
      Reg s = x_scale(t, half);
      for (int g = 0; g < groups_; ++g) {
        int cell = t * groups_ + g;
        Reg p = p_[cell];
        if (corr_[t]) p = b_.add(p, corr_[t]);
        if (needs_m()) p = b_.add(p, times_bias(m_[cell]));
        Reg f = b_.op(LOp::CvtF, {p});
        Reg scale = d_.scale_float >= 0 ? b_.mul(s, w_.float_scale(half, g)) : s;
        b_.set_op(acc_[cell], LOp::Fma, {f, scale, acc_[cell]});
        if (!looped_) { p_[cell] = Reg{}; m_[cell] = Reg{}; }
      }
      if (!looped_) corr_[t] = Reg{};
    }
  }
  // y += s * m * O
  void finish_o(int half) {
    for (int t = 0; t < tokens_; ++t) {
      Reg s = x_scale(t, half);
      Reg all = d_.offset_int < 0 ? b_.mul(b_.op(LOp::CvtF, {osum_[t]}), s) : Reg{};
      for (int g = 0; g < groups_; ++g) {
        int cell = t * groups_ + g;
        Reg term = all ? all : b_.mul(b_.op(LOp::CvtF, {o_[cell]}), s);
        if (d_.offset_float >= 0) b_.set_op(acc_[cell], LOp::Fma, {term, w_.float_offset(half, g), acc_[cell]});
        else b_.set_op(acc_[cell], LOp::Add, {acc_[cell], term});
        if (!looped_) o_[cell] = Reg{};
      }
      if (!looped_) osum_[t] = Reg{};
    }
  }

  Builder& b_;
  const DotOperand& d_;
  WeightReader& w_;
  int lanes_, groups_;
  const TokenRows& x_;
  int tokens_, cells_, registers_, prefetch_;
  bool panel_ = false;
  std::vector<Reg>& acc_;
  std::vector<Reg> p_, m_, o_, corr_, osum_, sums_;
  bool looped_ = false;
  Reg k_reg_;
  int64_t k_fixed_ = 0;
};

}  // namespace

void integer_kernel(LowerContext& c, const DotOperand& d, WeightReader& reader, bool panel, const std::vector<Reg>& base, int groups,
                    const TokenRows& x, std::vector<Reg>& acc) {
  IntegerKernel(c, d, reader, groups, x, acc).run(panel, base);
}

void float_kernel(LowerContext& c, const DotOperand& d, const std::vector<Reg>& base, int groups, const TokenRows& x, const KBlock& block,
                  std::vector<Reg>& acc) {
  Builder& b = c.b;
  int lanes = c.s.lanes;
  int64_t row = static_cast<int64_t>(lanes) * size_of(d.layout.element);
  auto step = [&](Reg k, int64_t fixed) {
    Reg wk = b.mul_imm(k, row), xk = b.mul_imm(k, 4);
    std::vector<Reg> w;
    for (int g = 0; g < groups; ++g) w.push_back(b.load(Ty::F32, lanes, d.layout.element, {d.w_buffer, base[g], wk, fixed * row}));
    for (int t = 0; t < x.count(); ++t) {
      Reg xv = b.load_splat(Ty::F32, lanes, DType::F32, {x.buffer[t], x.base[t], xk, x.disp[t] + fixed * 4});
      for (int g = 0; g < groups; ++g) b.set_op(acc[t * groups + g], LOp::Fma, {w[g], xv, acc[t * groups + g]});
    }
  };
  int64_t unroll = 4;
  Reg first = block.first ? block.first : b.i64(0), end = block.first ? b.add(first, block.count) : b.i64(d.k);
  Reg whole = block.first ? b.mul_imm(b.op(LOp::ShrS, {end}, 2), unroll) : b.i64(d.k / unroll * unroll);
  b.for_(first, whole, unroll, [&](Reg k) { for (int64_t u = 0; u < unroll; ++u) step(k, u); });
  b.for_(whole, end, 1, [&](Reg k) { step(k, 0); });
}

}  // namespace lumen::loops
