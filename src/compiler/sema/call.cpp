// Calls: `let` functions are substituted, `fn` functions are inlined after their parameters' types are unified with the arguments.
#include <algorithm>

#include "compiler/sema/arith.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/library_impl.h"

namespace lumen::sema {

using ir::ExprPtr;

namespace {

const ast::FnDecl* find_function(const std::vector<ast::FnDecl>* local, const Library& lib, const std::string& name, bool& is_local) {
  is_local = false;
  if (local) {
    for (const ast::FnDecl& f : *local)
      if (f.name == name) return is_local = true, &f;
  }
  return lib.function(name);
}

}  // namespace

Val Evaluator::eval_call(const ast::Expr& e, Scope& s) {
  const std::string& name = e.args[0]->text;
  if (e.args[0]->kind != ast::ExprKind::Name) fail(e.args[0]->span, "only a name can be called");
  if (auto special = special_form(name, e, s)) return *special;
  const ast::Stmt* let = nullptr;
  Scope* let_scope = nullptr;
  if (Val* v = find(name, s); v && v->kind == Vk::Macro) {
    let = v->let, let_scope = v->scope;
  } else if (auto it = lib_.impl().lets.find(name); it != lib_.impl().lets.end() && !it->second->params.empty()) {
    let = it->second, let_scope = &new_scope(nullptr);
  }
  bool local;
  const ast::FnDecl* fn = let ? nullptr : find_function(local_functions, lib_, name, local);
  if (fn) return call_function(*fn, e, s);
  if (!e.named.empty()) fail(e.named[0].second->span, "'" + name + "' takes no named arguments");
  if (!e.type_args.empty()) fail(e.type_args[0]->span, "'" + name + "' takes no type arguments");
  std::vector<Arg> args = eval_args(e, s);
  if (let) return apply_macro(*let, let_scope, args, e.span);
  return call_builtin(name, e, args, s);
}

Val Evaluator::apply_macro(const ast::Stmt& let, Scope* scope, const std::vector<Arg>& args, Span span) {
  if (args.size() != let.params.size())
    fail(span,
         "'" + let.name + "' takes " + std::to_string(let.params.size()) + (let.params.size() == 1 ? " argument" : " arguments") +
             ", found " + std::to_string(args.size()),
         "declared at " + place(let.span));
  Scope& inner = new_scope(scope);
  for (size_t i = 0; i < args.size(); ++i) inner.names[let.params[i]] = args[i].value;
  Val r = eval(*let.value, inner);
  if (r.kind == Vk::Tensor && r.id < 0) r.made_by = let.name;
  return r;
}

Val Evaluator::call_builtin(const std::string& name, const ast::Expr& e, const std::vector<Arg>& args, Scope& s) {
  bool all_static = !args.empty();
  std::vector<StaticValue> statics;
  for (const Arg& a : args) {
    all_static &= a.value.kind == Vk::Static;
    if (all_static) statics.push_back(a.value.value);
  }
  if (all_static) {
    if (auto v = static_call(name, statics, e.span)) return static_val(*v);
  }
  std::vector<std::string> known = scalar_functions();
  bool exists = std::find(known.begin(), known.end(), name) != known.end();
  if (!exists) {
    for (const auto& f : lib_.impl().functions) known.push_back(f.first);
    for (const auto& l : lib_.impl().lets) known.push_back(l.first);
    for (const char* form : {"has", "assert", "append", "residual", "reshape"}) known.push_back(form);
    if (Val* v = find(name, s)) fail(e.args[0]->span, describe(*v) + " is not a function");
    fail(e.args[0]->span, "unknown function '" + name + "'" + did_you_mean(name, known));
  }
  if (name == "bits" && args.size() == 3 && args[0].value.kind == Vk::Field) return bits_of_field(args, e.span);
  return elementwise(args, e.span, name, [&](const auto& x) { return scalar_call(name, x, e.span); });
}

namespace {

// Is e a multiple of n whatever its variables hold?
bool is_multiple(const ExprPtr& e, int64_t n) {
  if (e->kind == ir::Ek::Int) return e->ival % n == 0;
  if (e->kind != ir::Ek::Op) return false;
  if (e->op == ir::Op::Mul) return is_multiple(e->args[0], n) || is_multiple(e->args[1], n);
  if (e->op == ir::Op::Add || e->op == ir::Op::Sub) return is_multiple(e->args[0], n) && is_multiple(e->args[1], n);
  return false;
}

}  // namespace

// bits(field, at, n): n bits from bit `at` of the field's entries as one little-endian stream; they may cross an entry's end.
Val Evaluator::bits_of_field(const std::vector<Arg>& args, Span span) {
  const Val& f = args[0].value;
  int64_t width = size_of(f.field->type) * 8;
  auto* n = args[2].value.kind == Vk::Static ? std::get_if<int64_t>(&args[2].value.value) : nullptr;
  if (!n || *n < 1 || *n > 31) fail(args[2].span, "the width given to 'bits' is a constant between 1 and 31");
  if (is_float(f.field->type) || width > 32) fail(args[0].span, "'bits' reads fields of integers of at most 32 bits");
  if (*n > width) fail(args[2].span, "'bits' reads at most one entry's width, " + std::to_string(width));
  ExprPtr at = to_index(as_scalar(args[1].value, args[1].span), args[1].span);
  ExprPtr word = scalar_binary("/", at, ir::make_int(width), span), shift = scalar_binary("%", at, ir::make_int(width), span);
  DType unsigned_type = width == 32 ? DType::U32 : width == 16 ? DType::U16 : DType::U8;
  auto entry = [&](const ExprPtr& i) {
    ExprPtr raw = ir::make_field(f.id, f.field->type, i);
    return promote(raw->type == unsigned_type ? raw : ir::make_cast(raw, unsigned_type));
  };
  ExprPtr mask = ir::make_int((int64_t{1} << *n) - 1);
  ExprPtr low = scalar_binary(">>", entry(word), shift, span);
  ExprPtr inside = scalar_binary("&", low, mask, span);
  if (width % *n == 0 && is_multiple(at, *n)) return scalar_val(inside);
  ExprPtr rest = scalar_binary("-", ir::make_int(width), shift, span);
  ExprPtr high = scalar_binary("<<", entry(scalar_binary("+", word, ir::make_int(1), span)), rest, span);
  ExprPtr joined = scalar_binary("&", scalar_binary("|", low, high, span), mask, span);
  ExprPtr fits = scalar_binary("<=", scalar_binary("+", shift, ir::make_int(*n), span), ir::make_int(width), span);
  return scalar_val(scalar_select(fits, inside, joined, span));
}

Val Evaluator::call_function(const ast::FnDecl& fn, const ast::Expr& call, Scope& s) {
  if (!fn_) fail(call.span, "'" + fn.name + "' works on tensors, and there are none here");
  bool local = false;
  find_function(local_functions, lib_, fn.name, local);
  Scope& scope = new_scope(local ? local_parent : nullptr, true);
  std::vector<Arg> args = eval_args(call, s);
  if (args.size() + call.named.size() > fn.params.size())
    fail(call.span, "'" + fn.name + "' takes " + std::to_string(fn.params.size()) + " arguments, found " +
                        std::to_string(args.size() + call.named.size()));
  args.resize(fn.params.size());
  for (const auto& [name, value] : call.named) {
    size_t i = 0;
    while (i < fn.params.size() && fn.params[i].name != name) ++i;
    if (i == fn.params.size()) fail(value->span, "'" + fn.name + "' has no parameter '" + name + "'");
    if (args[i].expr) fail(value->span, "the argument '" + name + "' is given twice");
    args[i] = {eval(*value, s), value->span, value.get()};
  }
  if (call.type_args.size() > fn.generics.size())
    fail(call.span, "'" + fn.name + "' takes " + std::to_string(fn.generics.size()) + " type arguments, found " +
                        std::to_string(call.type_args.size()));
  for (size_t i = 0; i < call.type_args.size(); ++i) bind_type_argument(fn.generics[i], *call.type_args[i], s, scope);
  for (size_t i = 0; i < fn.params.size(); ++i) {
    if (!args[i].expr) fail(call.span, "the argument '" + fn.params[i].name + "' of '" + fn.name + "' is missing");
    bind_argument(fn, fn.params[i], args[i], scope);
  }
  for (size_t i = 0; i < fn.params.size(); ++i) check_dims(fn, fn.params[i], args[i], scope);
  std::vector<int> operands;
  std::string key = local ? "" : memo_key(fn, scope, operands);
  if (auto known = memos_.find(key); !key.empty() && known != memos_.end()) return repeat(known->second, operands);
  size_t before = fn_->values.size();
  Frame frame;
  frame.name = fn.name;
  frame.result_type = fn.result ? &*fn.result : nullptr;
  frame.scope = &scope;
  try {
    Scope bound = scope;  // the body adds names
    run(fn.body, scope, frame);
    Val result = finish_frame(frame, fn.span);
    if (!key.empty()) memorise(key, operands, bound, before, result);
    return result;
  } catch (Mistake& m) {
    std::string where = "in '" + fn.name + "', called at " + place(call.span);
    bool told = m.diag.note.find(where) != std::string::npos || std::count(m.diag.note.begin(), m.diag.note.end(), ';') >= 3;
    if (!told) m.diag.note += (m.diag.note.empty() ? "" : "; ") + where;
    throw;
  }
}

void Evaluator::bind_type_argument(const ast::GenericParam& g, const ast::Expr& arg, Scope& s, Scope& frame) {
  if (g.kind != "format" && g.kind != "float") {
    frame.names[g.name] = static_val(eval_int(arg, s, "'" + g.name + "'"));
    return;
  }
  if (arg.kind != ast::ExprKind::Name) fail(arg.span, "expected the name of a format or an element type");
  ast::TypeExpr t;
  t.span = arg.span, t.name = arg.text, t.args = arg.type_args;
  Val v;
  v.kind = Vk::Element;
  v.type = eval_element(t, s);
  frame.names[g.name] = v;
}

namespace {

[[noreturn]] void wrong_argument(const ast::FnDecl& fn, const ast::Param& p, const std::string& expected, const std::string& found,
                                 Span span) {
  fail(span, "'" + p.name + "' of '" + fn.name + "': expected " + expected + ", found " + found);
}

}  // namespace

void Evaluator::bind_argument(const ast::FnDecl& fn, const ast::Param& p, Arg arg, Scope& frame) {
  if (!p.type) fail(p.span, "the parameter '" + p.name + "' needs a type");
  const ast::TypeExpr& t = *p.type;
  Val& v = arg.value;
  if (t.paged) {
    if (v.kind != Vk::Paged) wrong_argument(fn, p, "a paged state", describe(v), arg.span);
    std::vector<ir::Dim> dims(v.type.dims.begin() + 1, v.type.dims.end());
    dims.erase(dims.end() - 2);  // without pages and the positions in one
    unify(fn, p, v.type, dims, frame, arg.span);
  } else if (!t.has_dims) {
    if (v.kind != Vk::Static) wrong_argument(fn, p, "a constant of type " + t.name, describe(v), arg.span);
    StaticValue& value = v.value;
    if (t.name == "float" && std::holds_alternative<int64_t>(value)) value = static_cast<double>(std::get<int64_t>(value));
    size_t want = t.name == "int" ? 0 : t.name == "float" ? 1 : t.name == "bool" ? 2 : t.name == "string" ? 3 : 99;
    if (want == 99) fail(t.span, "expected int, float, bool, string or a tensor type, found '" + t.name + "'");
    if (value.index() != want) wrong_argument(fn, p, t.name, describe(v), arg.span);
    // A constant that is also a dimension of a parameter before it.
    auto known = frame.names.find(p.name);
    if (known != frame.names.end() && (known->second.kind != Vk::Static || known->second.value != value))
      wrong_argument(fn, p, "the dimension of that name", describe(v), arg.span);
  } else {
    if (v.kind != Vk::Tensor) wrong_argument(fn, p, expected_type(t, frame), describe(v), arg.span);
    v = tensor_val(materialise(v, ""));
    unify(fn, p, v.type, v.type.dims, frame, arg.span);
  }
  frame.names[p.name] = v;
}

// Binds the type's bare names (element type and dimensions) or compares them with what they are bound to already.
void Evaluator::unify(const ast::FnDecl& fn, const ast::Param& p, const ir::Type& found, const std::vector<ir::Dim>& dims, Scope& frame,
                      Span span) {
  const ast::TypeExpr& t = *p.type;
  std::string what = p.type->paged ? "paged " + to_string(ir::Type{found.scalar, found.format, dims}) : to_string(found);
  bool generic = false;
  for (const ast::GenericParam& g : fn.generics) generic |= g.name == t.name && g.kind == "format";
  if (generic && !frame.names.count(t.name)) {
    Val v;
    v.kind = Vk::Element;
    v.type.scalar = found.scalar, v.type.format = found.format;
    frame.names[t.name] = v;
  }
  ir::Type element = eval_element(t, frame);
  bool same = (element.format && found.format) ? element.format->name == found.format->name
                                               : !element.format && !found.format && element.scalar == found.scalar;
  if (!same || t.dims.size() != dims.size()) wrong_argument(fn, p, expected_type(t, frame), what, span);
  for (size_t i = 0; i < dims.size(); ++i) {
    const ast::Expr& d = *t.dims[i];
    if (d.kind != ast::ExprKind::Name) continue;
    Val* known = find(d.text, frame);
    // Run-time extents of the model (T, R, …) are not known inside a function: its own dimension names are its own.
    if (!known || (known->kind == Vk::Scalar && !frame.names.count(d.text))) frame.names[d.text] = dim_val(dims[i]);
  }
}

void Evaluator::check_dims(const ast::FnDecl& fn, const ast::Param& p, const Arg& arg, Scope& frame) {
  if (!p.type->has_dims) return;
  const Val& v = frame.names[p.name];
  std::vector<ir::Dim> dims = v.type.dims;
  if (p.type->paged) dims.erase(dims.begin()), dims.erase(dims.end() - 2);
  for (size_t i = 0; i < dims.size(); ++i) {
    if (eval_dim(*p.type->dims[i], frame) == dims[i]) continue;
    wrong_argument(fn, p, expected_type(*p.type, frame),
                   (p.type->paged ? "paged " : "") + to_string(ir::Type{v.type.scalar, v.type.format, dims}), arg.span);
  }
}

// The parameter's type with the names that are known by now replaced: "f32[T, 576]".
std::string Evaluator::expected_type(const ast::TypeExpr& t, Scope& frame) {
  std::string out = t.paged ? "paged " : "";
  Val* element = find(t.name, frame);
  out += element && element->kind == Vk::Element ? to_string(element->type).substr(0, to_string(element->type).find('[')) : t.name;
  out += "[";
  for (size_t i = 0; i < t.dims.size(); ++i) {
    const ast::Expr& d = *t.dims[i];
    std::string text;
    try {
      text = to_string(eval_dim(d, frame));
    } catch (const Mistake&) {
      text = d.span.source ? d.span.source->text.substr(d.span.begin, d.span.end - d.span.begin) : "?";
    }
    out += (i ? ", " : "") + text;
  }
  return out + "]";
}

}  // namespace lumen::sema
