// Lowering of I32 and F32 ops. At avx512 every instruction has an EVEX form, so that all 32 registers may be used.
#include <cmath>
#include <cstring>

#include "backend/cpu/x86_64/lowering.h"
#include "base/assert.h"

namespace lumen::cpu {

using namespace asmjit;

namespace {

// The instructions of plain two-operand ops. scalar: the form for one F32 lane (its memory operand is 4 bytes).
struct BinaryRow {
  LOp op;
  Ty type;
  InstId vex, evex, scalar;
  bool commutes;
};
constexpr BinaryRow kBinary[] = {
    {LOp::Add, Ty::F32, Inst::kIdVaddps, Inst::kIdVaddps, Inst::kIdVaddss, true},
    {LOp::Sub, Ty::F32, Inst::kIdVsubps, Inst::kIdVsubps, Inst::kIdVsubss, false},
    {LOp::Mul, Ty::F32, Inst::kIdVmulps, Inst::kIdVmulps, Inst::kIdVmulss, true},
    {LOp::Div, Ty::F32, Inst::kIdVdivps, Inst::kIdVdivps, Inst::kIdVdivss, false},
    {LOp::Min, Ty::F32, Inst::kIdVminps, Inst::kIdVminps, Inst::kIdVminss, false},
    {LOp::Max, Ty::F32, Inst::kIdVmaxps, Inst::kIdVmaxps, Inst::kIdVmaxss, false},
    {LOp::Add, Ty::I32, Inst::kIdVpaddd, Inst::kIdVpaddd, Inst::kIdVpaddd, true},
    {LOp::Sub, Ty::I32, Inst::kIdVpsubd, Inst::kIdVpsubd, Inst::kIdVpsubd, false},
    {LOp::Mul, Ty::I32, Inst::kIdVpmulld, Inst::kIdVpmulld, Inst::kIdVpmulld, true},
    {LOp::Min, Ty::I32, Inst::kIdVpminsd, Inst::kIdVpminsd, Inst::kIdVpminsd, true},
    {LOp::Max, Ty::I32, Inst::kIdVpmaxsd, Inst::kIdVpmaxsd, Inst::kIdVpmaxsd, true},
    {LOp::And, Ty::I32, Inst::kIdVpand, Inst::kIdVpandd, Inst::kIdVpand, true},
    {LOp::Or, Ty::I32, Inst::kIdVpor, Inst::kIdVpord, Inst::kIdVpor, true},
    {LOp::Xor, Ty::I32, Inst::kIdVpxor, Inst::kIdVpxord, Inst::kIdVpxor, true},
    {LOp::AddI16, Ty::I32, Inst::kIdVpaddw, Inst::kIdVpaddw, Inst::kIdVpaddw, true},
    {LOp::MaddUBS, Ty::I32, Inst::kIdVpmaddubsw, Inst::kIdVpmaddubsw, Inst::kIdVpmaddubsw, false},
    {LOp::MaddWD, Ty::I32, Inst::kIdVpmaddwd, Inst::kIdVpmaddwd, Inst::kIdVpmaddwd, true},
    {LOp::ShlV, Ty::I32, Inst::kIdVpsllvd, Inst::kIdVpsllvd, Inst::kIdVpsllvd, false},
    {LOp::ShrUV, Ty::I32, Inst::kIdVpsrlvd, Inst::kIdVpsrlvd, Inst::kIdVpsrlvd, false},
    {LOp::ShrSV, Ty::I32, Inst::kIdVpsravd, Inst::kIdVpsravd, Inst::kIdVpsravd, false},
};

}  // namespace

const std::vector<uint8_t> kDupLow = {0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13},
                           kDupHigh = {2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15};

void Lowering::binary(const Stmt& s, InstId id, bool commutes) {
  Reg a = s.src[0], b = s.src[1];
  if (commutes && in_memory(a) && !in_memory(b)) std::swap(a, b);
  bool halves = s.op == LOp::AddI16 || s.op == LOp::MaddUBS || s.op == LOp::MaddWD;
  Vec left = vec(a);
  Operand right = rm(b, !halves);
  emit(id, vec_dst(s.dst), left, right);
}

void Lowering::vector_op(const Stmt& s) {
  bool scalar = lanes(s.dst) == 1;
  for (const BinaryRow& row : kBinary)
    if (row.op == s.op && row.type == type(s.dst)) {
      InstId id = isa_.avx512 ? row.evex : row.vex;
      return binary(s, scalar && row.type == Ty::F32 ? row.scalar : id, row.commutes);
    }
  auto dst = [&] { return vec_dst(s.dst); };
  auto unary = [&](InstId id, InstId single) {
    if (scalar && single) {
      Vec a = vec(s.src[0]);
      emit(id = single, dst(), a, a);
    } else {
      Operand a = rm(s.src[0]);
      emit(id, dst(), a);
    }
  };
  auto rounding = [&](int mode) {
    Vec a = vec(s.src[0]);
    if (scalar) emit(pick(Inst::kIdVroundss, Inst::kIdVrndscaless), dst(), a, a, Imm(mode));
    else emit(pick(Inst::kIdVroundps, Inst::kIdVrndscaleps), dst(), a, Imm(mode));
  };
  auto with_constant = [&](InstId id, uint32_t bits) {
    Vec c = constant32(bits, lanes(s.dst)), a = vec(s.src[0]);
    emit(id, dst(), a, c);
  };
  InstId vpxor = pick(Inst::kIdVpxor, Inst::kIdVpxord), vpand = pick(Inst::kIdVpand, Inst::kIdVpandd);
  switch (s.op) {
    case LOp::Const: {
      float f = static_cast<float>(s.fimm);
      uint32_t bits = static_cast<uint32_t>(s.imm);
      if (type(s.dst) == Ty::F32) std::memcpy(&bits, &f, 4);
      return make_constant(bytes32(bits), lanes(s.dst), dst());
    }
    case LOp::Mov:
      if (is_const(s.src[0])) return make_constant(pattern_of(s.src[0]), lanes(s.dst), dst());
      [[fallthrough]];
    case LOp::BitsF: case LOp::BitsI: {
      Vec a = vec(s.src[0]);
      return move(dst(), a);
    }
    case LOp::Splat: return splat(s);
    case LOp::Iota: {
      std::vector<uint8_t> bytes;
      for (int l = 0; l < std::max(4, lanes(s.dst)); ++l) {
        uint32_t v = static_cast<uint32_t>(l + s.imm);
        for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<uint8_t>(v >> (8 * i)));
      }
      return make_constant(bytes, lanes(s.dst), dst());
    }
    case LOp::ToI32: cc_.vmovd(dst().xmm(), gp(s.src[0]).r32()); return;
    case LOp::Div: case LOp::Mod: return int_divide(s);
    case LOp::Neg:
      if (type(s.dst) == Ty::F32) return with_constant(vpxor, 0x80000000);
      else {
        Vec zero = constant32(0, lanes(s.dst)), a = vec(s.src[0]);
        return emit(Inst::kIdVpsubd, dst(), zero, a);
      }
    case LOp::Abs:
      if (type(s.dst) == Ty::F32) return with_constant(vpand, 0x7FFFFFFF);
      else {
        Vec a = vec(s.src[0]);
        return emit(Inst::kIdVpabsd, dst(), a);
      }
    case LOp::AndNot: {
      Vec b = vec(s.src[1]);
      Operand a = rm(s.src[0]);
      return emit(pick(Inst::kIdVpandn, Inst::kIdVpandnd), dst(), b, a);
    }
    case LOp::Shl: case LOp::ShrU: case LOp::ShrS: return shift(s);
    case LOp::CmpEq: case LOp::CmpLt: case LOp::CmpLe: return compare_lanes(s);
    case LOp::Select: return select_lanes(s);
    case LOp::Fma: return fma(s);
    case LOp::Sqrt: return unary(Inst::kIdVsqrtps, Inst::kIdVsqrtss);
    case LOp::Floor: return rounding(9);   // toward minus infinity, no exception
    case LOp::Round: return rounding(8);   // to nearest even
    case LOp::Rcp: {
      Vec one = constant32(0x3F800000, lanes(s.dst)), a = vec(s.src[0]);
      return emit(scalar ? Inst::kIdVdivss : Inst::kIdVdivps, dst(), one, a);
    }
    case LOp::CvtF: return unary(Inst::kIdVcvtdq2ps, 0);
    case LOp::CvtI: return unary(Inst::kIdVcvtps2dq, 0);
    case LOp::TruncI: return unary(Inst::kIdVcvttps2dq, 0);
    case LOp::Dot4: return dot4(s);
    case LOp::Lut16: {
      Vec table = constant(s.table, lanes(s.dst)), a = vec(s.src[0]);
      return emit(Inst::kIdVpshufb, dst(), table, a);
    }
    case LOp::DupLo16: case LOp::DupHi16: {
      Vec order = constant(s.op == LOp::DupLo16 ? kDupLow : kDupHigh, lanes(s.dst)), a = vec(s.src[0]);
      return emit(Inst::kIdVpshufb, dst(), a, order);
    }
    case LOp::HAdd: case LOp::HMax: return across(s);
    case LOp::Lane: return lane(s);
    default: LUMEN_ASSERT(false);
  }
}

void Lowering::splat(const Stmt& s) {
  Vec d;
  if (type(s.src[0]) == Ty::I64) {
    Gp a = gp(s.src[0]);
    d = vec_dst(s.dst);
    if (lanes(s.dst) == 1) return emit(Inst::kIdVmovd, d.xmm(), a.r32());
    if (isa_.avx512) return emit(Inst::kIdVpbroadcastd, d, a.r32());
    emit(Inst::kIdVmovd, d.xmm(), a.r32());
    return emit(Inst::kIdVpbroadcastd, d, d.xmm());
  }
  Vec a = vec(s.src[0]);
  d = vec_dst(s.dst);
  if (lanes(s.dst) == 1) return move(d, a);
  emit(type(s.dst) == Ty::F32 ? Inst::kIdVbroadcastss : Inst::kIdVpbroadcastd, d, a.xmm());
}

void Lowering::shift(const Stmt& s) {
  Vec a = vec(s.src[0]), d = vec_dst(s.dst);
  if (s.imm == 0) return move(d, a);
  emit(s.op == LOp::Shl ? Inst::kIdVpslld : s.op == LOp::ShrU ? Inst::kIdVpsrld : Inst::kIdVpsrad, d, a, Imm(s.imm));
}

namespace {

int real_code(LOp op) { return op == LOp::CmpEq ? 0 : op == LOp::CmpLt ? 0x11 : 0x12; }  // ordered, quiet

}  // namespace

void Lowering::compare_to(const Stmt& s, const KReg& k) {
  Vec a = vec(s.src[0]), b = vec(s.src[1]);
  if (type(s.src[0]) == Ty::F32) emit(Inst::kIdVcmpps, k, a, b, Imm(real_code(s.op)));
  else emit(Inst::kIdVpcmpd, k, a, b, Imm(s.op == LOp::CmpEq ? 0 : s.op == LOp::CmpLt ? 1 : 2));
}

void Lowering::compare_lanes(const Stmt& s) {
  if (isa_.avx512) {
    KReg k = cc_.newKw();
    compare_to(s, k);
    return emit(Inst::kIdVpmovm2d, vec_dst(s.dst), k);
  }
  Vec a = vec(s.src[0]), b = vec(s.src[1]);
  if (type(s.src[0]) == Ty::F32) return emit(Inst::kIdVcmpps, vec_dst(s.dst), a, b, Imm(real_code(s.op)));
  if (s.op == LOp::CmpEq) return emit(Inst::kIdVpcmpeqd, vec_dst(s.dst), a, b);
  if (s.op == LOp::CmpLt) return emit(Inst::kIdVpcmpgtd, vec_dst(s.dst), b, a);
  Vec ones = constant32(~0u, lanes(s.dst)), greater = new_vec(lanes(s.dst));  // a <= b: not a > b; `ones` may share d's register
  emit(Inst::kIdVpcmpgtd, greater, a, b);
  emit(Inst::kIdVpxor, vec_dst(s.dst), greater, ones);
}

void Lowering::select_lanes(const Stmt& s) {
  const Stmt* comparison = regs_[s.src[0].id].folded;
  if (!isa_.avx512) {
    Vec mask = vec(s.src[0]), a = vec(s.src[1]), b = vec(s.src[2]);
    return emit(Inst::kIdVblendvps, vec_dst(s.dst), b, a, mask);
  }
  KReg k = cc_.newKw();
  if (comparison) compare_to(*comparison, k);
  else emit(Inst::kIdVpmovd2m, k, vec(s.src[0]));
  Vec a = vec(s.src[1]), b = vec(s.src[2]), d = vec_dst(s.dst);
  cc_.k(k).vblendmps(d, b, a);
}

// a * b + c in the form that overwrites a register which is the result's, or on its way to the stack; one operand may be in
// memory, at first a load that was folded.
void Lowering::fma(const Stmt& s) {
  bool scalar = lanes(s.dst) == 1;
  InstId f132 = scalar ? Inst::kIdVfmadd132ss : Inst::kIdVfmadd132ps, f213 = scalar ? Inst::kIdVfmadd213ss : Inst::kIdVfmadd213ps,
         f231 = scalar ? Inst::kIdVfmadd231ss : Inst::kIdVfmadd231ps;
  Vec d = vec_dst_over(s.dst, {s.src[2], s.src[0], s.src[1]});
  int memory = -1;
  for (int i = 0; i < 3; ++i)
    if (in_memory(s.src[i]) && (memory < 0 || folded_load(s.src[i]))) memory = i;
  Operand x[3];
  for (int i = 0; i < 3; ++i)
    if (i != memory) x[i] = vec(s.src[i]);
  if (memory >= 0) x[memory] = rm(s.src[memory]);
  Operand &a = x[0], &b = x[1], &c = x[2];
  if (a.isMem()) std::swap(a, b);
  auto is_d = [&](const Operand& o) { return o.isReg() && o.id() == d.id(); };
  if (is_d(c)) return emit(f231, d, a, b);  // d = a * b + d
  if (is_d(b)) std::swap(a, b);
  if (!is_d(a) && c.isMem()) {
    move(d, a.as<Vec>());
    a = d;
  }
  if (is_d(a)) {
    if (b.isMem()) emit(f132, d, c, b);  // d = d * b + c
    else emit(f213, d, b, c);            // d = b * d + c
    return;
  }
  move(d, c.as<Vec>());
  emit(f231, d, a, b);
}

void Lowering::dot4(const Stmt& s) {
  Reg a = s.src[0], b = s.src[1], c = s.src[2];
  if (isa_.dot4) {
    Vec d = vec_dst_over(s.dst, {a}), sum = vec(a), vb = vec(b);
    Operand vc = rm(c);
    bool clash = sum.id() != d.id() && (vb.id() == d.id() || (vc.isReg() && vc.id() == d.id()));  // d is a factor, and not the sum
    Vec t = clash ? new_vec(lanes(s.dst)) : d;
    move(t, sum);
    emit(Inst::kIdVpdpbusd, t, vb, vc);
    return move(d, t);
  }
  // Exact without VNNI: even and odd bytes as halves, two vpmaddwd.
  int n = lanes(s.dst);
  Vec va = vec(a), vb = vec(b), vc = vec(c), low = constant32(0x00FF00FF, n), x = new_vec(n), y = new_vec(n), z = new_vec(n);
  emit(pick(Inst::kIdVpand, Inst::kIdVpandd), x, vb, low);
  emit(Inst::kIdVpsllw, y, vc, Imm(8));
  emit(Inst::kIdVpsraw, y, y, Imm(8));
  emit(Inst::kIdVpmaddwd, x, x, y);
  emit(Inst::kIdVpsrlw, y, vb, Imm(8));
  emit(Inst::kIdVpsraw, z, vc, Imm(8));
  emit(Inst::kIdVpmaddwd, y, y, z);
  emit(Inst::kIdVpaddd, x, x, y);
  emit(Inst::kIdVpaddd, vec_dst(s.dst), va, x);
}

// Halves until one lane is left.
void Lowering::across(const Stmt& s) {
  bool real = type(s.dst) == Ty::F32, add = s.op == LOp::HAdd;
  InstId id = real ? (add ? Inst::kIdVaddps : Inst::kIdVmaxps) : add ? Inst::kIdVpaddd : Inst::kIdVpmaxsd;
  Vec x = vec(s.src[0]), d = vec_dst(s.dst).xmm();
  int n = lanes(s.src[0]);
  if (n == 1) return move(d, x);
  if (n == 16) {
    Vec t = new_vec(8), u = new_vec(8);
    emit(Inst::kIdVextractf64x4, t.ymm(), x.zmm(), Imm(1));
    emit(id, u.ymm(), x.ymm(), t.ymm());
    x = u;
  }
  if (n >= 8) {
    Vec t = new_vec(4), u = new_vec(4);
    emit(pick(Inst::kIdVextractf128, Inst::kIdVextractf32x4), t, x.ymm(), Imm(1));
    emit(id, u, x.xmm(), t);
    x = u;
  }
  Vec t = new_vec(4), u = new_vec(4);
  if (real) emit(Inst::kIdVpermilps, t, x.xmm(), Imm(0x4E));
  else emit(Inst::kIdVpshufd, t, x.xmm(), Imm(0x4E));
  emit(id, u, x.xmm(), t);
  Vec w = new_vec(4);
  if (real) emit(Inst::kIdVmovshdup, w, u);
  else emit(Inst::kIdVpshufd, w, u, Imm(0xB1));
  emit(id, d, u, w);
}

void Lowering::lane(const Stmt& s) {
  Vec x = vec(s.src[0]), d = vec_dst(s.dst).xmm();
  int l = static_cast<int>(s.imm);
  if (l >= 4) {
    Vec t = new_vec(4);
    if (lanes(s.src[0]) == 16) emit(Inst::kIdVextractf32x4, t, x.zmm(), Imm(l / 4));
    else emit(pick(Inst::kIdVextractf128, Inst::kIdVextractf32x4), t, x.ymm(), Imm(l / 4));
    x = t;
  }
  if (l % 4 == 0) return move(d, x.xmm());
  if (type(s.dst) == Ty::F32) emit(Inst::kIdVpermilps, d, x.xmm(), Imm(l % 4));
  else emit(Inst::kIdVpshufd, d, x.xmm(), Imm(l % 4));
}

}  // namespace lumen::cpu
