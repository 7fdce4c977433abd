// The special forms of a forward pass: has, assert, append, residual, reshape; and types.
#include <algorithm>

#include "base/dtype.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/library_impl.h"
#include "compiler/sema/model.h"

namespace lumen::sema {

using ir::ExprPtr;

namespace {

void takes(const ast::Expr& e, size_t least, size_t most) {
  size_t found = e.args.size() - 1 + e.named.size();
  if (found >= least && found <= most && e.named.empty() && e.type_args.empty()) return;
  fail(e.span, "'" + e.args[0]->text + "' takes " + std::to_string(least) + (most > least ? " or " + std::to_string(most) : "") +
                   (most == 1 ? " argument" : " arguments") + ", found " + std::to_string(found));
}

}  // namespace

std::optional<Val> Evaluator::special_form(const std::string& name, const ast::Expr& e, Scope& s) {
  if (name == "has") return form_has(e, s);
  if (name == "assert") return form_assert(e, s);
  if (name == "append") return form_append(e, s);
  if (name == "residual") return form_residual(e, s);
  if (name == "reshape") return form_reshape(e, s);
  if (name == "rows_of") {
    takes(e, 1, 1);
    if (!rows_of) fail(e.span, "rows_of stands in a model's configuration only");
    if (e.args[1]->kind != ast::ExprKind::String) fail(e.args[1]->span, "rows_of takes a tensor's name in quotes");
    return rows_of(e.args[1]->text, e.span);
  }
  return std::nullopt;
}

// has(w), has(w[l]): does this file bring the optional weight?
Val Evaluator::form_has(const ast::Expr& e, Scope& s) {
  takes(e, 1, 1);
  const ast::Expr& a = *e.args[1];
  const ast::Expr& base = a.kind == ast::ExprKind::Index ? *a.args[0] : a;
  Val v = base.kind == ast::ExprKind::Name ? lookup(base, s) : Val{};
  if (v.kind == Vk::Poison) throw Poisoned{};
  if (v.kind != Vk::Family || !v.family->is_weight) fail(a.span, "'has' asks about a weight of the model");
  std::vector<int64_t> at;
  for (size_t i = 1; a.kind == ast::ExprKind::Index && i < a.args.size(); ++i) at.push_back(eval_int(*a.args[i], s, "an index"));
  if (at.size() != v.family->arity)
    fail(a.span, "'" + v.family->name + "' takes " + std::to_string(v.family->arity) + " indices, found " + std::to_string(at.size()));
  return static_val(v.family->has(at, a.span));
}

Val Evaluator::form_assert(const ast::Expr& e, Scope& s) {
  takes(e, 1, 2);
  StaticValue v = eval_static(*e.args[1], s, "what is asserted");
  auto* ok = std::get_if<bool>(&v);
  if (!ok) fail(e.args[1]->span, "expected a bool, found " + describe(v));
  if (e.args.size() == 3 && e.args[2]->kind != ast::ExprKind::String) fail(e.args[2]->span, "expected a message in quotes");
  if (!*ok) fail(e.span, e.args.size() == 3 ? e.args[2]->text : "this does not hold");
  return {};
}

// append(state, x): row t of x becomes position pos[t] of sequence seq[t].
Val Evaluator::form_append(const ast::Expr& e, Scope& s) {
  takes(e, 2, 2);
  Val state = eval(*e.args[1], s), x = eval(*e.args[2], s);
  if (state.kind != Vk::Paged) fail(e.args[1]->span, "'append' takes a paged state first, found " + describe(state));
  std::vector<ir::Dim> dims = {ir::Dim("T")};
  size_t rank = state.type.dims.size();
  for (size_t d = 1; d < rank; ++d)
    if (d + 2 != rank) dims.push_back(state.type.dims[d]);
  ir::Type expected{DType::F32, nullptr, dims};
  if (x.kind != Vk::Tensor || x.type.dims != dims)
    fail(e.args[2]->span, "'append' to " + state.state->name + ": expected " + to_string(expected) + ", found " + describe(x));
  int table = input("table"), pos = input("pos"), seq = input("seq");
  ExprPtr t = ir::make_index(0), position = ir::make_load(pos, DType::I32, {t}), page_tokens = ir::make_int(kPageTokens);
  std::vector<ExprPtr> dest = {
      ir::make_load(table, DType::I32, {ir::make_load(seq, DType::I32, {t}), ir::make_op(ir::Op::Div, {position, page_tokens})})};
  std::vector<int> variables = {0};
  for (size_t d = 1; d < dims.size(); ++d) {
    if (d + 1 == dims.size()) dest.push_back(ir::make_op(ir::Op::Mod, {position, page_tokens}));
    dest.push_back(ir::make_index(static_cast<int>(d)));
    variables.push_back(static_cast<int>(d));
  }
  DType stored = state.type.format ? DType::F32 : state.type.scalar;
  ExprPtr body = convert(x.expr, stored, e.args[2]->span);
  emit_scatter(*state.state, dims, variables, x.axes, std::move(dest), body, "append." + state.state->name);
  check_size(e.span);
  return {};
}

// residual(x): `hidden` and its tests look at the value here.
Val Evaluator::form_residual(const ast::Expr& e, Scope& s) {
  takes(e, 1, 1);
  Val x = eval(*e.args[1], s);
  if (x.kind != Vk::Tensor) fail(e.args[1]->span, "'residual' takes a tensor, found " + describe(x));
  if (!on_residual) fail(e.span, "'residual' stands in a model's forward pass only");
  on_residual(materialise(x, "residual"), e.span);
  return {};
}

Val Evaluator::form_reshape(const ast::Expr& e, Scope& s) {
  takes(e, 2, 2);
  Val x = eval(*e.args[1], s);
  if (x.kind != Vk::Tensor) fail(e.args[1]->span, "'reshape' takes a tensor first, found " + describe(x));
  if (e.args[2]->kind != ast::ExprKind::List) fail(e.args[2]->span, "'reshape' takes a list of dimensions: [T, H, C]");
  std::vector<ir::Dim> dims;
  for (const ast::ExprPtr& d : e.args[2]->args) dims.push_back(eval_dim(*d, s));
  // The constants' product and the names must be the same on both sides.
  auto content = [&](const std::vector<ir::Dim>& from) {
    std::pair<int64_t, std::vector<std::string>> r{1, {}};
    for (const ir::Dim& d : from) {
      if (!d.is_const())
        r.second.push_back(d.symbol);
      else if (__builtin_mul_overflow(r.first, d.value, &r.first))
        fail(e.args[2]->span, "these dimensions do not fit 64 bits");
    }
    std::sort(r.second.begin(), r.second.end());
    return r;
  };
  if (content(dims) != content(x.type.dims))
    fail(e.args[2]->span, "'reshape' keeps the number of elements: " + to_string(x.type) + " cannot become " +
                              to_string(ir::Type{x.type.scalar, x.type.format, dims}));
  int id = materialise(x, "");
  if (x.type.format && (dims.empty() || dims.back() != x.type.dims.back()))
    fail(e.span, "'reshape' keeps the innermost axis of a quantised tensor, " + to_string(x.type));
  return tensor_val(ir::add_reshape(*fn_, id, dims));
}

ir::Type Evaluator::eval_element(const ast::TypeExpr& t, Scope& s) {
  ir::Type type;
  if (Val* v = find(t.name, s); v && v->kind == Vk::Element) {
    type.scalar = v->type.scalar, type.format = v->type.format;
    return type;
  }
  if (t.args.empty()) {
    if (auto scalar = dtype_named(t.name)) {
      if (*scalar == DType::F64) fail(t.span, "tensors have no f64 elements: use f32");
      type.scalar = *scalar;
      return type;
    }
  }
  std::string name = t.name;
  for (size_t i = 0; i < t.args.size(); ++i) {
    const ast::Expr& a = *t.args[i];
    bool scalar = a.kind == ast::ExprKind::Name && dtype_named(a.text).has_value();
    name += (i ? ", " : "<") + (scalar ? a.text : to_text(eval_static(a, s, "a format's parameter")));
  }
  if (!t.args.empty()) name += ">";
  auto format = lib_.format(name);
  if (!format) fail(t.span, format.error().message);
  if (*format && !stored_scalar(**format))
    type.format = *format;
  else if (*format)
    type.scalar = *stored_scalar(**format);
  return type;
}

ir::Type Evaluator::paged_type(const ast::TypeExpr& t, Scope& s) {
  ir::Type type = eval_element(t, s);
  if (t.dims.empty()) fail(t.span, "a paged state has at least one dimension: paged f16[G, C]");
  type.dims.push_back(ir::Dim("P"));
  for (size_t i = 0; i < t.dims.size(); ++i) {
    if (i + 1 == t.dims.size()) type.dims.push_back(ir::Dim(kPageTokens));
    type.dims.push_back(eval_dim(*t.dims[i], s));
    if (!type.dims.back().is_const())
      fail(t.dims[i]->span, "a paged state's dimensions are constants: give '" + type.dims.back().symbol + "' a value");
  }
  return type;
}

}  // namespace lumen::sema
