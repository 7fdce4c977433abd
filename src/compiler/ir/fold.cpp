// Folding rules. Integers wrap, so identities and the regrouping of constants hold exactly; floats fold only when all constant.
#include "compiler/ir/fold.h"

#include <utility>

#include "compiler/ir/scalar.h"

namespace lumen::ir {
namespace {

bool is_int(const ExprPtr& e) { return e->kind == Ek::Int; }
bool is_int(const ExprPtr& e, int64_t v) { return e->kind == Ek::Int && e->ival == v; }
bool is_const(const ExprPtr& e) { return e->kind == Ek::Int || e->kind == Ek::Float; }

ExprPtr fold_constants(Op op, const std::vector<ExprPtr>& args) {
  for (const ExprPtr& a : args)
    if (!is_const(a)) return nullptr;
  DType t = args[0]->type;
  if (t == DType::F32) {
    float a = static_cast<float>(args[0]->fval), b = args.size() > 1 ? static_cast<float>(args[1]->fval) : 0.0f;
    if (is_comparison(op)) return make_int(float_compare(op, a, b), DType::Bool);
    return make_float(float_op(op, a, b));
  }
  int64_t a = args[0]->ival, b = args.size() > 1 ? args[1]->ival : 0;
  if ((op == Op::Div || op == Op::Mod) && b == 0) return nullptr;
  return make_int(int_op(op, t, a, b), is_comparison(op) ? DType::Bool : t);
}

// (x op c1) op c2 -> x op (c1 op c2) for wrapping addition and multiplication.
ExprPtr regroup(Op op, const std::vector<ExprPtr>& args) {
  const ExprPtr& a = args[0];
  if ((op != Op::Add && op != Op::Mul) || !is_int(args[1]) || a->kind != Ek::Op || a->op != op || !is_int(a->args[1])) return nullptr;
  return make_op(op, {a->args[0], make_int(int_op(op, a->type, a->args[1]->ival, args[1]->ival), a->type)});
}

ExprPtr fold_integer(Op op, std::vector<ExprPtr>& args) {
  DType t = args[0]->type;
  if (args.size() != 2) return nullptr;
  bool commutative = op == Op::Add || op == Op::Mul || op == Op::And || op == Op::Or || op == Op::Xor || op == Op::Min || op == Op::Max;
  if (commutative && is_int(args[0]) && !is_int(args[1])) std::swap(args[0], args[1]);
  const ExprPtr &a = args[0], &b = args[1];
  switch (op) {
    case Op::Add:
    case Op::Sub:
    case Op::Or:
    case Op::Xor:
    case Op::Shl:
    case Op::Shr:
      if (is_int(b, 0)) return a;
      break;
    case Op::Mul:
      if (is_int(b, 1)) return a;
      if (is_int(b, 0)) return b;
      break;
    case Op::Div:
      if (is_int(b, 1)) return a;
      break;
    case Op::Mod:
      if (is_int(b, 1)) return make_int(0, t);
      break;
    case Op::And:
      if (is_int(b, 0)) return b;
      if (t == DType::Bool && is_int(b, 1)) return a;
      break;
    case Op::Min:
    case Op::Max:
      if (equal(a, b)) return a;
      break;
    default:
      break;
  }
  return regroup(op, args);
}

}  // namespace

ExprPtr fold_op(Op op, std::vector<ExprPtr>& args) {
  if (op == Op::Select) {
    if (is_int(args[0])) return args[0]->ival ? args[1] : args[2];
    return equal(args[1], args[2]) ? args[1] : nullptr;
  }
  if (ExprPtr e = fold_constants(op, args)) return e;
  return is_float(args[0]->type) ? nullptr : fold_integer(op, args);
}

ExprPtr fold_cast(const ExprPtr& e, DType t) {
  if (e->type == t) return e;
  if (is_int(e)) {
    if (t == DType::F32) return make_float(int_to_float(e->ival, e->type));
    return is_float(t) ? nullptr : make_int(e->ival, t);
  }
  if (e->kind == Ek::Float && !is_float(t)) return make_int(float_to_int(static_cast<float>(e->fval), t), t);
  return nullptr;
}

ExprPtr fold_bitcast(const ExprPtr& e, DType t) {
  if (e->type == t) return e;
  if (is_int(e)) {
    if (!is_float(t)) return make_int(e->ival, t);
    // NaN bit patterns stay as they are: a literal does not carry its payload.
    if (t != DType::F32) return nullptr;
    float v = bits_float(static_cast<uint64_t>(e->ival), t);
    return std::isnan(v) ? nullptr : make_float(v);
  }
  if (e->kind == Ek::Float && !is_float(t) && !std::isnan(e->fval))
    return make_int(static_cast<int64_t>(float_bits(static_cast<float>(e->fval), DType::F32)), t);
  return nullptr;
}

}  // namespace lumen::ir
