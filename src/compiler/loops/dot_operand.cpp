// Resolving a dot product's operands; reading packed weights; filling panels.
#include "compiler/loops/dot_operand.h"

#include <algorithm>

namespace lumen::loops {

bool DotOperand::halves() const {
  if (p_run == 16) return true;
  return scale_int >= 0 && layout.scale[scale_int].extent == 16;
}

static std::string resolve_levels(const std::vector<ir::ScaleLevel>& levels, int& flt, int& integer) {
  for (size_t i = 0; i < levels.size(); ++i) {
    int& slot = levels[i].integer ? integer : flt;
    if (slot >= 0) return "two scale levels of one kind";
    slot = static_cast<int>(i);
  }
  return "";
}

static std::string resolve_integer(LowerContext& c, const ir::Type& xt, const ir::Type& wt, DotOperand& d) {
  d.form = &*wt.format->form;
  d.layout = formats::packed_layout(wt, c.s.lanes, c.s.pad_groups);
  const ir::FormatType& act = *xt.format;
  if (!act.row_planes || act.encode != ir::EncodeRule::AbsMax) return "activations in format " + act.name;
  d.x_row_bytes = ir::row_bytes(act, d.k);
  d.group = act.fields[act.scale_field].per;
  d.q_at = ir::plane_offset(act, act.code_field, d.k);
  d.s_at = ir::plane_offset(act, act.scale_field, d.k);
  d.sum_at = -1;
  for (size_t i = 0; i < act.fields.size(); ++i)
    if (act.fields[i].derive && act.fields[i].per == 16) d.sum_at = ir::plane_offset(act, static_cast<int>(i), d.k);
  d.bias = d.form->bias;
  d.code_max = d.form->raw_max;
  if (!d.form->codebook.empty()) {
    if (d.form->codebook.size() > 16) return "a code book of more than 16 entries";
    int lo = *std::min_element(d.form->codebook.begin(), d.form->codebook.end());
    int hi = *std::max_element(d.form->codebook.begin(), d.form->codebook.end());
    d.bias += lo;
    d.code_max = hi - lo;
    d.lut.assign(16, 0);
    for (size_t i = 0; i < d.form->codebook.size(); ++i) d.lut[i] = static_cast<uint8_t>(d.form->codebook[i] - lo);
  }
  d.dot4 = c.m.dot4 || !c.m.maddubs;
  d.split = !d.dot4 && d.code_max * 2 * 127 > 32767;
  d.chain = 32767 / (2 * 127 * (d.split ? 15 : std::max(1, d.code_max)));
  if (auto e = resolve_levels(d.form->scale, d.scale_float, d.scale_int); !e.empty()) return e;
  if (auto e = resolve_levels(d.form->offset, d.offset_float, d.offset_int); !e.empty()) return e;
  if ((d.bias != 0 || d.has_offset()) && d.sum_at < 0) return "activations without the sums that offsets need";
  auto run = [&](const std::vector<formats::PackedLevel>& levels, int i) { return std::min<int64_t>(i >= 0 ? levels[i].extent : d.group, d.group); };
  d.p_run = run(d.layout.scale, d.scale_float);
  d.o_run = d.has_offset() ? run(d.layout.offset, d.offset_float) : 0;
  if (d.layout.chunk % std::max(d.p_run, d.o_run) != 0) return "activation groups longer than a chunk of the weight";
  return "";
}

std::string resolve(LowerContext& c, const ir::Expr& dot, DotOperand& d) {
  const ir::Type& xt = c.f.values[c.v.operands[dot.operand]].type;
  const ir::Type& wt = c.f.values[c.v.operands[dot.operand2]].type;
  d.dot = &dot;
  d.x_buffer = c.e.operand_buffer[dot.operand];
  d.w_buffer = c.e.operand_buffer[dot.operand2];
  if (!wt.dims.back().is_const()) return "a dot product over a run-time extent";
  d.k = wt.dims.back().value;
  if (xt.format) {
    if (!formats::has_integer_layout(wt)) return "requantised activations with a weight that has no integer form";
    if (auto e = resolve_integer(c, xt, wt, d); !e.empty()) return e;
  } else {
    if (xt.scalar != DType::F32) return "activations that are not f32";
    DType element = wt.format ? DType::F32 : wt.scalar;
    if (!is_float(element) || element == DType::F64) return "a weight of type " + std::string(name(element));
    d.layout = formats::packed_float_layout(wt, c.s.lanes, c.s.pad_groups, element);
    d.x_row_bytes = d.k * 4;
  }
  c.layouts[dot.operand2] = d.layout;
  return "";
}

// --- packed -----------------------------------------------------------------------------------------------------------
void PackedReader::begin_unit(const UnitAt& u) {
  WeightReader::begin_unit(u);
  planes_.clear();
  columns_.clear();
  pairs_.clear();
}

// Column c of the unit: dword c of every row's 32 codes.
Reg PackedReader::raw_column(int c, int g) {
  const formats::PackedLayout& l = d_.layout;
  Reg base = at_.base[g];
  Reg step = at_.unit ? b_.mul_imm(at_.unit, l.unit_bytes) : Reg{};
  int64_t at = l.codes + at_.fixed * l.unit_bytes;
  Reg out;
  int low_bits = 0, vector = 0;
  for (int bits : l.planes) {
    int count = bits, v = c % count, shift = c / count * bits;  // element column c = v + bits * s
    Reg& whole = planes_[{g, vector + v}];
    if (!whole) whole = b_.load(Ty::I32, lanes_, DType::I32, {d_.w_buffer, base, step, at + static_cast<int64_t>(vector + v) * lanes_ * 4});
    Reg x = whole;
    if (bits < 8) {
      if (shift) x = b_.op(LOp::ShrU, {x}, shift);
      int64_t mask = ((1 << bits) - 1) * 0x01010101LL;
      x = b_.op(LOp::And, {x, b_.i32(static_cast<int32_t>(mask), lanes_)});
      if (low_bits) x = b_.op(LOp::Shl, {x}, low_bits);
    }
    out = out ? b_.op(LOp::Or, {out, x}) : x;
    low_bits += bits;
    vector += count;
  }
  return d_.lut.empty() ? out : b_.lut16(out, d_.lut);
}

Reg PackedReader::column(int c, int part, int g) {
  if (!d_.split) return raw_column(c, g);
  Reg& whole = columns_[{g, c}];
  if (!whole) whole = raw_column(c, g);
  Reg mask = b_.i32(0x0F0F0F0F, lanes_);
  return part == 0 ? b_.op(LOp::And, {whole, mask}) : b_.op(LOp::And, {b_.op(LOp::ShrU, {whole}, 4), mask});
}

// Entry of the level at this unit. Where an extent covers several units, a run-time unit number is divided.
Address PackedReader::entry(const formats::PackedLevel& l, int half, int g, int64_t bytes) {
  int64_t fixed = (at_.fixed * formats::kUnit + half * 16) / l.extent;
  Reg step;
  if (at_.unit) {
    if (l.extent >= formats::kUnit) step = b_.mul_imm(l.extent == formats::kUnit ? at_.unit : b_.op(LOp::Div, {at_.unit, b_.i64(l.extent / formats::kUnit)}), bytes);
    else step = b_.mul_imm(at_.unit, formats::kUnit / l.extent * bytes);
  }
  return {d_.w_buffer, at_.base[g], step, l.offset + fixed * bytes};
}

Reg PackedReader::pair(const formats::PackedLevel& l, int g, int which) {
  Reg& r = pairs_[{g, which}];
  if (r) return r;
  int size = size_of(l.stored);
  if (!l.pairs) {
    Reg one = b_.load(Ty::I32, lanes_, l.stored, entry(l, 0, g, static_cast<int64_t>(lanes_) * size));
    return r = b_.op(LOp::DupLo16, {one});
  }
  Address at = {d_.w_buffer, at_.base[g], at_.unit ? b_.mul_imm(at_.unit, 2LL * lanes_ * size) : Reg{}, l.offset + at_.fixed * 2 * lanes_ * size};
  return r = size == 1 ? b_.load_pair(lanes_, l.stored, at) : b_.load(Ty::I32, lanes_, DType::I32, at);
}

Reg PackedReader::scale_dup(int half, int g) {
  const formats::PackedLevel& l = d_.layout.scale[d_.scale_int];
  Reg p = scale_pair(g);
  if (!l.pairs) return p;
  return b_.op(half == 0 ? LOp::DupLo16 : LOp::DupHi16, {p});
}

Reg PackedReader::level(const formats::PackedLevel& l, int half, int g) {
  return b_.load(Ty::F32, lanes_, l.stored, entry(l, half, g, static_cast<int64_t>(lanes_) * size_of(l.stored)));
}

// --- panel ------------------------------------------------------------------------------------------------------------
Panel panel_of(const DotOperand& d, int groups, int lanes) {
  Panel p;
  p.groups = groups;
  p.lanes = lanes;
  int64_t vector = static_cast<int64_t>(groups) * lanes * 4;
  int64_t at = 8 * d.parts() * vector;
  auto slot = [&](bool wanted, int64_t& place) { if (wanted) { place = at; at += vector; } };
  int float_halves = d.scale_float >= 0 && d.layout.scale[d.scale_float].extent == 16 ? 2 : 1;
  int offset_halves = d.offset_float >= 0 && d.layout.offset[d.offset_float].extent == 16 ? 2 : 1;
  slot(d.scale_int >= 0, p.scale_dup[0]);
  slot(d.scale_int >= 0 && d.layout.scale[d.scale_int].pairs, p.scale_dup[1]);
  slot(d.scale_int >= 0 && d.bias != 0 && d.layout.scale[d.scale_int].pairs, p.scale_pair);
  if (d.scale_int >= 0 && !d.layout.scale[d.scale_int].pairs) p.scale_dup[1] = p.scale_pair = p.scale_dup[0];
  slot(d.offset_int >= 0, p.offset_pair);
  slot(d.scale_float >= 0, p.float_scale[0]);
  slot(d.scale_float >= 0 && float_halves == 2, p.float_scale[1]);
  if (float_halves == 1) p.float_scale[1] = p.float_scale[0];
  slot(d.offset_float >= 0, p.float_offset[0]);
  slot(d.offset_float >= 0 && offset_halves == 2, p.float_offset[1]);
  if (offset_halves == 1) p.float_offset[1] = p.float_offset[0];
  p.unit_bytes = at;
  return p;
}

void PanelReader::begin_unit(const UnitAt& u) {
  WeightReader::begin_unit(u);
  base_ = u.base[0];
  if (u.unit) {
    Reg step = b_.mul_imm(u.unit, p_.unit_bytes);
    base_ = base_ ? b_.add(base_, step) : step;
  }
}

void fill_panel(Builder& b, const DotOperand& d, const Panel& p, const std::vector<Reg>& group_base) {
  int64_t chunk_units = d.layout.chunk / formats::kUnit, units = d.k / formats::kUnit;
  b.for_(0, units, 1, [&](Reg unit) {
    Reg chunk = chunk_units == 1 ? unit : b.op(LOp::Div, {unit, b.i64(chunk_units)});
    UnitAt at;
    if (chunk_units > 1) at.unit = b.sub(unit, b.mul_imm(chunk, chunk_units));
    Reg step = b.mul_imm(chunk, d.layout.chunk_bytes);
    for (Reg g : group_base) at.base.push_back(b.add(g, step));
    PackedReader from(b, d, p.lanes);
    from.begin_unit(at);
    Reg out = b.mul_imm(unit, p.unit_bytes);
    auto put = [&](Reg r, int64_t place) { b.store(r, b.type(r) == Ty::F32 ? DType::F32 : DType::I32, {p.buffer, out, {}, place}); };
    for (int g = 0; g < p.groups; ++g) {
      int64_t lane_at = static_cast<int64_t>(g) * p.lanes * 4;
      for (int c : {0, 4, 1, 5, 2, 6, 3, 7})
        for (int part = 0; part < d.parts(); ++part) put(from.column(c, part, g), p.at(c, part, d.parts(), g));
      for (int h = 0; h < 2; ++h) {
        if (p.scale_dup[h] >= 0 && (h == 0 || p.scale_dup[1] != p.scale_dup[0])) put(from.scale_dup(h, g), p.scale_dup[h] + lane_at);
        if (p.float_scale[h] >= 0 && (h == 0 || p.float_scale[1] != p.float_scale[0])) put(from.float_scale(h, g), p.float_scale[h] + lane_at);
        if (p.float_offset[h] >= 0 && (h == 0 || p.float_offset[1] != p.float_offset[0])) put(from.float_offset(h, g), p.float_offset[h] + lane_at);
      }
      if (p.scale_pair >= 0 && p.scale_pair != p.scale_dup[0]) put(from.scale_pair(g), p.scale_pair + lane_at);
      if (p.offset_pair >= 0) put(from.offset_pair(g), p.offset_pair + lane_at);
    }
  });
}

}  // namespace lumen::loops
