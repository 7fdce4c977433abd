// Expressions to loop IR: index arithmetic, loads, decoding of blocks, reductions.
#include "compiler/loops/expr_emitter.h"

#include <bit>
#include <cstring>

#include "base/assert.h"

namespace lumen::loops {
using ir::Ek;
using ir::ExprPtr;

ExprEmitter::ExprEmitter(Builder& b, const ir::Function& f, const ir::Value& v) : b_(b), f_(f), v_(v) { push_scope(); }

Reg ExprEmitter::fail(const std::string& what, int lanes) {
  if (error.empty()) error = what;
  return lanes == 0 ? b_.i64(0) : b_.f32(0, lanes);
}
Reg ExprEmitter::find(const ExprPtr& e, int lanes) const {
  for (auto s = scopes_.rbegin(); s != scopes_.rend(); ++s)
    if (auto it = s->find({e.get(), lanes}); it != s->end()) return it->second.first;
  return {};
}
Reg ExprEmitter::keep(const ExprPtr& e, int lanes, Reg r) {
  scopes_.back()[{e.get(), lanes}] = {r, e};
  return r;
}

Reg ExprEmitter::dim(const ir::Dim& d) { return d.is_const() ? b_.i64(d.value) : b_.scalar(d.symbol); }

// --- integers as I64 ------------------------------------------------------------------------------------------------
Reg ExprEmitter::scalar(const ExprPtr& e) {
  switch (e->kind) {
    case Ek::Int: return b_.i64(e->ival);
    case Ek::Extent: return b_.scalar(e->symbol);
    case Ek::Index: {
      auto it = index.find(static_cast<int>(e->ival));
      LUMEN_ASSERT(it != index.end());
      return it->second;
    }
    default: break;
  }
  if (Reg r = find(e, 0)) return r;
  return keep(e, 0, scalar_op(e));
}

Reg ExprEmitter::scalar_op(const ExprPtr& e) {
  if (e->kind == Ek::Load || e->kind == Ek::Field || e->kind == Ek::Table || (e->kind == Ek::Cast && is_float(e->args[0]->type)))
    return b_.op(LOp::ToI64, {value(e, 1)});
  if (e->kind == Ek::Cast) return scalar(e->args[0]);  // index arithmetic stays far from its type's ends
  if (e->kind != Ek::Op) return fail("an index expression of an unsupported kind", 0);
  auto arg = [&](int i) { return scalar(e->args[i]); };
  auto imm = [&](int i) { return e->args[i]->kind == Ek::Int; };
  switch (e->op) {
    case ir::Op::Add: return b_.add(arg(0), arg(1));
    case ir::Op::Sub: return b_.sub(arg(0), arg(1));
    case ir::Op::Mul:
      if (imm(1)) return b_.mul_imm(arg(0), e->args[1]->ival);
      if (imm(0)) return b_.mul_imm(arg(1), e->args[0]->ival);
      return b_.mul(arg(0), arg(1));
    case ir::Op::Div:
      if (imm(1) && e->args[1]->ival > 0 && (e->args[1]->ival & (e->args[1]->ival - 1)) == 0)
        return b_.op(LOp::ShrS, {arg(0)}, __builtin_ctzll(e->args[1]->ival));
      return b_.op(LOp::Div, {arg(0), arg(1)});
    case ir::Op::Mod:
      if (imm(1) && e->args[1]->ival > 0 && (e->args[1]->ival & (e->args[1]->ival - 1)) == 0)
        return b_.op(LOp::And, {arg(0), b_.i64(e->args[1]->ival - 1)});
      return b_.op(LOp::Mod, {arg(0), arg(1)});
    case ir::Op::Min: return b_.op(LOp::Min, {arg(0), arg(1)});
    case ir::Op::Max: return b_.op(LOp::Max, {arg(0), arg(1)});
    case ir::Op::And: return b_.op(LOp::And, {arg(0), arg(1)});
    case ir::Op::Or: return b_.op(LOp::Or, {arg(0), arg(1)});
    case ir::Op::Xor: return b_.op(LOp::Xor, {arg(0), arg(1)});
    case ir::Op::Shl: if (imm(1)) return b_.op(LOp::Shl, {arg(0)}, e->args[1]->ival); break;
    case ir::Op::Shr: if (imm(1)) return b_.op(LOp::ShrS, {arg(0)}, e->args[1]->ival); break;
    case ir::Op::Neg: return b_.sub(b_.i64(0), arg(0));
    case ir::Op::Not: return b_.op(LOp::CmpEq, {arg(0), b_.i64(0)});
    case ir::Op::Eq: return b_.op(LOp::CmpEq, {arg(0), arg(1)});
    case ir::Op::Ne: return b_.op(LOp::Xor, {b_.op(LOp::CmpEq, {arg(0), arg(1)}), b_.i64(1)});
    case ir::Op::Lt: return b_.op(LOp::CmpLt, {arg(0), arg(1)});
    case ir::Op::Le: return b_.op(LOp::CmpLe, {arg(0), arg(1)});
    case ir::Op::Select: return b_.op(LOp::Select, {arg(0), arg(1), arg(2)});
    default: break;
  }
  return b_.op(LOp::ToI64, {value(e, 1)});
}

// --- values ---------------------------------------------------------------------------------------------------------
Reg ExprEmitter::value(const ExprPtr& e, int lanes) {
  if (auto it = given.find(e.get()); it != given.end()) {
    return b_.lanes(it->second) == lanes ? it->second : b_.splat(it->second, lanes);
  }
  if (Reg r = find(e, lanes)) return r;
  bool varies = vector_index >= 0 && ir::uses_index(e, vector_index);
  if (e->kind == Ek::Int && e->type != DType::Bool) return keep(e, lanes, b_.i32(e->ival, lanes));
  if (e->kind == Ek::Float) return keep(e, lanes, b_.f32(e->fval, lanes));
  if (lanes > 1 && !varies) return keep(e, lanes, b_.splat(value(e, 1), lanes));
  if (e->kind == Ek::Index && lanes > 1) {
    Reg r = b_.add(b_.splat(scalar(e), lanes), [&] { Reg i = b_.reg(Ty::I32, lanes); b_.set_op(i, LOp::Iota, {}); return i; }());
    return keep(e, lanes, r);
  }
  if (e->kind == Ek::Index || e->kind == Ek::Extent) return keep(e, lanes, b_.op(LOp::ToI32, {scalar(e)}));
  switch (e->kind) {
    case Ek::Load: return keep(e, lanes, load(e, lanes));
    case Ek::Field: {
      LUMEN_ASSERT(!blocks_.empty());
      Block& blk = blocks_.back();
      const ir::FormatField& fd = blk.format->fields[e->ival];
      int64_t at = blk.format->row_planes ? ir::plane_offset(*blk.format, static_cast<int>(e->ival), blk.row) : fd.offset;
      Reg off = b_.add(blk.base, b_.mul_imm(scalar(e->args[0]), size_of(fd.type)));
      return keep(e, lanes, b_.load(is_float(fd.type) ? Ty::F32 : Ty::I32, 1, fd.type, {blk.buffer, off, {}, at}));
    }
    case Ek::Table: return keep(e, lanes, table(e, lanes));
    case Ek::Reduce: return keep(e, lanes, reduce(e));
    case Ek::Bitcast:
      if (e->type == DType::F32 && !is_float(e->args[0]->type)) return keep(e, lanes, b_.op(LOp::BitsF, {value(e->args[0], lanes)}));
      if (is_float(e->args[0]->type) && size_of(e->type) == 4) return keep(e, lanes, b_.op(LOp::BitsI, {value(e->args[0], lanes)}));
      if (is_float(e->type) && !is_float(e->args[0]->type)) return keep(e, lanes, from_half_bits(value(e->args[0], lanes), e->type, lanes));
      if (is_float(e->args[0]->type) && size_of(e->type) < 4) return fail("the bits of a 16-bit float", lanes);
      if (size_of(e->type) < 4 && !is_float(e->type)) return keep(e, lanes, wrap(value(e->args[0], lanes), e->type));
      return keep(e, lanes, value(e->args[0], lanes));
    case Ek::Cast: {
      const ExprPtr& a = e->args[0];
      if (is_float(e->type)) {
        if (e->type != DType::F32 && a->type != e->type) return fail("a cast to 16-bit floats inside an expression", lanes);
        if (is_float(a->type)) return keep(e, lanes, value(a, lanes));
        return keep(e, lanes, b_.op(LOp::CvtF, {value(a, lanes)}));
      }
      if (is_float(a->type)) return keep(e, lanes, wrap(b_.op(LOp::TruncI, {value(a, lanes)}), e->type));
      return keep(e, lanes, wrap(value(a, lanes), e->type));
    }
    case Ek::Op: return keep(e, lanes, is_float(e->args.back()->type) ? value_op(e, lanes) : int_value_op(e, lanes));
    default: return fail("an expression of an unsupported kind", lanes);
  }
}

// Brings a 32-bit lane back into the range of a narrower type.
Reg ExprEmitter::wrap(Reg r, DType t) {
  int bits = 8 * size_of(t);
  if (bits >= 32 || t == DType::Bool) return r;
  if (!is_signed(t)) return b_.op(LOp::And, {r, b_.i32((1 << bits) - 1, b_.lanes(r))});
  return b_.op(LOp::ShrS, {b_.op(LOp::Shl, {r}, 32 - bits)}, 32 - bits);
}

Reg ExprEmitter::value_op(const ExprPtr& e, int lanes) {
  auto a = [&](int i) { return value(e->args[i], lanes); };
  switch (e->op) {
    case ir::Op::Add: return b_.add(a(0), a(1));
    case ir::Op::Sub: return b_.sub(a(0), a(1));
    case ir::Op::Mul: return b_.mul(a(0), a(1));
    case ir::Op::Div: return b_.op(LOp::Div, {a(0), a(1)});
    case ir::Op::Min: return b_.op(LOp::Min, {a(0), a(1)});
    case ir::Op::Max: return b_.op(LOp::Max, {a(0), a(1)});
    case ir::Op::Neg: return b_.op(LOp::Neg, {a(0)});
    case ir::Op::Abs: return b_.op(LOp::Abs, {a(0)});
    case ir::Op::Sqrt: return b_.op(LOp::Sqrt, {a(0)});
    case ir::Op::Rsqrt: return b_.op(LOp::Rcp, {b_.op(LOp::Sqrt, {a(0)})});
    case ir::Op::Exp: return b_.op(LOp::Exp, {a(0)});
    case ir::Op::Log: return b_.op(LOp::Log, {a(0)});
    case ir::Op::Sin: return b_.op(LOp::Sin, {a(0)});
    case ir::Op::Cos: return b_.op(LOp::Cos, {a(0)});
    case ir::Op::Tanh: return b_.op(LOp::Tanh, {a(0)});
    case ir::Op::Floor: return b_.op(LOp::Floor, {a(0)});
    case ir::Op::Round: return b_.op(LOp::Round, {a(0)});
    case ir::Op::Eq: return b_.op(LOp::CmpEq, {a(0), a(1)});
    case ir::Op::Lt: return b_.op(LOp::CmpLt, {a(0), a(1)});
    case ir::Op::Le: return b_.op(LOp::CmpLe, {a(0), a(1)});
    case ir::Op::Ne: return b_.op(LOp::Xor, {b_.op(LOp::CmpEq, {a(0), a(1)}), b_.i32(-1, lanes)});
    case ir::Op::Erf: return fail("erf (no kernel target expands it yet)", lanes);
    case ir::Op::Pow: return fail("pow of values known only at run time", lanes);
    case ir::Op::Select:
      return b_.op(LOp::Select, {value(e->args[0], lanes), a(1), a(2)});
    default: return fail("float operation " + std::string(ir::name(e->op)), lanes);
  }
}

Reg ExprEmitter::int_value_op(const ExprPtr& e, int lanes) {
  auto a = [&](int i) { return value(e->args[i], lanes); };
  bool is_unsigned = !is_signed(e->args[0]->type);
  auto shift = [&](LOp by_imm, LOp by_reg) {
    const ExprPtr& n = e->args[1];
    return n->kind == Ek::Int ? b_.op(by_imm, {a(0)}, n->ival) : b_.op(by_reg, {a(0), a(1)});
  };
  auto constant = [&]() -> int64_t { return e->args[1]->kind == Ek::Int ? e->args[1]->ival : 0; };
  switch (e->op) {
    case ir::Op::Add: return wrap(b_.add(a(0), a(1)), e->type);
    case ir::Op::Sub: return wrap(b_.sub(a(0), a(1)), e->type);
    case ir::Op::Mul: return wrap(b_.mul(a(0), a(1)), e->type);
    case ir::Op::Min: return b_.op(LOp::Min, {a(0), a(1)});
    case ir::Op::Max: return b_.op(LOp::Max, {a(0), a(1)});
    case ir::Op::And: return b_.op(LOp::And, {a(0), a(1)});
    case ir::Op::Or: return b_.op(LOp::Or, {a(0), a(1)});
    case ir::Op::Xor: return b_.op(LOp::Xor, {a(0), a(1)});
    case ir::Op::Neg: return wrap(b_.op(LOp::Neg, {a(0)}), e->type);
    case ir::Op::Abs: return b_.op(LOp::Abs, {a(0)});
    case ir::Op::Not: return b_.op(LOp::Xor, {a(0), b_.i32(-1, lanes)});
    case ir::Op::Shl: return wrap(shift(LOp::Shl, LOp::ShlV), e->type);
    case ir::Op::Shr: return is_unsigned ? shift(LOp::ShrU, LOp::ShrUV) : shift(LOp::ShrS, LOp::ShrSV);
    case ir::Op::Eq: return b_.op(LOp::CmpEq, {a(0), a(1)});
    case ir::Op::Lt: return b_.op(LOp::CmpLt, {a(0), a(1)});
    case ir::Op::Le: return b_.op(LOp::CmpLe, {a(0), a(1)});
    case ir::Op::Ne: return b_.op(LOp::Xor, {b_.op(LOp::CmpEq, {a(0), a(1)}), b_.i32(-1, lanes)});
    case ir::Op::Select: return b_.op(LOp::Select, {value(e->args[0], lanes), a(1), a(2)});
    case ir::Op::Div:
      if (int64_t c = constant(); c > 0 && (c & (c - 1)) == 0) return b_.op(LOp::ShrS, {a(0)}, __builtin_ctzll(c));
      if (lanes == 1) return b_.op(LOp::Div, {a(0), a(1)});
      break;
    case ir::Op::Mod:
      if (int64_t c = constant(); c > 0 && (c & (c - 1)) == 0) return b_.op(LOp::And, {a(0), b_.i32(c - 1, lanes)});
      if (lanes == 1) return b_.op(LOp::Mod, {a(0), a(1)});
      break;
    default: break;
  }
  return fail("integer operation " + std::string(ir::name(e->op)), lanes);
}

// The number whose bits, as f16 or bf16, are the low half of x.
Reg ExprEmitter::from_half_bits(Reg x, DType type, int lanes) {
  auto constant = [&](int64_t v) { return b_.i32(v, lanes); };
  if (type == DType::BF16) return b_.op(LOp::BitsF, {b_.op(LOp::Shl, {x}, 16)});
  Reg size = b_.op(LOp::And, {x, constant(0x7FFF)}), sign = b_.op(LOp::Shl, {b_.op(LOp::And, {x, constant(0x8000)})}, 16);
  Reg shifted = b_.op(LOp::Shl, {size}, 13);
  Reg normal = b_.add(shifted, constant(112 << 23)), special = b_.op(LOp::Or, {shifted, constant(0x7F800000)});  // infinite, or no number
  Reg small = b_.op(LOp::BitsI, {b_.mul(b_.op(LOp::CvtF, {size}), b_.f32(0x1p-24, lanes))});                      // subnormal
  Reg large = b_.op(LOp::Select, {b_.op(LOp::CmpLt, {size, constant(0x7C00)}), normal, special});
  Reg bits = b_.op(LOp::Select, {b_.op(LOp::CmpLt, {size, constant(0x400)}), small, large});
  return b_.op(LOp::BitsF, {b_.op(LOp::Or, {bits, sign})});
}

Reg ExprEmitter::table(const ExprPtr& e, int lanes) {
  const std::vector<double>& t = *e->table;
  Reg i = value(e->args[0], lanes);
  if (t.size() <= 16 && size_of(e->type) == 1) {  // a byte lookup in the low byte of each lane
    std::vector<uint8_t> bytes(16, 0);
    for (size_t k = 0; k < t.size(); ++k) bytes[k] = static_cast<uint8_t>(static_cast<int>(t[k]));
    return wrap(b_.lut16(i, bytes), e->type);
  }
  if (lanes != 1) return fail("a vector lookup in a table of more than 16 bytes", lanes);
  bool flt = is_float(e->type);
  std::vector<uint8_t> data(t.size() * 4);
  for (size_t k = 0; k < t.size(); ++k) {
    uint32_t bits = flt ? std::bit_cast<uint32_t>(static_cast<float>(t[k])) : static_cast<uint32_t>(static_cast<int64_t>(t[k]));
    std::memcpy(data.data() + 4 * k, &bits, 4);
  }
  Reg last = b_.i32(static_cast<int64_t>(t.size()) - 1, 1);
  i = b_.op(LOp::Max, {b_.op(LOp::Min, {i, last}), b_.i32(0, 1)});  // rules look inside; nothing else is ever read
  Ty ty = flt ? Ty::F32 : Ty::I32;
  return b_.load(ty, 1, flt ? DType::F32 : DType::I32, {b_.table(std::move(data)), b_.mul_imm(b_.op(LOp::ToI64, {i}), 4), {}, 0});
}

// --- memory ---------------------------------------------------------------------------------------------------------
Address ExprEmitter::address(const ir::Type& type, int buffer, const std::vector<ExprPtr>& idx) {
  Reg flat;
  for (size_t i = 0; i < idx.size(); ++i) {  // Horner over the dimensions
    if (i > 0) {
      const ir::Dim& d = type.dims[i];
      if (flat) flat = d.is_const() ? b_.mul_imm(flat, d.value) : b_.mul(flat, dim(d));
    }
    if (idx[i]->kind == Ek::Int && idx[i]->ival == 0) continue;
    Reg here = scalar(idx[i]);
    flat = flat ? b_.add(flat, here) : here;
  }
  return {buffer, flat ? b_.mul_imm(flat, size_of(type.scalar)) : Reg{}, {}, 0};
}

std::optional<int64_t> ExprEmitter::stride(const ir::Type& type, const std::vector<ExprPtr>& idx) const {
  int64_t total = 0, inner = 1;
  bool known = true;
  for (size_t i = idx.size(); i-- > 0;) {
    if (ir::uses_index(idx[i], vector_index)) {
      auto a = affine_in(idx[i], vector_index);
      if (!a || !known) return std::nullopt;
      total += a->coefficient * inner;
    }
    if (type.dims[i].is_const()) inner *= type.dims[i].value; else known = false;
  }
  return total;
}

Reg ExprEmitter::load(const ExprPtr& e, int lanes) {
  const ir::Type& t = operand_type(e->operand);
  if (t.format) return decode(e, lanes);
  Ty ty = is_float(t.scalar) ? Ty::F32 : Ty::I32;
  Address at = address(t, operand_buffer[e->operand], e->args);
  if (lanes == 1) return b_.load(ty, 1, t.scalar, at);
  auto s = stride(t, e->args);
  if (s && *s == 0) return b_.load_splat(ty, lanes, t.scalar, at);
  if (s && *s == 1) return b_.load(ty, lanes, t.scalar, at, tail);
  return fail("a vector load with a stride", lanes);
}

// A formatted element in its own storage: the format's value rule over the fields of its block.
Reg ExprEmitter::decode(const ExprPtr& e, int lanes) {
  if (lanes != 1) return fail("a vector load of a formatted tensor in its own storage", lanes);
  const ir::Type& t = operand_type(e->operand);
  const ir::FormatType& fmt = *t.format;
  if (!t.dims.back().is_const()) return fail("a formatted tensor with rows of unknown length", lanes);
  int64_t k = t.dims.back().value;
  Reg row;
  for (size_t i = 0; i + 1 < e->args.size(); ++i) {
    if (i > 0 && row) row = b_.mul(row, dim(t.dims[i]));
    Reg here = scalar(e->args[i]);
    row = row ? b_.add(row, here) : here;
  }
  Reg base = row ? b_.mul_imm(row, ir::row_bytes(fmt, k)) : b_.i64(0);
  ExprPtr inner = e->args.back();
  ExprPtr place = inner;
  if (!fmt.row_planes && fmt.block > 1) {
    Reg block = scalar(ir::make_op(ir::Op::Div, {inner, ir::make_int(fmt.block)}));
    base = b_.add(base, b_.mul_imm(block, fmt.block_bytes));
    place = ir::make_op(ir::Op::Mod, {inner, ir::make_int(fmt.block)});
  } else if (!fmt.row_planes) {
    base = b_.add(base, b_.mul_imm(scalar(inner), fmt.block_bytes));
    place = ir::make_int(0);
  }
  // Index 0 of the rule is `place`; a fresh number keeps it apart from the operation's own axes.
  constexpr int kPlace = 1 << 20;
  ExprPtr rule = ir::substitute(fmt.value, 0, ir::make_index(kPlace));
  index[kPlace] = scalar(place);
  blocks_.push_back({&fmt, operand_buffer[e->operand], base, k});
  Reg r;
  scoped([&] { r = value(rule, 1); });
  blocks_.pop_back();
  index.erase(kPlace);
  return r;
}

// --- reductions: one lane out; vectorised inside along the reduced index where the body allows ---------------------------
Reg ExprEmitter::reduce(const ExprPtr& e) {
  if (e->reduction == ir::Reduction::SoftmaxSum) return fail("softmax_sum away from an attention kernel", 1);
  bool flt = is_float(e->type);
  Ty ty = flt ? Ty::F32 : Ty::I32;
  LOp combine = e->reduction == ir::Reduction::Sum ? LOp::Add : e->reduction == ir::Reduction::Max ? LOp::Max : LOp::Min;
  double start = e->reduction == ir::Reduction::Sum ? 0 : e->reduction == ir::Reduction::Max ? -__builtin_inf() : __builtin_inf();
  auto initial = [&](int lanes) {
    if (flt) return b_.f32(start, lanes);
    return b_.i32(e->reduction == ir::Reduction::Sum ? 0 : e->reduction == ir::Reduction::Max ? INT32_MIN : INT32_MAX, lanes);
  };
  int number = static_cast<int>(e->ival);
  Reg lo = scalar(e->args[0]), hi = scalar(e->args[1]);
  const ExprPtr& body = e->args[2];
  int saved = vector_index;
  vector_index = number;
  int wide = vector_lanes;
  bool vector = wide > 1 && e->reduction != ir::Reduction::Min && can_vectorize(body);
  Reg result = b_.reg(ty, 1, "reduced");
  b_.set(result, initial(1));
  Reg from = lo;
  if (vector) {
    Reg acc = b_.reg(ty, wide, "acc");
    b_.set(acc, initial(wide));
    scoped([&] {
      hoist(body, wide);
      Reg whole = b_.sub(hi, b_.op(LOp::And, {b_.sub(hi, lo), b_.i64(wide - 1)}));  // lo + a multiple of the lanes
      b_.for_(lo, whole, wide, [&](Reg i) {
        index[number] = i;
        scoped([&] { b_.set(acc, b_.op(combine, {acc, value(body, wide)})); });
      });
      from = whole;
    });
    Reg flat = e->reduction == ir::Reduction::Sum ? b_.op(LOp::HAdd, {acc}) : b_.op(LOp::HMax, {acc});
    b_.set(result, flat);
  }
  vector_index = -1;
  b_.for_(from, hi, 1, [&](Reg i) {
    index[number] = i;
    scoped([&] { b_.set(result, b_.op(combine, {result, value(body, 1)})); });
  });
  index.erase(number);
  vector_index = saved;
  return result;
}

// --- vectorisability ------------------------------------------------------------------------------------------------
bool ExprEmitter::can_vectorize(const ExprPtr& e) const {
  if (!ir::uses_index(e, vector_index)) return true;
  switch (e->kind) {
    case Ek::Load: {
      const ir::Type& t = operand_type(e->operand);
      if (t.format) return false;
      auto s = stride(t, e->args);
      return s && (*s == 0 || *s == 1);
    }
    case Ek::Field: case Ek::Reduce: case Ek::Dot: return given.count(e.get()) > 0;
    case Ek::Table: if (!(e->table->size() <= 16 && size_of(e->type) == 1)) return false; break;
    case Ek::Op:
      if (!is_float(e->args.back()->type) && (e->op == ir::Op::Div || e->op == ir::Op::Mod)) {
        if (e->args[1]->kind != Ek::Int || e->args[1]->ival <= 0 || (e->args[1]->ival & (e->args[1]->ival - 1))) return false;
      }
      break;
    default: break;
  }
  for (const ExprPtr& a : e->args)
    if (!can_vectorize(a)) return false;
  return true;
}

// Every index e needs from outside is bound.
static bool closed(const ExprPtr& e, std::map<int, Reg>& bound) {
  if (e->kind == Ek::Index) return bound.count(static_cast<int>(e->ival)) > 0;
  if (e->kind == Ek::Reduce) {
    for (int i = 0; i < 2; ++i)
      if (!closed(e->args[i], bound)) return false;
    int number = static_cast<int>(e->ival);
    bool fresh = bound.emplace(number, Reg{}).second;
    bool ok = true;
    for (size_t i = 2; i < e->args.size() && ok; ++i) ok = closed(e->args[i], bound);
    if (fresh) bound.erase(number);
    return ok;
  }
  for (const ExprPtr& a : e->args)
    if (!closed(a, bound)) return false;
  return true;
}

void ExprEmitter::hoist(const ExprPtr& e, int lanes) {
  if (given.count(e.get()) || e->kind == Ek::Int || e->kind == Ek::Float) return;
  if (!ir::uses_index(e, vector_index)) {
    if (is_float(e->type) && closed(e, index)) value(e, lanes);
    return;
  }
  if (e->kind == Ek::Load || e->kind == Ek::Reduce) return;
  for (const ExprPtr& a : e->args)
    if (is_float(a->type)) hoist(a, lanes);
}

}  // namespace lumen::loops
