// The list is in the order of a post-order walk; a slot is written once in a run.
#include "compiler/formats/block_program.h"

#include <bit>
#include <cstring>

#include "compiler/ir/scalar.h"

namespace lumen::formats {

int64_t read_integer(DType t, const uint8_t* p) {
  uint64_t v = 0;
  for (int i = 0; i < size_of(t); ++i) v |= static_cast<uint64_t>(p[i]) << (8 * i);
  return ir::wrap(static_cast<int64_t>(v), t);
}

float read_float(DType t, const uint8_t* p) {
  if (t == DType::F64) {
    double d;
    std::memcpy(&d, p, 8);
    return static_cast<float>(d);
  }
  uint64_t v = 0;
  for (int i = 0; i < size_of(t); ++i) v |= static_cast<uint64_t>(p[i]) << (8 * i);
  return ir::bits_float(v, t);
}

BlockProgram::BlockProgram(const ir::FormatType& f, const std::vector<ir::ExprPtr>& outputs) : f_(f), roots_(outputs) {
  for (const ir::ExprPtr& e : roots_) {
    outputs_.push_back(add(e));
    float_.push_back(is_float(e->type));
  }
}

int BlockProgram::add(const ir::ExprPtr& e) {
  auto it = slot_of_.find(e.get());
  if (it != slot_of_.end()) return it->second;
  Instr n{e.get(), -1, -1, -1, -1, 0, 0, DType::I32};
  for (size_t i = 0; i < e->args.size() && i < 3; ++i) (i == 0 ? n.a : i == 1 ? n.b : n.c) = add(e->args[i]);
  if (!e->args.empty()) n.from = e->args[0]->type;
  n.dst = static_cast<int>(slots_.size());
  slots_.push_back(Slot{.i = 0});
  slot_of_[e.get()] = n.dst;
  switch (e->kind) {
    case ir::Ek::Int:
      slots_[n.dst].i = e->ival;
      return n.dst;
    case ir::Ek::Float:
      slots_[n.dst].f = static_cast<float>(e->fval);
      return n.dst;
    case ir::Ek::Index:
      if (e->ival != 0) error_ = "index " + std::to_string(e->ival) + " in a value rule";
      index_slot_ = n.dst;
      return n.dst;
    case ir::Ek::Field:
      n.offset = f_.fields[static_cast<size_t>(e->ival)].offset;
      n.count = f_.fields[static_cast<size_t>(e->ival)].count;
      break;
    case ir::Ek::Op:
    case ir::Ek::Cast:
    case ir::Ek::Bitcast:
    case ir::Ek::Table:
      break;
    case ir::Ek::Reduce:
      error_ = "a reduction inside the value rule";
      break;
    default:
      error_ = "something other than fields of the block inside the value rule";
      break;
  }
  code_.push_back(n);
  return n.dst;
}

void BlockProgram::run(const uint8_t* block, int64_t index0) {
  in_range_ = true;
  if (index_slot_ >= 0) slots_[index_slot_].i = index0;
  for (const Instr& n : code_) step(n, block);
}

void BlockProgram::step(const Instr& n, const uint8_t* block) {
  const ir::Expr& e = *n.e;
  Slot& d = slots_[n.dst];
  auto at = [&](int s) -> const Slot& { return slots_[s]; };
  switch (e.kind) {
    case ir::Ek::Field: {
      int64_t i = at(n.a).i;
      bool inside = i >= 0 && i < n.count;
      in_range_ &= inside;
      const uint8_t* p = block + n.offset + (inside ? i : 0) * size_of(e.type);
      if (is_float(e.type))
        d.f = inside ? read_float(e.type, p) : 0.0f;
      else
        d.i = inside ? read_integer(e.type, p) : 0;
      break;
    }
    case ir::Ek::Table: {
      int64_t i = at(n.a).i;
      bool inside = i >= 0 && i < static_cast<int64_t>(e.table->size());
      in_range_ &= inside;
      double v = inside ? (*e.table)[static_cast<size_t>(i)] : 0.0;
      if (is_float(e.type))
        d.f = ir::round_to(static_cast<float>(v), e.type);
      else
        d.i = ir::wrap(static_cast<int64_t>(v), e.type);
      break;
    }
    case ir::Ek::Cast:
      if (is_float(n.from)) {
        if (is_float(e.type))
          d.f = ir::round_to(at(n.a).f, e.type);
        else
          d.i = ir::float_to_int(at(n.a).f, e.type);
      } else if (is_float(e.type)) {
        d.f = ir::round_to(ir::int_to_float(at(n.a).i, n.from), e.type);
      } else {
        d.i = ir::wrap(at(n.a).i, e.type);
      }
      break;
    case ir::Ek::Bitcast: {
      uint64_t bits = is_float(n.from) ? ir::float_bits(at(n.a).f, n.from) : static_cast<uint64_t>(at(n.a).i);
      if (is_float(e.type))
        d.f = ir::bits_float(bits, e.type);
      else
        d.i = ir::wrap(static_cast<int64_t>(bits), e.type);
      break;
    }
    default:
      if (e.op == ir::Op::Select) {
        d = at(n.a).i ? at(n.b) : at(n.c);
      } else if (is_float(n.from)) {
        float a = at(n.a).f, b = n.b >= 0 ? at(n.b).f : 0.0f;
        if (ir::is_comparison(e.op))
          d.i = ir::float_compare(e.op, a, b);
        else
          d.f = ir::round_to(ir::float_op(e.op, a, b), e.type);
      } else {
        int64_t a = at(n.a).i, b = n.b >= 0 ? at(n.b).i : 0;
        bool zero = (e.op == ir::Op::Div || e.op == ir::Op::Mod) && b == 0;
        in_range_ &= !zero;
        d.i = zero ? 0 : ir::int_op(e.op, n.from, a, b);
      }
  }
}

}  // namespace lumen::formats
