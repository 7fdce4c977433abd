// Arithmetic on static values: int64 exactly (overflow is a mistake), floats in double, integer / and % towards minus infinity.
#include <cmath>
#include <functional>
#include <map>

#include "compiler/ir/scalar.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/mistake.h"
#include "compiler/sema/value.h"

namespace lumen::sema {
namespace {

[[noreturn]] void overflow(Span span) { fail(span, "this number does not fit 64 bits"); }

bool is_number(const StaticValue& v) { return v.index() <= 1; }
double as_double(const StaticValue& v) {
  return std::holds_alternative<int64_t>(v) ? static_cast<double>(std::get<int64_t>(v)) : std::get<double>(v);
}

int64_t int_power(int64_t a, int64_t b, Span span) {
  int64_t r = 1;
  for (int64_t i = 0; i < b; ++i) {
    if (__builtin_mul_overflow(r, a, &r)) overflow(span);
    if (r == 0 || (r == 1 && a == 1)) break;
    if (a == -1) return b % 2 ? -1 : 1;
  }
  return r;
}

StaticValue int_binary(const std::string& op, int64_t a, int64_t b, Span span) {
  int64_t r = 0;
  if (op == "+" || op == "-" || op == "*") {
    bool bad = op == "+"   ? __builtin_add_overflow(a, b, &r)
               : op == "-" ? __builtin_sub_overflow(a, b, &r)
                           : __builtin_mul_overflow(a, b, &r);
    if (bad) overflow(span);
    return r;
  }
  if (op == "/" || op == "%") {
    if (b == 0) fail(span, "division by zero");
    if (b == -1 && a == INT64_MIN) overflow(span);
    return op == "/" ? ir::floor_div(a, b, DType::I64) : ir::floor_mod(a, b, DType::I64);
  }
  if (op == "**") {
    if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
    return int_power(a, b, span);
  }
  if (op == "<<" || op == ">>") {
    if (b < 0 || b > 62) fail(span, "a shift count lies between 0 and 62, found " + std::to_string(b));
    if (op == ">>") return a >> b;
    if (__builtin_mul_overflow(a, int64_t{1} << b, &r)) overflow(span);
    return r;
  }
  if (op == "&") return a & b;
  if (op == "|") return a | b;
  if (op == "^") return a ^ b;
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  return a >= b;
}

StaticValue float_binary(const std::string& op, double a, double b, Span span) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "/" && b == 0) fail(span, "division by zero");
  if (op == "/") return a / b;
  if (op == "**") return std::pow(a, b);
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  if (op == ">=") return a >= b;
  fail(span, "'" + op + "' needs integers, found a float");
}

using Unary = double (*)(double);
const std::map<std::string, Unary>& float_functions() {
  static const std::map<std::string, Unary> table = {
      {"sqrt", [](double x) { return std::sqrt(x); }},   {"rsqrt", [](double x) { return 1.0 / std::sqrt(x); }},
      {"exp", [](double x) { return std::exp(x); }},     {"log", [](double x) { return std::log(x); }},
      {"sin", [](double x) { return std::sin(x); }},     {"cos", [](double x) { return std::cos(x); }},
      {"tanh", [](double x) { return std::tanh(x); }},   {"erf", [](double x) { return std::erf(x); }},
      {"floor", [](double x) { return std::floor(x); }}, {"round", [](double x) { return std::nearbyint(x); }}};
  return table;
}

}  // namespace

StaticValue static_unary(const std::string& op, const StaticValue& a, Span span) {
  if (op == "not") {
    if (auto* b = std::get_if<bool>(&a)) return !*b;
    fail(span, "'not' needs a bool, found " + describe(a));
  }
  if (auto* i = std::get_if<int64_t>(&a)) {
    if (*i == INT64_MIN) overflow(span);
    return -*i;
  }
  if (auto* d = std::get_if<double>(&a)) return -*d;
  fail(span, "'-' needs a number, found " + describe(a));
}

StaticValue static_binary(const std::string& op, const StaticValue& a, const StaticValue& b, Span span) {
  if (op == "and" || op == "or") {
    auto *x = std::get_if<bool>(&a), *y = std::get_if<bool>(&b);
    if (!x || !y) fail(span, "'" + op + "' needs bools, found " + describe(a) + " and " + describe(b));
    return op == "and" ? *x && *y : *x || *y;
  }
  if (auto *list = std::get_if<std::vector<std::string>>(&a); list && (op == "==" || op == "!=")) {
    auto* text = std::get_if<std::string>(&b);  // each entry by itself
    if (!text) fail(span, "a list of strings is compared with a string, found " + describe(b));
    std::vector<int64_t> equal;
    for (const std::string& s : *list) equal.push_back((s == *text) == (op == "=="));
    return equal;
  }
  if ((op == "==" || op == "!=") && a.index() == b.index() && !is_number(a)) return (a == b) == (op == "==");
  if (!is_number(a) || !is_number(b)) fail(span, "'" + op + "' needs numbers, found " + describe(a) + " and " + describe(b));
  auto *x = std::get_if<int64_t>(&a), *y = std::get_if<int64_t>(&b);
  if (x && y) return int_binary(op, *x, *y, span);
  return float_binary(op, as_double(a), as_double(b), span);
}

std::optional<StaticValue> static_call(const std::string& name, const std::vector<StaticValue>& args, Span span) {
  for (const StaticValue& a : args)
    if (!is_number(a)) return std::nullopt;
  if (args.size() == 1) {
    auto it = float_functions().find(name);
    if (it != float_functions().end()) {
      double x = as_double(args[0]), y = it->second(x);
      if (!std::isfinite(y) && std::isfinite(x)) fail(span, name + " of " + to_text(args[0]) + " is not a number");
      return y;
    }
    if (name == "abs")
      return std::holds_alternative<int64_t>(args[0]) && as_double(args[0]) >= 0 ? args[0]
             : as_double(args[0]) < 0                                            ? static_unary("-", args[0], span)
                                                                                 : args[0];
    if (name == "float") return as_double(args[0]);
    if (name == "int") {
      double d = as_double(args[0]);
      if (std::holds_alternative<int64_t>(args[0])) return args[0];
      if (!(std::fabs(d) < 9.2e18)) overflow(span);
      return static_cast<int64_t>(d);
    }
  }
  if (args.size() == 2) {
    if (name == "min" || name == "max") {
      bool less = as_double(args[0]) < as_double(args[1]);
      bool floats = args[0].index() != args[1].index();
      const StaticValue& r = less == (name == "min") ? args[0] : args[1];
      return floats ? StaticValue(as_double(r)) : r;
    }
    if (name == "pow") return std::pow(as_double(args[0]), as_double(args[1]));
  }
  return std::nullopt;
}

}  // namespace lumen::sema
