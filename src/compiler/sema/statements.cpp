// Statements: bindings, index notation, static loops and conditions. Assigning to a name again is a new SSA value under that name.
#include "base/assert.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/evaluator.h"

namespace lumen::sema {

using ast::StmtKind;
using ir::ExprPtr;

namespace {
constexpr size_t kMaxErrors = 20;
constexpr uint64_t kMaxIterations = 1 << 16;
}  // namespace

void Evaluator::run(const std::vector<ast::Stmt>& body, Scope& s, Frame& frame, bool last) {
  for (size_t i = 0; i < body.size() && !frame.returned; ++i) {
    const ast::Stmt& st = body[i];
    bool is_last = last && i + 1 == body.size();
    if (!frame.errors) {
      statement(st, s, frame, is_last);
      continue;
    }
    try {
      statement(st, s, frame, is_last);
    } catch (const Mistake& m) {
      frame.errors->push_back(m.diag);
      if (frame.errors->size() >= kMaxErrors) throw Poisoned{};
      poison(st, s);
    } catch (const Poisoned&) {
      poison(st, s);
    }
  }
}

// What a failed statement would have bound is unusable, so that its mistake is reported once.
void Evaluator::poison(const ast::Stmt& st, Scope& s) {
  Val v;
  v.kind = Vk::Poison;
  if (st.kind == StmtKind::Let || st.kind == StmtKind::Assign || st.kind == StmtKind::Define) {
    for (Scope* at = &s; at; at = at->parent) {
      if (at->names.count(st.name)) at->names[st.name] = v;
      if (at->frame) break;
    }
    s.names[st.name] = v;
  }
  for (const ast::Stmt& inner : st.body) poison(inner, s);
  for (const ast::Stmt& inner : st.otherwise) poison(inner, s);
}

void Evaluator::statement(const ast::Stmt& st, Scope& s, Frame& frame, bool last) {
  tick(st.span);
  switch (st.kind) {
    case StmtKind::Let: {
      if (st.params.empty()) {
        s.names[st.name] = eval(*st.value, s);
        return;
      }
      Val v;
      v.kind = Vk::Macro, v.let = &st, v.scope = &s;
      s.names[st.name] = v;
      return;
    }
    case StmtKind::Assign: {
      Val v = eval(*st.value, s);
      if (v.kind == Vk::Nothing) fail(st.value->span, "this has no value to give to '" + st.name + "'");
      if (v.kind == Vk::Tensor) v = tensor_val(materialise(v, st.name));
      assign(st, s, frame, v);
      if (last) frame.result = v;
      return;
    }
    case StmtKind::Define: {
      if (!fn_) fail(st.span, "index notation stands in functions and forward passes");
      Val v = define(st, s, frame, last);
      assign(st, s, frame, v);
      if (last) frame.result = v;
      return;
    }
    case StmtKind::Expr: {
      Val v = eval(*st.value, s);
      if (v.kind == Vk::Tensor || v.kind == Vk::Static || v.kind == Vk::Scalar)
        fail(st.span, "this value goes nowhere: give it a name or return it");
      return;
    }
    case StmtKind::Return:
      frame.result = eval(*st.value, s);
      frame.returned = true;
      return;
    case StmtKind::For:
      return for_loop(st, s, frame);
    case StmtKind::If: {
      StaticValue c = eval_static(*st.value, s, "the condition of this 'if'");
      auto* yes = std::get_if<bool>(&c);
      if (!yes) fail(st.value->span, "the condition of 'if' is a bool, found " + describe(c));
      run(*yes ? st.body : st.otherwise, new_scope(&s), frame, last);
      return;
    }
  }
}

// A name of the enclosing function gets a new value; a new name lives in the block at hand.
void Evaluator::assign(const ast::Stmt& st, Scope& s, Frame& frame, Val v) {
  Scope* at = &s;
  while (at && !at->names.count(st.name) && at != frame.scope) at = at->parent;
  if (at && at->names.count(st.name)) {
    at->names[st.name] = std::move(v);
    return;
  }
  if (frame.scope->parent) {
    if (Val* outer = find(st.name, *frame.scope->parent); outer && outer->kind != Vk::Scalar)
      fail(st.span, "'" + st.name + "' is taken: it is declared by the model", "choose another name");
  }
  s.names[st.name] = std::move(v);
}

// name[axes] = scalar expression
Val Evaluator::define(const ast::Stmt& st, Scope& s, Frame& frame, bool last) {
  Scope& inner = new_scope(&s);
  std::vector<int> variables;
  for (const std::string& axis : st.params) {
    if (inner.names.count(axis)) fail(st.span, "the index '" + axis + "' stands twice on the left");
    variables.push_back(new_variable(axis, inner, true));
  }
  ExprPtr body = promote(eval_scalar(*st.value, inner));
  ir::Type type;
  std::vector<ir::Dim> declared;
  bool has_declared = last && frame.result_type && frame.result_type->has_dims;
  if (has_declared) {
    type = eval_element(*frame.result_type, *frame.scope);
    for (const ast::ExprPtr& d : frame.result_type->dims) declared.push_back(eval_dim(*d, *frame.scope));
    if (declared.size() != variables.size())
      fail(st.span,
           "the result has " + std::to_string(declared.size()) + " dimensions, '" + st.name + "' has " + std::to_string(variables.size()));
    if (!type.format)
      body = convert(body, type.scalar, st.value->span);
    else
      body = to_float(body, st.value->span);
  } else {
    type.scalar = body->type;
  }
  for (size_t i = 0; i < variables.size(); ++i) {
    Variable& v = variables_[variables[i]];
    if (has_declared && !v.extent) v.extent = declared[i];
    type.dims.push_back(extent_of(variables[i], st.span));
    if (has_declared && type.dims[i] != declared[i])
      fail(st.span, "the index '" + v.name + "' runs over " + to_string(type.dims[i]) + " in " + v.found_in + ", the declared result has " +
                        to_string(declared[i]));
  }
  check_blocks(type, st.span);
  int id = emit_compute(type, variables, st.params, body, has_declared || last ? frame.name : frame.name + "." + st.name);
  check_size(st.span);
  return tensor_val(id);
}

void Evaluator::check_blocks(const ir::Type& type, Span span) {
  if (!type.format) return;
  if (type.dims.empty() || !type.dims.back().is_const() || type.dims.back().value % type.format->block != 0)
    fail(span, "rows of " + type.format->name + " hold whole blocks of " + std::to_string(type.format->block) + " elements, found " +
                   to_string(type));
}

void Evaluator::for_loop(const ast::Stmt& st, Scope& s, Frame& frame) {
  int64_t lo = eval_int(*st.lo, s, "the first index of 'for'"), hi = eval_int(*st.hi, s, "the end of 'for'");
  if (lo < hi && static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) > kMaxIterations)
    fail(st.span,
         "'for' runs at most " + std::to_string(kMaxIterations) + " times, found " + std::to_string(lo) + ".." + std::to_string(hi));
  size_t errors = frame.errors ? frame.errors->size() : 0;
  for (int64_t i = lo; i < hi && !frame.returned; ++i) {
    Scope& body = new_scope(&s);
    body.names[st.name] = static_val(i);
    loops_.push_back(i);
    try {
      run(st.body, body, frame, false);
    } catch (...) {
      loops_.pop_back();
      throw;
    }
    loops_.pop_back();
    // The same mistake in every layer is one mistake; what the loop would have made is unusable.
    if (frame.errors && frame.errors->size() > errors) throw Poisoned{};
  }
}

// The function's result, as its declaration says it.
Val Evaluator::finish_frame(Frame& frame, Span span) {
  Val& r = frame.result;
  if (!frame.result_type) return r;
  ir::Type type = eval_element(*frame.result_type, *frame.scope);
  for (const ast::ExprPtr& d : frame.result_type->dims) type.dims.push_back(eval_dim(*d, *frame.scope));
  if (r.kind == Vk::Nothing) fail(span, "'" + frame.name + "' ends without a result: its last statement gives it, or 'return'");
  if (r.kind != Vk::Tensor) fail(span, "'" + frame.name + "' gives " + describe(r) + ", declared is " + to_string(type));
  if (r.type.dims != type.dims || (!r.type.format && !type.format && r.type.scalar != type.scalar) || (!type.format && r.type.format))
    fail(span, "'" + frame.name + "' gives " + to_string(r.type) + ", declared is " + to_string(type));
  if (type.format && (!r.type.format || r.type.format->name != type.format->name)) {  // encode
    check_blocks(type, span);
    std::vector<int> variables;
    for (int d = 0; d < type.rank(); ++d) variables.push_back(d);
    return tensor_val(emit_compute(type, variables, r.axes, to_float(r.expr, span), frame.name));
  }
  return r.id >= 0 ? r : tensor_val(materialise(r, ""));
}

}  // namespace lumen::sema
