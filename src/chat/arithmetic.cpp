// Python's arithmetic on Values. Integers have 64 bits: an overflow is an error, never a wrong number.
#include <cmath>
#include <limits>

#include "chat/ops.h"
#include "chat/pyformat.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

Value overflow(Budget& budget) {
  budget.fail("an integer does not fit 64 bits");
  return {};
}

Value division_by_zero(Budget& budget) {
  budget.fail("division by zero");
  return {};
}

Value integer_power(int64_t base, int64_t exponent, Budget& budget) {
  if (exponent < 0) return base == 0 ? division_by_zero(budget) : Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  int64_t result = 1;
  bool base_fits = true;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) {
      if (!base_fits || __builtin_mul_overflow(result, base, &result)) return overflow(budget);
    }
    if (__builtin_mul_overflow(base, base, &base)) base_fits = false;
  }
  return result;
}

Value integers(Op op, int64_t a, int64_t b, Budget& budget) {
  int64_t r = 0;
  switch (op) {
    case Op::Add:
      return __builtin_add_overflow(a, b, &r) ? overflow(budget) : Value(r);
    case Op::Sub:
      return __builtin_sub_overflow(a, b, &r) ? overflow(budget) : Value(r);
    case Op::Mul:
      return __builtin_mul_overflow(a, b, &r) ? overflow(budget) : Value(r);
    case Op::Div:
      return b == 0 ? division_by_zero(budget) : Value(static_cast<double>(a) / static_cast<double>(b));
    case Op::FloorDiv:
      if (b == 0) return division_by_zero(budget);
      if (b == -1) return integers(Op::Sub, 0, a, budget);
      return a / b - (a % b != 0 && (a < 0) != (b < 0));
    case Op::Mod:
      if (b == 0) return division_by_zero(budget);
      if (b == -1) return 0;
      r = a % b;
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    default:
      return integer_power(a, b, budget);
  }
}

Value floats(Op op, double a, double b, Budget& budget) {
  bool divides = op == Op::Div || op == Op::FloorDiv || op == Op::Mod;
  if (divides && b == 0) return division_by_zero(budget);
  switch (op) {
    case Op::Add:
      return a + b;
    case Op::Sub:
      return a - b;
    case Op::Mul:
      return a * b;
    case Op::Div:
      return a / b;
    case Op::FloorDiv:
    case Op::Mod: {
      double r = std::fmod(a, b);
      if (r != 0 && (r < 0) != (b < 0)) r += b;
      if (op == Op::Mod) return r == 0 ? std::copysign(0.0, b) : r;
      return std::round((a - r) / b);
    }
    default:
      if ((a < 0 && b != std::floor(b)) || (a == 0 && b < 0)) return budget.fail("this power is no real number"), Value();
      return std::pow(a, b);
  }
}

Value repeat(const Value& v, int64_t times, Budget& budget) {
  uint64_t n = times > 0 ? static_cast<uint64_t>(times) : 0;
  if (v.is_string()) {
    const std::string& s = v.as_string();
    if (s.empty() || n == 0) return "";
    if (n > budget.limits().max_text / s.size() + 1) n = budget.limits().max_text / s.size() + 1;  // enough to be refused
    if (!budget.text(s.size() * n)) return {};
    std::string out;
    out.reserve(s.size() * n);
    while (n-- > 0) out += s;
    return Value(std::move(out)).like(v);
  }
  const List& list = v.as_list();
  if (list.items.empty() || n == 0) return Value::list({}, list.kind);
  if (n > budget.limits().max_steps / list.items.size() + 1) n = budget.limits().max_steps / list.items.size() + 1;
  if (!budget.spend(list.items.size() * n)) return {};
  std::vector<Value> items;
  items.reserve(list.items.size() * n);
  while (n-- > 0) items.insert(items.end(), list.items.begin(), list.items.end());
  return make_list(std::move(items), list.kind, budget);
}

bool repeatable(const Value& v) {
  return v.is_string() || (v.is_list() && (v.as_list().kind == ListKind::List || v.as_list().kind == ListKind::Tuple));
}

Value concatenate(const Value& a, const Value& b, Budget& budget) {
  if (a.is_string()) {
    if (a.is_markup() != b.is_markup()) {
      const Value& plain = a.is_markup() ? b : a;
      if (!budget.text(plain.as_string().size() * 5)) return {};
      Value escaped = Value::markup(escape_html(plain.as_string()));
      return a.is_markup() ? concatenate(a, escaped, budget) : concatenate(escaped, b, budget);
    }
    if (!budget.text(a.as_string().size() + b.as_string().size())) return {};
    return Value(a.as_string() + b.as_string()).like(a);
  }
  const auto &x = a.as_list(), &y = b.as_list();
  if (!budget.spend(x.items.size() + y.items.size())) return {};
  std::vector<Value> items = x.items;
  items.insert(items.end(), y.items.begin(), y.items.end());
  return make_list(std::move(items), x.kind, budget);
}

}  // namespace

Value arithmetic(Op op, const Value& a, const Value& b, Budget& budget) {
  if (op == Op::Mod && a.is_string()) return make_text(format_percent(a.as_string(), b, budget), budget);
  for (const Value* v : {&a, &b}) {
    if (v->is_undefined()) return budget.fail(v->undefined_message()), Value();
  }
  if (is_integer(a) && is_integer(b)) return integers(op, integer_of(a), integer_of(b), budget);
  if (is_number(a) && is_number(b)) return floats(op, number_of(a), number_of(b), budget);
  if (op == Op::Add && repeatable(a) && repeatable(b) && type_name(a) == type_name(b)) return concatenate(a, b, budget);
  if (op == Op::Mul && repeatable(a) && is_integer(b)) return repeat(a, integer_of(b), budget);
  if (op == Op::Mul && repeatable(b) && is_integer(a)) return repeat(b, integer_of(a), budget);
  budget.fail(std::string("'") + sign_of(op) + "' not supported between " + type_name(a) + " and " + type_name(b));
  return {};
}

Value negate(const Value& v, Budget& budget) {
  if (is_integer(v)) return integers(Op::Sub, 0, integer_of(v), budget);
  if (v.is(Kind::Float)) return -v.as_float();
  budget.fail(v.is_undefined() ? v.undefined_message() : "'-' needs a number, not " + type_name(v));
  return {};
}

}  // namespace lumen::chat
