// Weights: for every declared one, where this file keeps it, and whether its shape is the declared one.
#include "compiler/sema/instance.h"
#include "compiler/sema/library_impl.h"

namespace lumen::sema {

namespace {

constexpr size_t kMaxTuples = 1 << 20;  // members of one family

std::string shape(const ir::Type& t) { return to_string(t); }

std::string member(const std::string& name, const std::vector<int64_t>& at) {
  std::string s = name;
  for (int64_t i : at) s += "[" + std::to_string(i) + "]";
  return s;
}

}  // namespace

void Instance::for_each_index(const std::vector<ast::Binder>& over, size_t at, std::vector<int64_t>& tuple, Scope& s,
                              const std::function<void(const std::vector<int64_t>&, Scope&)>& body) {
  if (at == over.size()) return body(tuple, s);
  const ast::Binder& b = over[at];
  int64_t lo = ev_.eval_int(*b.lo, s, "the range of '" + b.name + "'"), hi = ev_.eval_int(*b.hi, s, "the range of '" + b.name + "'");
  uint64_t count = lo < hi ? static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) : 0;
  if (count > kMaxTuples) fail(b.span, "a range of at most " + std::to_string(kMaxTuples) + " is expected, found " + std::to_string(count));
  for (int64_t i = lo; i < hi; ++i) {
    ev_.tick(b.span);
    Scope& inner = ev_.new_scope(&s);
    inner.names[b.name] = static_val(i);
    tuple.push_back(i);
    for_each_index(over, at + 1, tuple, inner, body);
    tuple.pop_back();
  }
}

void Instance::bind_weights() {
  for (const ast::IndexedBinding& w : model_.weights) {
    const ast::Binding& b = w.binding;
    weights_.emplace_back();
    WeightFamily& family = weights_.back();
    std::vector<int64_t> tuple;
    for_each_index(w.over, 0, tuple, scope_,
                   [&](const std::vector<int64_t>& at, Scope& s) { family.slots[at] = bind_weight(b, member(b.name, at), s); });
    family.family.name = b.name;
    family.family.arity = w.over.size();
    family.family.is_weight = true;
    family.family.has = [this, &family](const std::vector<int64_t>& at, Span span) { return !slot(family, at, span)->absent; };
    family.family.get = [this, &family](const std::vector<int64_t>& at, Span span) {
      Slot& s = *slot(family, at, span);
      if (s.absent)
        fail(span, "this file has no '" + member(family.family.name, at) + "', which is optional",
             "ask first: if has(" + member(family.family.name, at) + ")");
      return use_weight(s);
    };
    declare(b.name, b.span, family.family);
  }
}

Instance::Slot* Instance::slot(WeightFamily& w, const std::vector<int64_t>& at, Span span) {
  auto it = w.slots.find(at);
  if (it == w.slots.end()) fail(span, "there is no '" + member(w.family.name, at) + "': the index is out of range");
  return &it->second;
}

Instance::Slot Instance::bind_weight(const ast::Binding& b, const std::string& param, Scope& s) {
  Slot slot;
  slot.span = b.span;
  source_.next_binding(param);
  std::string tried;
  for (const ast::Alternative& a : b.alternatives) {
    if (!a.source.empty() && !source_.takes(a.source)) continue;
    try {
      Made made = weight_expr(*a.value, s, !a.source.empty());
      check_weight(b, param, made, s);
      slot.alias = made.alias;
      slot.weight = {param, made.type, std::move(made.expr)};
      return slot;
    } catch (const Absent& name) {
      tried += (tried.empty() ? "'" : " nor '") + name.name + "'";
    }
  }
  if (b.optional) {
    slot.absent = true;
    return slot;
  }
  if (tried.empty()) fail(b.span, "'" + b.name + "' has no alternative for a file of kind '" + source_.kind() + "'");
  throw Error{source_.path() + ": found no tensor " + tried + ", which gives the weight '" + param + "' of the model '" + model_.name +
              "'"};
}

// "blk.{l}.attn_q.weight"
std::string Instance::interpolate(const std::string& text, Span span, Scope& s) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') {
      out += text[i];
      continue;
    }
    size_t close = text.find('}', i);
    if (close == std::string::npos) fail(span, "expected '}' after '{' in this name");
    ast::Expr name{ast::ExprKind::Name, span, text.substr(i + 1, close - i - 1)};
    StaticValue v = ev_.eval_static(name, s, "what stands in braces");
    auto* string = std::get_if<std::string>(&v);
    out += string ? *string : to_text(v);
    i = close;
  }
  return out;
}

Instance::Made Instance::file_tensor(const std::string& name) {
  auto t = source_.tensor(name);
  if (!t) throw t.error();
  if (!*t) throw Absent{name};
  Made made;
  made.type = (*t)->type;
  made.expr.name = name;
  if (made.type.format) {  // a format of one plain number is that number
    if (auto scalar = stored_scalar(*made.type.format)) made.type.scalar = *scalar, made.type.format = nullptr;
  }
  for (const ir::Dim& d : made.type.dims)
    if (!d.is_const() || d.value < 0)
      throw Error{source_.path() + ": the tensor '" + name + "' has the impossible shape " + shape(made.type)};
  return made;
}

Instance::Made Instance::weight_expr(const ast::Expr& e, Scope& s, bool sourced) {
  switch (e.kind) {
    case ast::ExprKind::String:
      if (!sourced) fail(e.span, "say which kind of file holds this tensor: gguf \"" + e.text + "\"");
      return file_tensor(interpolate(e.text, e.span, s));
    case ast::ExprKind::Call:
      return weight_call(e, s, sourced);
    case ast::ExprKind::Binary:
      return weight_arith(e, s, sourced);
    case ast::ExprKind::Name:
    case ast::ExprKind::Index: {  // another weight, declared above
      const ast::Expr& base = e.kind == ast::ExprKind::Index ? *e.args[0] : e;
      auto it = scope_.names.find(base.text);
      if (base.kind == ast::ExprKind::Name && it != scope_.names.end() && it->second.kind == Vk::Family && it->second.family->is_weight) {
        std::vector<int64_t> at;
        for (size_t i = 1; e.kind == ast::ExprKind::Index && i < e.args.size(); ++i) at.push_back(ev_.eval_int(*e.args[i], s, "an index"));
        for (WeightFamily& w : weights_) {
          if (w.family.name != base.text) continue;
          Slot* other = slot(w, at, e.span);
          if (other->absent) throw Absent{member(base.text, at)};
          Made made;
          made.expr = other->weight.from, made.type = other->weight.type, made.alias = other;
          return made;
        }
      }
      fail(e.span, "expected a tensor's name in quotes or a weight declared above");
    }
    default:
      fail(e.span, "expected a tensor's name in quotes, a weight declared above, or rope_rows, rows, concat, reshape of such");
  }
}

Instance::Made Instance::weight_concat(const ast::Expr& e, Scope& s, bool sourced) {
  Made made;
  for (size_t i = 1; i < e.args.size(); ++i) {
    Made part = weight_expr(*e.args[i], s, sourced);
    if (part.type.dims.empty()) fail(e.args[i]->span, "a tensor without dimensions has no rows");
    if (i == 1) {
      made.type = part.type;
    } else {
      ir::Type rest = part.type;
      rest.dims[0] = made.type.dims[0];
      if (!(rest == made.type))
        throw Error{source_.path() + ": concat needs equal formats and widths, found " + shape(made.type) + " and " + shape(part.type)};
      made.type.dims[0].value += part.type.dims[0].value;
    }
    made.expr.args.push_back(std::move(part.expr));
  }
  made.expr.kind = WeightExpr::Concat;
  return made;
}

// reshape(x, [dims]): the same elements; a quantised tensor keeps its rows.
Instance::Made Instance::weight_reshape(const ast::Expr& e, Made of, Scope& s) {
  if (e.args[2]->kind != ast::ExprKind::List) fail(e.args[2]->span, "'reshape' takes a list of dimensions");
  Made made;
  made.expr.kind = WeightExpr::Reshape;
  made.type = of.type;
  made.type.dims.clear();
  int64_t before = 1, after = 1;
  for (const ir::Dim& d : of.type.dims) before *= d.value;
  for (const ast::ExprPtr& d : e.args[2]->args) {
    made.type.dims.push_back(ev_.eval_dim(*d, s));
    if (__builtin_mul_overflow(after, made.type.dims.back().value, &after)) fail(d->span, "this dimension is too large");
  }
  bool rows_kept = !of.type.format || (!made.type.dims.empty() && made.type.dims.back() == of.type.dims.back());
  if (before != after || !rows_kept) throw Error{source_.path() + ": reshape: " + shape(of.type) + " cannot become " + shape(made.type)};
  made.expr.args.push_back(std::move(of.expr));
  return made;
}

Instance::Made Instance::weight_call(const ast::Expr& e, Scope& s, bool sourced) {
  const std::string& name = e.args[0]->text;
  if (name != "rope_rows" && name != "rows" && name != "reshape" && name != "concat")
    fail(e.args[0]->span, "expected rope_rows, rows, concat or reshape, found '" + name + "'");
  size_t want = name == "reshape" ? 2 : 3, found = e.args.size() - 1 + e.named.size();
  if (!e.named.empty() || found == 0 || (name != "concat" && found != want))
    fail(e.span, "'" + name + "' takes " + (name == "concat" ? "at least one tensor" : std::to_string(want) + " arguments") + ", found " +
                     std::to_string(found));
  if (name == "concat") return weight_concat(e, s, sourced);
  Made of = weight_expr(*e.args[1], s, sourced), made;
  if (name == "reshape") return weight_reshape(e, std::move(of), s);
  made.type = of.type;
  int64_t rows = of.type.dims.empty() ? 0 : of.type.dims[0].value;
  if (name == "rope_rows") {
    WeightExpr& x = made.expr;
    x.kind = WeightExpr::RopeRows;
    x.heads = ev_.eval_int(*e.args[2], s, "the number of heads"), x.rotated = ev_.eval_int(*e.args[3], s, "the number of rotated rows");
    if (x.heads < 1 || rows % x.heads != 0)
      throw Error{source_.path() + ": rope_rows: " + std::to_string(rows) + " rows are no multiple of " + std::to_string(x.heads) +
                  " heads (" + shape(of.type) + ")"};
    if (x.rotated < 0 || x.rotated % 2 != 0 || x.rotated > rows / x.heads)
      throw Error{source_.path() + ": rope_rows: the rotated rows of a head are an even number up to " + std::to_string(rows / x.heads) +
                  ", found " + std::to_string(x.rotated)};
  } else {
    made.expr.kind = WeightExpr::Rows;
    made.expr.lo = ev_.eval_int(*e.args[2], s, "the first row"), made.expr.hi = ev_.eval_int(*e.args[3], s, "the end of the rows");
    if (made.expr.lo < 0 || made.expr.hi < made.expr.lo || made.expr.hi > rows)
      throw Error{source_.path() + ": rows " + std::to_string(made.expr.lo) + " to " + std::to_string(made.expr.hi) + " of " +
                  shape(of.type) + " do not exist"};
    made.type.dims[0].value = made.expr.hi - made.expr.lo;
  }
  made.expr.args.push_back(std::move(of.expr));
  return made;
}

// tensor + constant, tensor * constant (and - and /)
Instance::Made Instance::weight_arith(const ast::Expr& e, Scope& s, bool sourced) {
  if (e.text != "+" && e.text != "-" && e.text != "*" && e.text != "/") fail(e.span, "weights are combined with numbers by + - * / only");
  auto number = [&](const ast::Expr& x) -> std::optional<double> {
    if (x.kind == ast::ExprKind::String || x.kind == ast::ExprKind::Call) return std::nullopt;
    if (x.kind == ast::ExprKind::Binary || x.kind == ast::ExprKind::Index) return std::nullopt;
    if (x.kind == ast::ExprKind::Name) {
      Val v = ev_.eval_name(x, s);
      if (v.kind == Vk::Family) return std::nullopt;
    }
    StaticValue v = ev_.eval_static(x, s, "a number");
    if (auto* i = std::get_if<int64_t>(&v)) return static_cast<double>(*i);
    if (auto* d = std::get_if<double>(&v)) return *d;
    fail(x.span, "expected a number, found " + describe(v));
  };
  bool commutes = e.text == "+" || e.text == "*";
  std::optional<double> right = number(*e.args[1]), left = right ? std::nullopt : number(*e.args[0]);
  if (!right && !(left && commutes)) fail(e.span, "expected a tensor and a number: tensor " + e.text + " 2.0");
  double c = right ? *right : *left;
  Made of = weight_expr(right ? *e.args[0] : *e.args[1], s, sourced), made;
  if (of.type.format) throw Error{source_.path() + ": '" + e.text + "' needs an unquantised tensor, found " + shape(of.type)};
  made.type = of.type;
  made.type.scalar = DType::F32;
  made.expr.kind = e.text == "+" || e.text == "-" ? WeightExpr::AddConst : WeightExpr::MulConst;
  if (e.text == "/" && c == 0) fail(e.args[1]->span, "division by zero");
  made.expr.value = e.text == "-" ? -c : e.text == "/" ? 1.0 / c : c;
  made.expr.args.push_back(std::move(of.expr));
  return made;
}

void Instance::check_weight(const ast::Binding& b, const std::string& param, Made& made, Scope& s) {
  if (!b.type) return;
  const ast::TypeExpr& t = *b.type;
  if (t.paged || !t.has_dims) fail(t.span, "a weight's type has dimensions: [N, K] or f32[N]");
  std::vector<ir::Dim> dims;
  for (const ast::ExprPtr& d : t.dims) dims.push_back(ev_.eval_dim(*d, s));
  auto mismatch = [&](const ir::Type& expected, bool any) {
    std::string text = to_string(expected);
    if (any) text = text.substr(text.find('['));
    std::string from = made.expr.kind == WeightExpr::Tensor ? "the tensor '" + made.expr.name + "'" : "its binding";
    throw Error{source_.path() + ": the weight '" + param + "' of the model '" + model_.name + "': expected " + text + ", found " +
                to_string(made.type) + " in " + from};
  };
  ir::Type expected = made.type;
  expected.dims = dims;
  if (t.name.empty()) {
    if (made.type.dims != dims) mismatch(expected, true);
    return;
  }
  ir::Type element = ev_.eval_element(t, s);
  element.dims = dims;
  if (made.type.dims != dims) mismatch(element, false);
  // Any stored float becomes f32 where f32 is asked for; other types are taken as they are.
  bool convertible = !element.format && element.scalar == DType::F32 && (made.type.format || is_float(made.type.scalar));
  if (!convertible && !(element == made.type)) mismatch(element, false);
  if (made.alias && !(element == made.type)) made.alias = nullptr;
  made.type = element;
}

}  // namespace lumen::sema
