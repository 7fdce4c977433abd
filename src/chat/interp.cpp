// The interpreter's statements: blocks, loops, assignments, macros.
#include "chat/interp.h"

#include "base/assert.h"

namespace lumen::chat {

Interp::Interp(const Tree& tree, const Value& context, const Limits& limits, std::optional<std::tm> now)
    : budget(limits), tree_(tree), context_(context), now_(now) {
  static constexpr std::pair<std::string_view, Global> kGlobals[] = {{"raise_exception", Global::RaiseException},
                                                                     {"strftime_now", Global::StrftimeNow},
                                                                     {"range", Global::Range},
                                                                     {"namespace", Global::Namespace},
                                                                     {"dict", Global::Dict},
                                                                     {"cycler", Global::Cycler},
                                                                     {"joiner", Global::Joiner}};
  globals_.resize(tree.names.size());
  for (size_t i = 0; i < tree.names.size(); ++i) {
    for (const auto& [name, global] : kGlobals) {
      if (tree.names[i] == name) globals_[i] = Value(std::make_shared<Function>(global));
    }
    if (const Value* given = context.get(tree.names[i])) globals_[i] = *given;
  }
  auto id_of = [&](std::string_view name) -> std::optional<NameId> {
    for (NameId id = 0; id < tree.names.size(); ++id) {
      if (tree.names[id] == name) return id;
    }
    return std::nullopt;
  };
  loop_name_ = id_of("loop");
  caller_name_ = id_of("caller");
  kwargs_name_ = id_of("kwargs");
  varargs_name_ = id_of("varargs");
  scope_ = std::make_shared<Scope>();
}

Interp::~Interp() {
  // Macros hold scopes that hold macros, and namespaces may hold one another: cut every edge before letting go.
  for (auto& scope : captured_) {
    auto variables = std::move(scope->variables);
    scope->variables.clear();
  }
  for (auto& loop : changed_loops_) {
    Value changed = std::move(static_cast<Loop&>(*loop).changed);
    static_cast<Loop&>(*loop).changed = Value();
  }
  for (auto& space : namespaces_) {
    Dict attributes = std::move(space->attributes);
    space->attributes = Dict();
  }
}

Value Interp::fail(std::string message) {
  budget.fail(std::move(message));
  return {};
}

std::string Interp::run() {
  std::string out;
  out_ = &out;
  if (context_.depth() > budget.limits().max_value_depth) {
    fail("the values given to the template are nested more than " + std::to_string(budget.limits().max_value_depth) + " deep");
  }
  if (ok()) execute(tree_.body);
  return out;
}

void Interp::write(std::string_view text) {
  if (out_->size() + text.size() > budget.limits().max_text) budget.text(out_->size() + text.size());
  if (budget.spend(text.size() / 32)) out_->append(text);
}

void Interp::print(const Value& v) {
  with_str(v, budget, [&](const std::string& text) { write(text); });
}

template <class Run>
std::string Interp::capture(const Run& run) {
  std::string text;
  std::string* outer = std::exchange(out_, &text);
  run();
  out_ = outer;
  return text;
}

void Interp::push_scope(std::shared_ptr<Scope> parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = std::move(parent);
  scope_ = std::move(scope);
}

Value Interp::variable(NameId name) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    if (!budget.spend(scope->variables.size() / 16)) return {};
    for (const auto& [id, value] : scope->variables) {
      if (id == name) return value;
    }
  }
  if (globals_[name]) return *globals_[name];
  return Value::undefined("'" + tree_.names[name] + "' is undefined");
}

void Interp::set_variable(NameId name, Value value) {
  budget.spend(scope_->variables.size() / 16);
  for (auto& [id, old] : scope_->variables) {
    if (id == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(name, std::move(value));
}

void Interp::assign(const Expr& target, const Value& value) {
  if (!budget.spend()) return;
  switch (target.kind) {
    case ExprKind::Name:
      return set_variable(target.name, value);
    case ExprKind::NamespaceRef: {
      Value space = variable(target.name);
      if (!space.is_object(ObjectKind::Namespace)) {
        fail("'" + tree_.names[target.name] + "' is no namespace: cannot assign its attribute '" + target.text + "'");
      } else if (target.text.starts_with("_")) {
        fail("a namespace's attribute must not begin with '_': '" + target.text + "'");
      } else {
        static_cast<Namespace&>(space.as_object()).attributes.set(target.text, value);
      }
      return;
    }
    default:
      break;
  }
  Value::ListPtr items = iterate(value, budget);
  if (!items) return;
  if (items->items.size() != target.args.size()) {
    fail("cannot unpack " + std::to_string(items->items.size()) + " values into " + std::to_string(target.args.size()) + " names");
    return;
  }
  for (size_t i = 0; i < target.args.size() && ok(); ++i) assign(*target.args[i], items->items[i]);
}

Interp::Flow Interp::execute(const Body& body) {
  DepthGuard guard(budget);
  if (!guard) return Flow::Normal;
  for (const Stmt* s : body) {
    Flow flow = execute(*s);
    if (!ok()) return Flow::Normal;
    if (flow != Flow::Normal) return flow;
  }
  return Flow::Normal;
}

Interp::Flow Interp::execute(const Stmt& s) {
  budget.line = s.line;
  if (!budget.spend()) return Flow::Normal;
  auto scoped = [&](const Body& body) {
    auto outer = scope_;
    push_scope(outer);
    execute(body);
    scope_ = outer;
  };
  // What a body writes, in a scope of its own, through the statement's filters.
  auto filtered_text = [&] {
    Value text = make_text(capture([&] { scoped(s.bodies[0]); }), budget);
    Value outer = std::exchange(filter_input_, std::move(text));
    Value result = s.exprs.empty() ? filter_input_ : eval(*s.exprs[0]);
    filter_input_ = outer;
    return result;
  };
  switch (s.kind) {
    case StmtKind::Data:
      write(s.text);
      break;
    case StmtKind::Output:
      for (const Expr* e : s.exprs) print(eval(*e));
      break;
    case StmtKind::For:
      return execute_for(s);
    case StmtKind::If:
      return execute_if(s);
    case StmtKind::Set:
      assign(*s.targets[0], eval(*s.exprs[0]));
      break;
    case StmtKind::SetBlock:
      assign(*s.targets[0], filtered_text());
      break;
    case StmtKind::FilterBlock:
      print(filtered_text());
      break;
    case StmtKind::Macro:
      set_variable(s.name, make_macro(s));
      break;
    case StmtKind::CallBlock:
      execute_call_block(s);
      break;
    case StmtKind::With:
      return execute_with(s);
    case StmtKind::Scope:
      scoped(s.bodies[0]);
      break;
    case StmtKind::Break:
      return Flow::Break;
    case StmtKind::Continue:
      return Flow::Continue;
  }
  return Flow::Normal;
}

Interp::Flow Interp::execute_if(const Stmt& s) {
  for (size_t i = 0; i < s.exprs.size(); ++i) {
    if (truthy(eval(*s.exprs[i]))) return execute(s.bodies[i]);
    if (!ok()) return Flow::Normal;
  }
  return execute(s.bodies.back());
}

// The items for which the loop's `if` holds.
Value::ListPtr Interp::filtered(const Stmt& s, Value::ListPtr items) {
  std::vector<Value> kept;
  auto outer = scope_;
  for (const Value& item : items->items) {
    push_scope(outer);
    assign(*s.targets[0], item);
    if (truthy(eval(*s.exprs[1]))) kept.push_back(item);
    if (!ok()) break;
  }
  scope_ = outer;
  return std::make_shared<const List>(std::move(kept), ListKind::List);
}

Interp::Flow Interp::execute_for(const Stmt& s) {
  Value::ListPtr items = iterate(eval(*s.exprs[0]), budget);
  if (!items || !ok()) return Flow::Normal;
  if (s.exprs[1]) items = filtered(s, items);
  auto outer = scope_;
  auto loop = std::make_shared<Loop>(items);
  for (size_t i = 0; i < items->items.size() && ok(); ++i) {
    loop->index = i;
    if (i == 0 || scope_.use_count() > 1) {
      push_scope(outer);
    } else {
      scope_->variables.clear();
    }
    if (loop_name_) scope_->variables.emplace_back(*loop_name_, Value(Value::ObjectPtr(loop)));
    assign(*s.targets[0], items->items[i]);
    if (!budget.spend() || execute(s.bodies[0]) == Flow::Break) break;
  }
  scope_ = outer;
  if (items->items.empty() && ok()) {
    push_scope(outer);
    Flow flow = execute(s.bodies[1]);
    scope_ = outer;
    return flow;
  }
  return Flow::Normal;
}

Interp::Flow Interp::execute_with(const Stmt& s) {
  std::vector<Value> values;
  for (const Expr* e : s.exprs) values.push_back(eval(*e));
  auto outer = scope_;
  push_scope(outer);
  for (size_t i = 0; i < values.size() && ok(); ++i) assign(*s.targets[i], values[i]);
  Flow flow = execute(s.bodies[0]);
  scope_ = outer;
  return flow;
}

Value Interp::make_macro(const Stmt& s) {
  if (!budget.spend(8)) return {};
  captured_.push_back(scope_);
  return Value(std::make_shared<Macro>(&s, scope_));
}

void Interp::execute_call_block(const Stmt& s) {
  Value caller = make_macro(s);
  const Expr& e = *s.exprs[0];
  Value callee = eval(*e.args[0]);
  Args args = eval_args(e, 1);
  args.keyword.emplace_back("caller", caller);
  if (ok()) print(call(callee, args));
}

bool Interp::bind_macro(const Macro& macro, const Args& args, Scope& scope) {
  const Stmt& s = *macro.statement;
  const std::string what = "macro '" + s.text + "'";
  std::vector<bool> used(args.keyword.size());
  bool explicit_caller = false;
  size_t n = s.parameters.size();
  for (size_t i = 0; i < n; ++i) {
    const std::string& name = tree_.names[s.parameters[i]];
    explicit_caller |= name == "caller";
    if (i < args.positional.size()) {
      scope.variables.emplace_back(s.parameters[i], args.positional[i]);
      continue;
    }
    size_t k = 0;
    while (k < args.keyword.size() && args.keyword[k].first != name) ++k;
    if (k < args.keyword.size()) {
      used[k] = true;
      scope.variables.emplace_back(s.parameters[i], args.keyword[k].second);
    } else if (size_t first_default = n - s.defaults.size(); i >= first_default) {
      Value v = eval(*s.defaults[i - first_default]);  // sees the parameters before it
      scope.variables.emplace_back(s.parameters[i], std::move(v));
    } else {
      scope.variables.emplace_back(s.parameters[i], Value::undefined("parameter '" + name + "' was not provided"));
    }
  }
  auto rest = std::make_shared<Dict>();
  Value caller = Value::undefined("No caller defined");
  for (size_t k = 0; k < args.keyword.size(); ++k) {
    if (used[k]) continue;
    const auto& [name, value] = args.keyword[k];
    if (name == "caller" && s.uses_caller && !explicit_caller) {
      caller = value;
    } else if (s.uses_kwargs) {
      rest->set(name, value);
    } else {
      return fail(what + " takes no keyword argument '" + name + "'"), false;
    }
  }
  if (s.uses_caller && !explicit_caller) scope.variables.emplace_back(*caller_name_, caller);
  if (s.uses_kwargs) scope.variables.emplace_back(*kwargs_name_, make_dict(rest, budget));
  if (args.positional.size() > n && !s.uses_varargs) {
    return fail(what + " takes at most " + std::to_string(n) + " arguments, not " + std::to_string(args.positional.size())), false;
  }
  if (s.uses_varargs) {
    size_t given = std::min(n, args.positional.size());
    scope.variables.emplace_back(*varargs_name_, make_list({args.positional.begin() + static_cast<ptrdiff_t>(given), args.positional.end()},
                                                           ListKind::Tuple, budget));
  }
  return ok();
}

Value Interp::call_macro(const Macro& macro, const Args& args) {
  if (!budget.spend(8)) return {};
  auto outer = scope_;
  push_scope(macro.scope);
  std::string text;
  if (bind_macro(macro, args, *scope_)) text = capture([&] { execute(macro.statement->bodies[0]); });
  scope_ = outer;
  return make_text(std::move(text), budget);
}

}  // namespace lumen::chat
