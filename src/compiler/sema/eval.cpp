// Expressions: literals, names, operators, conditions, reductions.
#include <charconv>
#include <cmath>

#include "compiler/ir/scalar.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/library_impl.h"

namespace lumen::sema {

using ast::ExprKind;
using ir::ExprPtr;

namespace {
constexpr int64_t kMaxSteps = 2'000'000;  // expressions evaluated for one function: a model of a thousand layers takes half of them
constexpr int kMaxDepth = 600;            // nested evaluations, so that the stack is safe
}  // namespace

struct Evaluator::Depth {
  Depth(Evaluator& e, Span span) : evaluator(e) {
    if (++e.depth_ > kMaxDepth) {
      --e.depth_;
      fail(span, "nested too deeply: does a function call itself? There is no recursion");
    }
  }
  ~Depth() { --evaluator.depth_; }
  Evaluator& evaluator;
};

Scope& Evaluator::new_scope(Scope* parent, bool frame) {
  scopes_.push_back({parent, frame, {}});
  return scopes_.back();
}

void Evaluator::tick(Span span) {
  if (++steps_ > kMaxSteps)
    fail(span, "this needs more than " + std::to_string(kMaxSteps) + " steps: is a 'for' or a nest of 'let' out of hand?");
}

Val Evaluator::eval(const ast::Expr& e, Scope& s) { return force(eval_raw(e, s), e.span); }

// A family without indices stands for its one member.
Val Evaluator::force(Val v, Span span) {
  if (v.kind == Vk::Poison) throw Poisoned{};
  if (v.kind != Vk::Family || v.family->arity != 0) return v;
  return v.family->get({}, span);
}

StaticValue Evaluator::eval_static(const ast::Expr& e, Scope& s, const std::string& what) {
  Val v = eval(e, s);
  if (v.kind != Vk::Static) fail(e.span, what + " must be known when the model is built, found " + describe(v));
  return v.value;
}

int64_t Evaluator::eval_int(const ast::Expr& e, Scope& s, const std::string& what) {
  StaticValue v = eval_static(e, s, what);
  if (auto* i = std::get_if<int64_t>(&v)) return *i;
  fail(e.span, "expected an integer for " + what + ", found " + describe(v));
}

ExprPtr Evaluator::eval_scalar(const ast::Expr& e, Scope& s) { return as_scalar(eval(e, s), e.span); }

ir::Dim Evaluator::eval_dim(const ast::Expr& e, Scope& s) {
  Val v = eval(e, s);
  if (v.kind == Vk::Static) {
    auto* i = std::get_if<int64_t>(&v.value);
    if (!i || *i < 0) fail(e.span, "a dimension is an integer from 0 on, found " + describe(v));
    return ir::Dim(*i);
  }
  if (v.kind == Vk::Scalar && v.expr->kind == ir::Ek::Extent) return ir::Dim(v.expr->symbol);
  if (v.kind == Vk::Scalar) fail(e.span, "this dimension is neither a constant nor a bare name: give the names in it a value");
  fail(e.span, "expected a dimension, found " + describe(v));
}

ExprPtr Evaluator::as_scalar(const Val& v, Span span) {
  switch (v.kind) {
    case Vk::Static:
      return to_expr(v.value, span);
    case Vk::Scalar:
      return v.expr;
    case Vk::Field:
      if (v.field->per > 0 || v.field->count != 1) fail(span, describe(v) + " has several entries: index it");
      return ir::make_field(v.id, v.field->type, ir::make_int(0));
    case Vk::Tensor:
      fail(span, "expected a number, found " + describe(v) + ": index it");
    default:
      fail(span, "expected a number, found " + describe(v));
  }
}

bool mentions_variable(const ExprPtr& e) {
  bool found = false;
  ir::visit(e, [&](const ir::Expr& n) { found |= n.kind == ir::Ek::Index && n.ival >= kFirstVariable; });
  return found;
}

Val Evaluator::elementwise(const std::vector<Arg>& args, Span span, const std::string& made_by,
                           const std::function<ExprPtr(const std::vector<ExprPtr>&)>& f) {
  const Val* shape = nullptr;
  for (const Arg& a : args) {
    if (a.value.kind != Vk::Tensor) continue;
    if (shape && shape->type.dims != a.value.type.dims)
      fail(span,
           "tensors combined element by element have equal shapes, found " + to_string(shape->type) + " and " + to_string(a.value.type));
    if (!shape) shape = &a.value;
  }
  std::vector<ExprPtr> exprs;
  for (const Arg& a : args) {
    bool tensor = a.value.kind == Vk::Tensor;
    exprs.push_back(tensor ? a.value.expr : as_scalar(a.value, a.span));
    if (shape && !tensor && mentions_variable(exprs.back())) {
      for (const Arg& b : args)
        if (b.value.kind == Vk::Tensor) fail(b.span, "expected a number beside an indexed one, found " + describe(b.value) + ": index it");
    }
  }
  Val r = scalar_val(f(exprs));
  if (!shape) return r;
  r.kind = Vk::Tensor;
  r.type.dims = shape->type.dims;
  r.type.scalar = r.expr->type;
  r.axes = shape->axes;
  // silu(a) * b is called silu_mul
  constexpr size_t kLongName = 24;
  r.made_by = shape->made_by.empty() ? made_by : shape->made_by.size() > kLongName ? shape->made_by : shape->made_by + "_" + made_by;
  return r;
}

Val* Evaluator::find(const std::string& name, Scope& s) {
  for (Scope* at = &s; at; at = at->parent) {
    auto it = at->names.find(name);
    if (it != at->names.end()) return &it->second;
  }
  return nullptr;
}

std::vector<std::string> Evaluator::known_names(Scope& s) {
  std::vector<std::string> out;
  for (Scope* at = &s; at; at = at->parent)
    for (const auto& n : at->names) out.push_back(n.first);
  for (const auto& l : lib_.impl().lets) out.push_back(l.first);
  for (const auto& t : lib_.impl().tables) out.push_back(t.first);
  return out;
}

Val Evaluator::lookup(const ast::Expr& e, Scope& s) {
  if (Val* v = find(e.text, s)) return *v;
  const Library::Impl& lib = lib_.impl();
  if (auto it = lib.lets.find(e.text); it != lib.lets.end()) {
    Scope& root = new_scope(nullptr);
    if (it->second->params.empty()) return eval(*it->second->value, root);
    Val v;
    v.kind = Vk::Macro, v.let = it->second, v.scope = &root;
    return v;
  }
  if (auto it = lib.tables.find(e.text); it != lib.tables.end()) return table_val(*it->second, new_scope(nullptr));
  if (lib_.function(e.text)) fail(e.span, "'" + e.text + "' is a function: call it, " + e.text + "(…)");
  fail(e.span, "unknown name '" + e.text + "'" + did_you_mean(e.text, known_names(s)));
}

// The numbers of a string of hexadecimal digits, as many digits each as the type has: long tables take one node a line.
static void hex_entries(const ast::TableDecl& t, const ast::Expr& e, const std::string& digits, std::vector<double>& values) {
  auto type = dtype_named(t.type);
  if (!type || !is_integer(*type) || size_of(*type) == 8)
    fail(e.span, "a string of hexadecimal digits is for a table of i8, u8, i16, u16, i32 or u32");
  size_t each = 2 * static_cast<size_t>(size_of(*type));
  if (digits.empty() || digits.size() % each != 0)
    fail(e.span, "expected " + std::to_string(each) + " hexadecimal digits for each " + t.type + ", found " + std::to_string(digits.size()) + " in all");
  for (size_t at = 0; at < digits.size(); at += each) {
    uint32_t v = 0;
    auto [end, ec] = std::from_chars(digits.data() + at, digits.data() + at + each, v, 16);
    if (ec != std::errc() || end != digits.data() + at + each)
      fail(e.span, "expected hexadecimal digits, found '" + digits.substr(at, each) + "'");
    values.push_back(static_cast<double>(ir::wrap(static_cast<int64_t>(v), *type)));
  }
}

// A table's constants: of the type it declares, else i32 or f32 by its entries.
Val Evaluator::table_val(const ast::TableDecl& t, Scope& s) {
  auto values = std::make_shared<std::vector<double>>();
  bool floats = false;
  for (const ast::ExprPtr& e : t.values) {
    StaticValue v = eval_static(*e, s, "a table's entry");
    if (auto* i = std::get_if<int64_t>(&v)) {
      values->push_back(static_cast<double>(*i));
    } else if (auto* d = std::get_if<double>(&v)) {
      values->push_back(static_cast<float>(*d)), floats = true;
    } else if (auto* digits = std::get_if<std::string>(&v)) {
      hex_entries(t, *e, *digits, *values);
    } else {
      fail(e->span, "a table holds numbers, found " + describe(v));
    }
  }
  Val r;
  r.kind = Vk::Table;
  r.type.scalar = floats ? DType::F32 : DType::I32;
  if (!t.type.empty()) {
    auto type = dtype_named(t.type);
    if (!type || *type == DType::Bool || *type == DType::F64 || size_of(*type) == 8)
      fail(t.span, "a table's type is one of i8, u8, i16, u16, i32, u32, f32, found '" + t.type + "'");
    r.type.scalar = *type;
  }
  for (size_t i = 0; i < values->size() && !is_float(r.type.scalar); ++i) {
    double v = (*values)[i];
    bool whole = std::fabs(v) < 0x1p53;  // far more than any of these types holds
    if (!whole || v != static_cast<double>(ir::wrap(static_cast<int64_t>(v), r.type.scalar)))
      fail(values->size() == t.values.size() ? t.values[i]->span : t.span, "this entry does not fit " + std::string(name(r.type.scalar)));
  }
  if (values->empty()) fail(t.span, "a table has at least one entry");
  r.table = values;
  return r;
}

Val Evaluator::eval_raw(const ast::Expr& e, Scope& s) {
  Depth guard(*this, e.span);
  tick(e.span);
  switch (e.kind) {
    case ExprKind::Int:
      return static_val(e.ival);
    case ExprKind::Float:
      return static_val(e.fval);
    case ExprKind::Bool:
      return static_val(e.ival != 0);
    case ExprKind::String:
      return on_string ? on_string(e) : static_val(e.text);
    case ExprKind::Name:
      return lookup(e, s);
    case ExprKind::Unary:
      return eval_unary(e, s);
    case ExprKind::Binary:
      return eval_binary(e, s);
    case ExprKind::If:
      return eval_if(e, s);
    case ExprKind::Call:
      return eval_call(e, s);
    case ExprKind::Index:
      return eval_index(e, s);
    case ExprKind::Reduce:
      return eval_reduce(e, s);
    case ExprKind::List:
      return eval_list(e, s);
    case ExprKind::Field:
      fail(e.span, "'." + e.text + "': values have no members");
    case ExprKind::Range:
      fail(e.span, "a range stands in 'for' and in reductions only");
  }
  fail(e.span, "unexpected expression");
}

Val Evaluator::eval_unary(const ast::Expr& e, Scope& s) {
  Arg a{eval(*e.args[0], s), e.args[0]->span};
  if (a.value.kind == Vk::Static) return static_val(static_unary(e.text, a.value.value, e.span));
  return elementwise({a}, e.span, e.text == "-" ? "neg" : "not", [&](const auto& x) { return scalar_unary(e.text, x[0], e.span); });
}

Val Evaluator::eval_binary(const ast::Expr& e, Scope& s) {
  Arg a{eval(*e.args[0], s), e.args[0]->span};
  if (a.value.kind == Vk::Static && std::holds_alternative<bool>(a.value.value)) {  // the other side need not even exist
    bool left = std::get<bool>(a.value.value);
    if ((e.text == "and" && !left) || (e.text == "or" && left)) return a.value;
  }
  // What a key is compared with is a plain string, not another key.
  bool literal = e.args[1]->kind == ExprKind::String && (e.text == "==" || e.text == "!=");
  Arg b{literal ? static_val(e.args[1]->text) : eval(*e.args[1], s), e.args[1]->span};
  if (a.value.kind == Vk::Static && b.value.kind == Vk::Static)
    return static_val(static_binary(e.text, a.value.value, b.value.value, e.span));
  static const std::map<std::string, std::string> names = {{"+", "add"}, {"-", "sub"}, {"*", "mul"}, {"/", "div"}};
  auto it = names.find(e.text);
  return elementwise({a, b}, e.span, it == names.end() ? "compare" : it->second,
                     [&](const auto& x) { return scalar_binary(e.text, x[0], x[1], e.span); });
}

Val Evaluator::eval_if(const ast::Expr& e, Scope& s) {
  Arg c{eval(*e.args[0], s), e.args[0]->span};
  if (c.value.kind == Vk::Static) {
    auto* yes = std::get_if<bool>(&c.value.value);
    if (!yes) fail(c.span, "the condition of 'if' is a bool, found " + describe(c.value));
    return eval(*e.args[*yes ? 1 : 2], s);
  }
  if (c.value.kind == Vk::Scalar && c.value.expr->kind == ir::Ek::Int && c.value.expr->type == DType::Bool)
    return eval(*e.args[c.value.expr->ival ? 1 : 2], s);
  Arg a{eval(*e.args[1], s), e.args[1]->span}, b{eval(*e.args[2], s), e.args[2]->span};
  return elementwise({c, a, b}, e.span, "select", [&](const auto& x) { return scalar_select(x[0], x[1], x[2], e.span); });
}

Val Evaluator::eval_list(const ast::Expr& e, Scope& s) {
  std::vector<int64_t> ints;
  std::vector<double> floats;
  bool any_float = false;
  for (const ast::ExprPtr& a : e.args) {
    StaticValue v = eval_static(*a, s, "a list's entry");
    if (auto* i = std::get_if<int64_t>(&v)) {
      ints.push_back(*i), floats.push_back(static_cast<double>(*i));
    } else if (auto* d = std::get_if<double>(&v)) {
      floats.push_back(*d), any_float = true;
    } else {
      fail(a->span, "a list holds numbers, found " + describe(v));
    }
  }
  return any_float ? static_val(std::move(floats)) : static_val(std::move(ints));
}

// sum[a, b in lo..hi](x) is a nest, `b` innermost. Extents that are not given are those of the tensors the index is used on.
Val Evaluator::eval_reduce(const ast::Expr& e, Scope& s) {
  struct Bound {
    int variable;
    ExprPtr lo, hi;
    Span span;
  };
  std::vector<Bound> bounds;
  Scope& inner = new_scope(&s);
  for (const ast::Binder& b : e.binders) {
    Bound bound{0, nullptr, nullptr, b.span};
    if (inner.names.count(b.name)) fail(b.span, "the index '" + b.name + "' stands twice");
    if (b.lo) {
      bound.lo = to_index(eval_scalar(*b.lo, inner), b.lo->span);
      bound.hi = to_index(eval_scalar(*b.hi, inner), b.hi->span);
    }
    bound.variable = new_variable(b.name, inner, !b.lo);
    bounds.push_back(bound);
  }
  bool softmax = e.text == "softmax_sum";
  if (softmax && bounds.size() != 1) fail(e.span, "softmax_sum runs over one index");
  std::vector<ExprPtr> args;
  for (size_t i = 0; i < e.args.size(); ++i) {
    // The sink stands outside the reduction: its index is unknown there.
    ExprPtr a = eval_scalar(*e.args[i], i == 2 ? s : inner);
    if (a->type == DType::Bool) fail(e.args[i]->span, "'" + e.text + "' needs numbers, found a truth value");
    args.push_back(softmax ? to_float(a, e.args[i]->span) : promote(a));
  }
  ir::Reduction kind = softmax           ? ir::Reduction::SoftmaxSum
                       : e.text == "sum" ? ir::Reduction::Sum
                       : e.text == "max" ? ir::Reduction::Max
                                         : ir::Reduction::Min;
  ExprPtr result;
  for (size_t i = bounds.size(); i-- > 0;) {
    Bound& b = bounds[i];
    if (!b.lo) {
      b.lo = ir::make_int(0);
      b.hi = to_index(as_scalar(dim_val(extent_of(b.variable, b.span)), b.span), b.span);
    }
    std::vector<ExprPtr> all = {b.lo, b.hi};
    all.insert(all.end(), args.begin(), args.end());
    result = ir::make_reduce(kind, b.variable, std::move(all));
    args = {result};
  }
  return scalar_val(result);
}

}  // namespace lumen::sema
