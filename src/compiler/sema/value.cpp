// Values of the evaluator: makers and descriptions.
#include "compiler/sema/value.h"

#include <cmath>
#include <cstdio>

namespace lumen::sema {

Val static_val(StaticValue v) {
  Val r;
  r.kind = Vk::Static;
  r.value = std::move(v);
  return r;
}

Val scalar_val(ir::ExprPtr e) {
  Val r;
  r.kind = Vk::Scalar;
  r.expr = std::move(e);
  return r;
}

Val dim_val(const ir::Dim& d) { return d.is_const() ? static_val(d.value) : scalar_val(ir::make_extent(d.symbol)); }

std::string describe(const StaticValue& v) {
  constexpr const char* names[] = {"an integer", "a float", "a bool", "a string", "a format", "a list of integers", "a list of floats",
                                   "a list of strings"};
  return names[v.index()];
}

std::string describe(const Val& v) {
  switch (v.kind) {
    case Vk::Nothing:
      return "nothing";
    case Vk::Static:
      return describe(v.value) + (v.value.index() < 3 ? " (" + to_text(v.value) + ")" : "");
    case Vk::Scalar:
      return v.expr->type == DType::Bool ? "a truth value" : "a number computed at run time";
    case Vk::Tensor:
      return "a tensor " + to_string(v.type);
    case Vk::Paged:
      return "the paged state " + v.state->name;
    case Vk::Field:
      return "the field '" + v.field->name + "'";
    case Vk::Table:
      return "a table";
    case Vk::Macro:
      return "the function '" + v.let->name + "'";
    case Vk::Family:
      return "'" + v.family->name + "', one for each " + (v.family->arity == 1 ? "layer" : "index");
    case Vk::Element:
      return "the element type " + to_string(v.type);
    case Vk::Poison:
      return "a value with a mistake";
  }
  return "?";
}

namespace {

std::string float_as_text(double d) {
  char buffer[40];
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(buffer, sizeof buffer, "%.*g", digits, d);
    if (std::strtod(buffer, nullptr) == d) break;
  }
  std::string s = buffer;
  return std::isfinite(d) && s.find_first_of(".e") == std::string::npos ? s + ".0" : s;
}

template <class T, class F>
std::string list(const std::vector<T>& values, F text) {
  std::string s = "[";
  for (size_t i = 0; i < values.size(); ++i) s += (i ? ", " : "") + text(values[i]);
  return s + "]";
}

}  // namespace

std::string to_text(const StaticValue& v) {
  if (auto* i = std::get_if<int64_t>(&v)) return std::to_string(*i);
  if (auto* d = std::get_if<double>(&v)) return float_as_text(*d);
  if (auto* b = std::get_if<bool>(&v)) return *b ? "true" : "false";
  if (auto* s = std::get_if<std::string>(&v)) return "\"" + *s + "\"";
  if (auto* f = std::get_if<ir::FormatRef>(&v)) return *f ? (*f)->name : "f32";
  if (auto* l = std::get_if<std::vector<int64_t>>(&v)) return list(*l, [](int64_t i) { return std::to_string(i); });
  if (auto* l = std::get_if<std::vector<std::string>>(&v)) return list(*l, [](const std::string& s) { return "\"" + s + "\""; });
  return list(std::get<std::vector<double>>(v), float_as_text);
}

}  // namespace lumen::sema
