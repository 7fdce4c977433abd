// Arithmetic on scalar expressions: promotions first, then the IR's makers, which want equal types.
#include <map>

#include "compiler/ir/scalar.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/mistake.h"
#include "compiler/sema/value.h"

namespace lumen::sema {

using ir::ExprPtr;
using ir::Op;

namespace {

ExprPtr number(const ExprPtr& e, const std::string& who, Span span) {
  if (e->type == DType::Bool) fail(span, "'" + who + "' needs numbers, found a truth value");
  return promote(e);
}
ExprPtr integer(const ExprPtr& e, const std::string& who, Span span) {
  ExprPtr p = number(e, who, span);
  if (is_float(p->type)) fail(span, "'" + who + "' needs integers, found a float");
  return p;
}

// Both of one type: a float wins over integers, wider integers over narrower ones, u32 over i32.
void unify(ExprPtr& a, ExprPtr& b, Span span) {
  if (a->type == b->type) return;
  if (is_float(a->type) || is_float(b->type)) {
    a = to_float(a, span), b = to_float(b, span);
    return;
  }
  // A constant takes the other's type where it fits.
  auto adopt = [](ExprPtr& constant, const ExprPtr& other) {
    if (constant->kind != ir::Ek::Int || ir::wrap(constant->ival, other->type) != constant->ival) return false;
    constant = ir::make_int(constant->ival, other->type);
    return true;
  };
  if (adopt(a, b) || adopt(b, a)) return;
  bool wide = size_of(a->type) == 8 || size_of(b->type) == 8;
  DType t = wide ? (a->type == DType::U64 || b->type == DType::U64 ? DType::U64 : DType::I64) : DType::U32;
  a = ir::make_cast(a, t), b = ir::make_cast(b, t);
}

const std::map<std::string, Op>& float_functions() {
  static const std::map<std::string, Op> table = {{"sqrt", Op::Sqrt},   {"rsqrt", Op::Rsqrt}, {"exp", Op::Exp},   {"log", Op::Log},
                                                  {"sin", Op::Sin},     {"cos", Op::Cos},     {"tanh", Op::Tanh}, {"erf", Op::Erf},
                                                  {"floor", Op::Floor}, {"round", Op::Round}};
  return table;
}
const std::map<std::string, DType>& casts() {
  static const std::map<std::string, DType> table = {{"i8", DType::I8},     {"u8", DType::U8},   {"i16", DType::I16},  {"u16", DType::U16},
                                                     {"i32", DType::I32},   {"u32", DType::U32}, {"f32", DType::F32},  {"f16", DType::F16},
                                                     {"bf16", DType::BF16}, {"int", DType::I32}, {"float", DType::F32}};
  return table;
}
struct BitsAs {
  DType from, to;
};
const std::map<std::string, BitsAs>& bit_casts() {
  static const std::map<std::string, BitsAs> table = {
      {"f32_bits", {DType::U32, DType::F32}}, {"f16_bits", {DType::U16, DType::F16}}, {"bf16_bits", {DType::U16, DType::BF16}}};
  return table;
}

void want(const std::string& name, size_t found, size_t expected, Span span) {
  if (found != expected)
    fail(span, "'" + name + "' takes " + std::to_string(expected) + (expected == 1 ? " argument" : " arguments") + ", found " +
                   std::to_string(found));
}

}  // namespace

ExprPtr to_expr(const StaticValue& v, Span span) {
  if (auto* i = std::get_if<int64_t>(&v)) {
    DType t = *i >= INT32_MIN && *i <= INT32_MAX ? DType::I32 : *i >= 0 && *i <= UINT32_MAX ? DType::U32 : DType::I64;
    return ir::make_int(*i, t);
  }
  if (auto* d = std::get_if<double>(&v)) return ir::make_float(*d);
  if (auto* b = std::get_if<bool>(&v)) return ir::make_int(*b, DType::Bool);
  fail(span, "expected a number, found " + describe(v));
}

ExprPtr promote(const ExprPtr& e) {
  switch (e->type) {
    case DType::I8:
    case DType::U8:
    case DType::I16:
    case DType::U16:
      return ir::make_cast(e, DType::I32);
    case DType::F16:
    case DType::BF16:
      return ir::make_cast(e, DType::F32);
    default:
      return e;
  }
}

ExprPtr to_float(const ExprPtr& e, Span span) {
  if (e->type == DType::Bool) fail(span, "expected a number, found a truth value");
  if (e->kind == ir::Ek::Int) return ir::make_float(static_cast<double>(e->ival));
  ExprPtr p = promote(e);
  return p->type == DType::F32 ? p : ir::make_cast(p, DType::F32);
}

ExprPtr to_index(const ExprPtr& e, Span span) {
  if (!is_integer(e->type)) fail(span, std::string("an index is an integer, found ") + (is_float(e->type) ? "a float" : "a truth value"));
  ExprPtr p = promote(e);
  return p->type == DType::I32 ? p : ir::make_cast(p, DType::I32);
}

ExprPtr convert(const ExprPtr& e, DType to, Span span) {
  if (e->type == to) return e;
  auto mismatch = [&] { fail(span, "expected " + std::string(name(to)) + ", found " + std::string(name(e->type))); };
  if (is_float(to)) {
    ExprPtr f = to_float(e, span);
    return to == DType::F32 ? f : ir::make_cast(f, to);
  }
  if (!is_integer(to) || !is_integer(e->type)) mismatch();
  return ir::make_cast(e, to);
}

ExprPtr scalar_unary(const std::string& op, const ExprPtr& a, Span span) {
  if (op == "not") {
    if (a->type != DType::Bool) fail(span, "'not' needs a truth value, found a number");
    return ir::make_op(Op::Not, {a});
  }
  return ir::make_op(Op::Neg, {number(a, op, span)});
}

ExprPtr scalar_binary(const std::string& op, const ExprPtr& x, const ExprPtr& y, Span span) {
  if (op == "and" || op == "or") {
    if (x->type != DType::Bool || y->type != DType::Bool) fail(span, "'" + op + "' needs truth values, found a number");
    return ir::make_op(op == "and" ? Op::And : Op::Or, {x, y});
  }
  if (op == "**") return scalar_call("pow", {x, y}, span);
  if (op == "<<" || op == ">>") {
    ExprPtr count = integer(y, op, span);
    return ir::make_op(op == "<<" ? Op::Shl : Op::Shr, {integer(x, op, span), count});
  }
  if (op == "&" || op == "|" || op == "^") {
    ExprPtr a = integer(x, op, span), b = integer(y, op, span);
    unify(a, b, span);
    return ir::make_op(op == "&" ? Op::And : op == "|" ? Op::Or : Op::Xor, {a, b});
  }
  ExprPtr a = number(x, op, span), b = number(y, op, span);
  unify(a, b, span);
  if (op == "+") return ir::make_op(Op::Add, {a, b});
  if (op == "-") return ir::make_op(Op::Sub, {a, b});
  if (op == "*") return ir::make_op(Op::Mul, {a, b});
  if (op == "/" || op == "%") {
    if (b->kind == ir::Ek::Int && b->ival == 0) fail(span, "division by zero");
    return ir::make_op(op == "/" ? Op::Div : Op::Mod, {a, b});
  }
  if (op == "==") return ir::make_op(Op::Eq, {a, b});
  if (op == "!=") return ir::make_op(Op::Ne, {a, b});
  if (op == "<") return ir::make_op(Op::Lt, {a, b});
  if (op == "<=") return ir::make_op(Op::Le, {a, b});
  if (op == ">") return ir::make_op(Op::Lt, {b, a});
  return ir::make_op(Op::Le, {b, a});
}

ExprPtr scalar_select(const ExprPtr& c, const ExprPtr& x, const ExprPtr& y, Span span) {
  if (c->type != DType::Bool) fail(span, "the condition of 'if' is a truth value, found a number: compare it with something");
  if (x->type == DType::Bool && y->type == DType::Bool) return ir::make_op(Op::Select, {c, x, y});
  ExprPtr a = number(x, "if", span), b = number(y, "if", span);
  unify(a, b, span);
  return ir::make_op(Op::Select, {c, a, b});
}

ExprPtr scalar_call(const std::string& name, const std::vector<ExprPtr>& args, Span span) {
  if (auto it = float_functions().find(name); it != float_functions().end()) {
    want(name, args.size(), 1, span);
    return ir::make_op(it->second, {to_float(args[0], span)});
  }
  if (auto it = casts().find(name); it != casts().end()) {
    want(name, args.size(), 1, span);
    return ir::make_cast(args[0], it->second);
  }
  if (auto it = bit_casts().find(name); it != bit_casts().end()) {
    want(name, args.size(), 1, span);
    ExprPtr a = integer(args[0], name, span);
    return ir::make_bitcast(a->type == it->second.from ? a : ir::make_cast(a, it->second.from), it->second.to);
  }
  if (name == "min" || name == "max") {
    want(name, args.size(), 2, span);
    ExprPtr a = number(args[0], name, span), b = number(args[1], name, span);
    unify(a, b, span);
    return ir::make_op(name == "min" ? Op::Min : Op::Max, {a, b});
  }
  if (name == "pow") {
    want(name, args.size(), 2, span);
    return ir::make_op(Op::Pow, {to_float(args[0], span), to_float(args[1], span)});
  }
  if (name == "abs") {
    want(name, args.size(), 1, span);
    return ir::make_op(Op::Abs, {number(args[0], name, span)});
  }
  if (name == "nibble") {  // the i-th 4 bits from the lowest
    want(name, args.size(), 2, span);
    ExprPtr shift = scalar_binary("*", args[1], ir::make_int(4), span);
    return scalar_binary("&", scalar_binary(">>", args[0], shift, span), ir::make_int(15), span);
  }
  if (name == "bits") {  // bits [lo, lo + n)
    want(name, args.size(), 3, span);
    if (args[2]->kind != ir::Ek::Int || args[2]->ival < 1 || args[2]->ival > 31)
      fail(span, "the width given to 'bits' is a constant between 1 and 31");
    ExprPtr mask = ir::make_int((int64_t{1} << args[2]->ival) - 1);
    return scalar_binary("&", scalar_binary(">>", args[0], args[1], span), mask, span);
  }
  return nullptr;
}

std::vector<std::string> scalar_functions() {
  std::vector<std::string> out = {"min", "max", "pow", "abs", "nibble", "bits"};
  for (const auto& f : float_functions()) out.push_back(f.first);
  for (const auto& f : casts()) out.push_back(f.first);
  for (const auto& f : bit_casts()) out.push_back(f.first);
  return out;
}

}  // namespace lumen::sema
