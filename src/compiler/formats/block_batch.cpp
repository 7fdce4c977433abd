// BlockProgram on several blocks at once. Operations that decoding is made of are loops over lanes with the operation and, where it
// matters, the type constant, so that compilers make vectors of them; the rest goes through ir/scalar.h lane by lane.
#include <algorithm>

#include "compiler/formats/block_program.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

constexpr int kLanes = BlockProgram::kBatch;

template <class F>
inline __attribute__((always_inline)) void each(F f) {
  for (int l = 0; l < kLanes; ++l) f(l);
}

template <ir::Op op, class Slot>
void integers(DType t, Slot* d, const Slot* a, const Slot* b) {
  if (t == DType::I32) return each([&](int l) { d[l].i = ir::int_op(op, DType::I32, a[l].i, b[l].i); });
  each([&](int l) { d[l].i = ir::int_op(op, t, a[l].i, b[l].i); });
}

template <ir::Op op, class Slot>
void floats(DType t, Slot* d, const Slot* a, const Slot* b) {
  if (t == DType::F32) return each([&](int l) { d[l].f = ir::float_op(op, a[l].f, b[l].f); });
  each([&](int l) { d[l].f = ir::round_to(ir::float_op(op, a[l].f, b[l].f), t); });
}

template <class Slot>
void integer_op(const ir::Expr& e, DType from, Slot* d, const Slot* a, const Slot* b) {
  switch (e.op) {
    case ir::Op::Add: return integers<ir::Op::Add>(from, d, a, b);
    case ir::Op::Sub: return integers<ir::Op::Sub>(from, d, a, b);
    case ir::Op::Mul: return integers<ir::Op::Mul>(from, d, a, b);
    case ir::Op::And: return integers<ir::Op::And>(from, d, a, b);
    case ir::Op::Or: return integers<ir::Op::Or>(from, d, a, b);
    case ir::Op::Xor: return integers<ir::Op::Xor>(from, d, a, b);
    case ir::Op::Shl: return integers<ir::Op::Shl>(from, d, a, b);
    case ir::Op::Shr: return integers<ir::Op::Shr>(from, d, a, b);
    case ir::Op::Div:
    case ir::Op::Mod: return each([&](int l) { d[l].i = b[l].i == 0 ? 0 : ir::int_op(e.op, from, a[l].i, b[l].i); });
    default: return each([&](int l) { d[l].i = ir::int_op(e.op, from, a[l].i, b[l].i); });
  }
}

template <class Slot>
void float_op(const ir::Expr& e, Slot* d, const Slot* a, const Slot* b) {
  if (ir::is_comparison(e.op)) return each([&](int l) { d[l].i = ir::float_compare(e.op, a[l].f, b[l].f); });
  switch (e.op) {
    case ir::Op::Add: return floats<ir::Op::Add>(e.type, d, a, b);
    case ir::Op::Sub: return floats<ir::Op::Sub>(e.type, d, a, b);
    case ir::Op::Mul: return floats<ir::Op::Mul>(e.type, d, a, b);
    default: return each([&](int l) { d[l].f = ir::round_to(ir::float_op(e.op, a[l].f, b[l].f), e.type); });
  }
}

template <class Slot>
void cast(DType from, DType to, Slot* d, const Slot* a) {
  if (is_float(from)) {
    if (is_float(to)) return each([&](int l) { d[l].f = ir::round_to(a[l].f, to); });
    return each([&](int l) { d[l].i = ir::float_to_int(a[l].f, to); });
  }
  if (to == DType::F32 && size_of(from) <= 4 && is_signed(from))
    return each([&](int l) { d[l].f = static_cast<float>(static_cast<int32_t>(a[l].i)); });
  if (is_float(to)) return each([&](int l) { d[l].f = ir::round_to(ir::int_to_float(a[l].i, from), to); });
  each([&](int l) { d[l].i = ir::wrap(a[l].i, to); });
}

}  // namespace

void BlockProgram::run_batch(const uint8_t* blocks, int count, float* out) {
  if (lanes_.empty())
    for (const Slot& s : slots_) lanes_.insert(lanes_.end(), kBatch, s);  // constants keep theirs
  in_range_ = true;
  for (const Instr& n : code_) step_batch(n, blocks, count);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Slot* from = &lanes_[static_cast<size_t>(outputs_[i]) * kBatch];
    for (int b = 0; b < count; ++b) out[static_cast<size_t>(b) * outputs_.size() + i] = from[b].f;
  }
}

void BlockProgram::step_batch(const Instr& n, const uint8_t* blocks, int count) {
  const ir::Expr& e = *n.e;
  auto lanes = [&](int slot) { return &lanes_[static_cast<size_t>(std::max(slot, 0)) * kBatch]; };
  Slot* d = lanes(n.dst);
  const Slot *a = lanes(n.a), *b = lanes(n.b), *c = lanes(n.c);
  switch (e.kind) {
    case ir::Ek::Field:
      for (int l = 0; l < count; ++l) {
        int64_t i = a[l].i;
        bool inside = i >= 0 && i < n.count;
        in_range_ &= inside;
        const uint8_t* p = blocks + l * f_.block_bytes + n.offset + (inside ? i : 0) * size_of(e.type);
        if (is_float(e.type))
          d[l].f = inside ? read_float(e.type, p) : 0.0f;
        else
          d[l].i = !inside ? 0 : e.type == DType::U8 ? *p : read_integer(e.type, p);
      }
      break;
    case ir::Ek::Table:
      for (int l = 0; l < count; ++l) {
        int64_t i = a[l].i;
        bool inside = i >= 0 && i < static_cast<int64_t>(e.table->size());
        in_range_ &= inside;
        double v = inside ? (*e.table)[static_cast<size_t>(i)] : 0.0;
        if (is_float(e.type))
          d[l].f = ir::round_to(static_cast<float>(v), e.type);
        else
          d[l].i = ir::wrap(static_cast<int64_t>(v), e.type);
      }
      break;
    case ir::Ek::Cast: cast(n.from, e.type, d, a); break;
    case ir::Ek::Bitcast:
      for (int l = 0; l < count; ++l) {
        uint64_t bits = is_float(n.from) ? ir::float_bits(a[l].f, n.from) : static_cast<uint64_t>(a[l].i);
        if (is_float(e.type))
          d[l].f = ir::bits_float(bits, e.type);
        else
          d[l].i = ir::wrap(static_cast<int64_t>(bits), e.type);
      }
      break;
    default:
      if (e.op == ir::Op::Select)
        each([&](int l) { d[l] = a[l].i ? b[l] : c[l]; });
      else if (is_float(n.from))
        float_op(e, d, a, b);
      else
        integer_op(e, n.from, d, a, b);
  }
}

}  // namespace lumen::formats
