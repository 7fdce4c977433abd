// Configuration: bindings in order; of the alternatives, the first whose source is this file's kind and whose key is there.
#include <algorithm>
#include <cmath>

#include "compiler/sema/instance.h"

namespace lumen::sema {

void Instance::configure() {
  for (const ast::Binding& b : model_.config) {
    if (scope_.names.count(b.name)) fail(b.span, "'" + b.name + "' is declared twice in this model");
    if (!b.type) fail(b.span, "'" + b.name + "' needs a type: int, float, bool or string");
    StaticValue v = config_typed(b, config_value(b));
    out_.config[b.name] = v;
    scope_.names[b.name] = static_val(v);
  }
}

StaticValue Instance::config_value(const ast::Binding& b) {
  source_.next_binding(b.name);
  std::string tried;
  for (const ast::Alternative& a : b.alternatives) {
    if (!a.source.empty() && !source_.takes(a.source)) continue;
    if (!a.source.empty()) {
      ev_.on_string = [&](const ast::Expr& key) {
        if (auto v = source_.config(key.text)) return static_val(*v);
        throw Absent{key.text};
      };
    }
    ev_.rows_of = [&](const std::string& name, Span span) {
      auto t = source_.tensor(name);
      if (!t) throw t.error();
      if (!*t) throw Absent{name};
      if ((*t)->type.dims.empty()) fail(span, "the tensor '" + name + "' has no rows");
      return static_val((*t)->type.dims[0].value);
    };
    try {
      StaticValue v = ev_.eval_static(*a.value, scope_, "configuration");
      ev_.on_string = nullptr, ev_.rows_of = nullptr;
      return v;
    } catch (const Absent& key) {
      tried += (tried.empty() ? "'" : " nor '") + key.name + "'";
    } catch (const Mistake& m) {
      throw Mistake{{m.diag.span, m.diag.message, "for '" + b.name + "', read from " + source_.path()}};
    }
    ev_.on_string = nullptr, ev_.rows_of = nullptr;
  }
  if (tried.empty()) fail(b.span, "'" + b.name + "' has no alternative for a file of kind '" + source_.kind() + "'");
  throw Error{source_.path() + ": found no " + tried + ", which gives '" + b.name + "' of the model '" + model_.name + "' (expected " +
              (b.type ? b.type->name : "a value") + ")"};
}

// int, float, bool, string; int[layers], float[layers]: one for each layer, or one number for all of them.
StaticValue Instance::config_typed(const ast::Binding& b, StaticValue v) {
  const ast::TypeExpr& t = *b.type;
  auto wrong = [&](const std::string& expected) {
    throw Error{source_.path() + ": '" + b.name + "' of the model '" + model_.name + "': expected " + expected + ", found " + describe(v) +
                (v.index() < 4 ? " (" + to_text(v) + ")" : "")};
  };
  auto* ints = std::get_if<std::vector<int64_t>>(&v);
  auto* floats = std::get_if<std::vector<double>>(&v);
  bool want_int = t.name == "int", want_float = t.name == "float";
  auto whole = [](double d) { return std::nearbyint(d) == d && std::fabs(d) < 9e15; };
  if (t.has_dims) {
    if (t.dims.size() != 1 || (!want_int && !want_float)) fail(t.span, "a list of the configuration is int[n] or float[n]");
    int64_t size = ev_.eval_int(*t.dims[0], scope_, "a list's length");
    if (auto* i = std::get_if<int64_t>(&v))
      v = std::vector<int64_t>{*i};
    else if (auto* d = std::get_if<double>(&v))
      v = std::vector<double>{*d};
    else if (!ints && !floats)
      wrong("a list of " + std::to_string(size));
    ints = std::get_if<std::vector<int64_t>>(&v), floats = std::get_if<std::vector<double>>(&v);
    int64_t found = static_cast<int64_t>(ints ? ints->size() : floats->size());
    if (found != size && found != 1)
      throw Error{source_.path() + ": '" + b.name + "' of the model '" + model_.name + "': expected " + std::to_string(size) +
                  " entries, found " + std::to_string(found)};
    if (want_int && floats) {
      if (!std::all_of(floats->begin(), floats->end(), whole)) wrong("integers");
      return std::vector<int64_t>(floats->begin(), floats->end());
    }
    if (want_float && ints) return std::vector<double>(ints->begin(), ints->end());
    return v;
  }
  // A list of equal entries is one number.
  if (ints && !ints->empty() && std::all_of(ints->begin(), ints->end(), [&](int64_t i) { return i == ints->front(); }))
    v = int64_t{ints->front()};
  else if (floats && !floats->empty() && std::all_of(floats->begin(), floats->end(), [&](double d) { return d == floats->front(); }))
    v = double{floats->front()};
  if (want_float && std::holds_alternative<int64_t>(v)) return static_cast<double>(std::get<int64_t>(v));
  if (want_int && std::holds_alternative<double>(v) && whole(std::get<double>(v))) return static_cast<int64_t>(std::get<double>(v));
  if (t.name == "bool" && std::holds_alternative<int64_t>(v)) return std::get<int64_t>(v) != 0;
  size_t want = want_int ? 0 : want_float ? 1 : t.name == "bool" ? 2 : t.name == "string" ? 3 : 99;
  if (want == 99) fail(t.span, "expected int, float, bool or string, found '" + t.name + "'");
  if (v.index() != want) wrong(t.name);
  if (want_float && !std::isfinite(std::get<double>(v))) wrong("a finite float");
  return v;
}

}  // namespace lumen::sema
