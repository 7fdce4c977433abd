// Lowering of I64 ops, and of the I32 ones that need general registers.
#include <bit>

#include "backend/cpu/x86_64/lowering.h"
#include "base/assert.h"

namespace lumen::cpu {

using namespace asmjit;
using x86::CondCode;

void Lowering::scalar_op(const Stmt& s) {
  switch (s.op) {
    case LOp::Const: {
      Gp d = gp_dst(s.dst);
      if (s.imm == 0) cc_.xor_(d.r32(), d.r32());
      else cc_.mov(d, s.imm);
      return;
    }
    case LOp::Mov: emit(Inst::kIdMov, gp_dst(s.dst), gp_or_imm(s.src[0])); return;
    case LOp::ToI64: {
      Gp d = gp_dst(s.dst);
      cc_.vmovd(d.r32(), vec(s.src[0]).xmm());
      cc_.movsxd(d, d.r32());
      return;
    }
    case LOp::Add: case LOp::Sub: case LOp::And: case LOp::Or: case LOp::Xor: return scalar_binary(s);
    case LOp::Mul: return scalar_mul(s);
    case LOp::Div: case LOp::Mod: return scalar_divide(s);
    case LOp::Min: case LOp::Max: return scalar_minmax(s);
    case LOp::Shl: case LOp::ShrU: case LOp::ShrS: {
      Gp d = gp_dst(s.dst), a = gp(s.src[0]);
      if (d.id() != a.id()) cc_.mov(d, a);
      if (s.imm) emit(s.op == LOp::Shl ? Inst::kIdShl : s.op == LOp::ShrU ? Inst::kIdShr : Inst::kIdSar, d, Imm(s.imm));
      return;
    }
    case LOp::CmpEq: case LOp::CmpLt: case LOp::CmpLe: return scalar_compare(s);
    case LOp::Select: return scalar_select(s);
    default: LUMEN_ASSERT(false);
  }
}

void Lowering::scalar_binary(const Stmt& s) {
  bool commutes = s.op != LOp::Sub;
  Reg ra = s.src[0], rb = s.src[1];
  if (commutes && is_const(ra) && !is_const(rb)) std::swap(ra, rb);
  Gp d = gp_dst(s.dst), a = gp(ra);
  Operand b = gp_or_imm(rb);
  bool b_is_d = b.isReg() && b.id() == d.id();
  InstId id = s.op == LOp::Add   ? Inst::kIdAdd
              : s.op == LOp::Sub ? Inst::kIdSub
              : s.op == LOp::And ? Inst::kIdAnd
              : s.op == LOp::Or  ? Inst::kIdOr
                                 : Inst::kIdXor;
  if (d.id() == a.id()) return emit(id, d, b);
  if (commutes && b_is_d) return emit(id, d, a);
  if (s.op == LOp::Add) {
    if (b.isImm()) cc_.lea(d, x86::ptr(a, static_cast<int32_t>(b.as<Imm>().value())));
    else cc_.lea(d, x86::ptr(a, b.as<Gp>()));
    return;
  }
  if (s.op == LOp::Sub && b.isImm() && b.as<Imm>().value() != INT32_MIN) {
    cc_.lea(d, x86::ptr(a, static_cast<int32_t>(-b.as<Imm>().value())));
    return;
  }
  if (b_is_d) {  // d = a - d
    cc_.neg(d);
    cc_.add(d, a);
    return;
  }
  cc_.mov(d, a);
  emit(id, d, b);
}

void Lowering::scalar_mul(const Stmt& s) {
  Reg ra = s.src[0], rb = s.src[1];
  if (is_const(ra)) std::swap(ra, rb);
  Gp d = gp_dst(s.dst), a = gp(ra);
  if (!is_const(rb)) {
    Gp b = gp(rb);
    if (d.id() == b.id()) std::swap(a, b);
    if (d.id() != a.id()) cc_.mov(d, a);
    cc_.imul(d, b);
    return;
  }
  int64_t v = regs_[rb.id].def->imm;
  if (v == 0) cc_.xor_(d.r32(), d.r32());
  else if (v == 3 || v == 5 || v == 9) cc_.lea(d, x86::ptr(a, a, v == 3 ? 1 : v == 5 ? 2 : 3));
  else if (v > 0 && std::has_single_bit(static_cast<uint64_t>(v))) {
    if (d.id() != a.id()) cc_.mov(d, a);
    if (v > 1) cc_.shl(d, std::countr_zero(static_cast<uint64_t>(v)));
  } else if (Support::isInt32(v)) cc_.imul(d, a, Imm(v));
  else {
    Gp b = gp(rb);
    cc_.imul(b, a);
    cc_.mov(d, b);
  }
}

// Floor division by a positive divisor.
void Lowering::scalar_divide(const Stmt& s) {
  bool div = s.op == LOp::Div;
  Gp d = gp_dst(s.dst), a = gp(s.src[0]);
  if (is_const(s.src[1])) {
    uint64_t v = static_cast<uint64_t>(regs_[s.src[1].id].def->imm);
    if (std::has_single_bit(v)) {
      int shift = std::countr_zero(v);
      if (div) {
        if (d.id() != a.id()) cc_.mov(d, a);
        if (shift) cc_.sar(d, shift);
      } else if (v == 1) cc_.xor_(d.r32(), d.r32());
      else {
        Operand mask = Imm(static_cast<int64_t>(v - 1));
        if (!Support::isInt32(static_cast<int64_t>(v - 1))) {
          Gp m = new_gp();
          cc_.mov(m, v - 1);
          mask = m;
        }
        if (d.id() != a.id()) cc_.mov(d, a);
        emit(Inst::kIdAnd, d, mask);
      }
      return;
    }
  }
  Gp b = gp(s.src[1]), q = new_gp(), r = new_gp(), t = new_gp();
  cc_.mov(q, a);
  cc_.cqo(r, q);
  cc_.idiv(r, q, b);
  cc_.mov(t, r);  // t = -1 where the remainder is negative
  cc_.sar(t, 63);
  if (div) {
    cc_.lea(d, x86::ptr(q, t));
  } else {
    cc_.and_(t, b);
    cc_.lea(d, x86::ptr(r, t));
  }
}

void Lowering::int_divide(const Stmt& s) {
  bool div = s.op == LOp::Div;
  Gp b = new_gp(), q = new_gp(), r = new_gp(), t = new_gp();
  cc_.vmovd(q.r32(), vec(s.src[0]).xmm());
  cc_.vmovd(b.r32(), vec(s.src[1]).xmm());
  cc_.cdq(r.r32(), q.r32());
  cc_.idiv(r.r32(), q.r32(), b.r32());
  cc_.mov(t.r32(), r.r32());
  cc_.sar(t.r32(), 31);
  if (!div) cc_.and_(t.r32(), b.r32());
  cc_.add(t.r32(), div ? q.r32() : r.r32());
  cc_.vmovd(vec_dst(s.dst).xmm(), t.r32());
}

void Lowering::scalar_minmax(const Stmt& s) {
  Gp d = gp_dst(s.dst), a = gp(s.src[0]), b = gp(s.src[1]);
  if (d.id() == b.id()) std::swap(a, b);
  if (d.id() != a.id()) cc_.mov(d, a);
  cc_.cmp(d, b);
  if (s.op == LOp::Min) cc_.cmovg(d, b);
  else cc_.cmovl(d, b);
}

CondCode Lowering::compare(const Stmt& s) {
  Reg ra = s.src[0], rb = s.src[1];
  bool swapped = is_const(ra) && !is_const(rb);
  if (swapped) std::swap(ra, rb);
  Gp a = gp(ra);
  Operand b = gp_or_imm(rb);
  if (b.isImm() && b.as<Imm>().value() == 0) cc_.test(a, a);
  else emit(Inst::kIdCmp, a, b);
  if (s.op == LOp::CmpEq) return CondCode::kEqual;
  if (s.op == LOp::CmpLt) return swapped ? CondCode::kSignedGT : CondCode::kSignedLT;
  return swapped ? CondCode::kSignedGE : CondCode::kSignedLE;
}

void Lowering::scalar_compare(const Stmt& s) {
  Gp t = new_gp(), d = gp_dst(s.dst);
  CondCode code = compare(s);
  cc_.mov(t.r32(), 0);  // keeps the flags; a write of 8 bits alone would look like a read to the allocator
  cc_.emit(Inst::setccFromCond(code), t.r8());
  cc_.mov(d, t);
}

void Lowering::scalar_select(const Stmt& s) {
  Gp d = gp_dst(s.dst), condition = gp(s.src[0]), a = gp(s.src[1]), b = gp(s.src[2]), t = new_gp();
  cc_.mov(t, b);
  cc_.test(condition, condition);
  cc_.cmovnz(t, a);
  cc_.mov(d, t);
}

}  // namespace lumen::cpu
