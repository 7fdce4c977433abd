// The interpreter's expressions.
#include "chat/interp.h"

namespace lumen::chat {

Value Interp::eval(const Expr& e) {
  DepthGuard guard(budget);
  budget.line = e.line ? e.line : budget.line;
  if (!guard || !budget.spend()) return {};
  switch (e.kind) {
    case ExprKind::Const:
      return e.constant;
    case ExprKind::Name:
      return variable(e.name);
    case ExprKind::Input:
      return filter_input_;
    case ExprKind::List:
    case ExprKind::Tuple:
    case ExprKind::Dict:
      return eval_container(e);
    case ExprKind::GetAttr: {
      Value object = eval(*e.args[0]);
      return ok() ? get_attribute(object, e.text) : Value();
    }
    case ExprKind::GetItem: {
      Value object = eval(*e.args[0]), key = eval(*e.args[1]);
      return ok() ? get_item(object, key) : Value();
    }
    case ExprKind::Slice: {
      Value object = eval(*e.args[0]), parts[3];
      for (size_t i = 0; i < 3; ++i) parts[i] = e.args[i + 1] ? eval(*e.args[i + 1]) : Value(nullptr);
      return ok() ? get_slice(object, parts[0], parts[1], parts[2]) : Value();
    }
    case ExprKind::Call:
      return eval_call(e);
    case ExprKind::Filter: {
      Value input = eval(*e.args[0]);
      Args args = eval_args(e, 1);
      return ok() ? apply_filter(e.text, input, args) : Value();
    }
    case ExprKind::Test: {
      Value input = eval(*e.args[0]);
      Args args = eval_args(e, 1);
      return ok() && apply_test(e.text, input, args);
    }
    case ExprKind::Not:
      return !truthy(eval(*e.args[0]));
    case ExprKind::Negate: {
      Value v = eval(*e.args[0]);
      return ok() ? negate(v, budget) : Value();
    }
    case ExprKind::Plus: {
      Value v = eval(*e.args[0]);
      if (!ok() || is_number(v)) return is_integer(v) ? Value(integer_of(v)) : v;
      return fail(v.is_undefined() ? v.undefined_message() : "'+' needs a number, not " + type_name(v));
    }
    case ExprKind::Binary: {
      Value a = eval(*e.args[0]), b = eval(*e.args[1]);
      return ok() ? arithmetic(e.op, a, b, budget) : Value();
    }
    case ExprKind::And: {
      Value a = eval(*e.args[0]);
      return truthy(a) ? eval(*e.args[1]) : a;
    }
    case ExprKind::Or: {
      Value a = eval(*e.args[0]);
      return truthy(a) ? a : eval(*e.args[1]);
    }
    case ExprKind::Compare:
      return eval_compare(e);
    case ExprKind::Concat:
      return eval_concat(e);
    case ExprKind::Conditional:
      if (truthy(eval(*e.args[1]))) return eval(*e.args[0]);
      return e.args[2] ? eval(*e.args[2]) : Value::undefined("the inline 'if' was false and has no 'else'");
    case ExprKind::NamespaceRef:
      break;
  }
  return fail("a namespace's attribute cannot stand here");
}

Value Interp::eval_container(const Expr& e) {
  if (e.kind == ExprKind::Dict) {
    auto dict = std::make_shared<Dict>();
    for (size_t i = 0; i + 1 < e.args.size() && ok(); i += 2) {
      Value key = eval(*e.args[i]), value = eval(*e.args[i + 1]);
      if (ok()) set_entry(*dict, key, value, budget);
    }
    return make_dict(std::move(dict), budget);
  }
  std::vector<Value> items;
  items.reserve(e.args.size());
  for (const Expr* arg : e.args) items.push_back(eval(*arg));
  return ok() ? make_list(std::move(items), e.kind == ExprKind::List ? ListKind::List : ListKind::Tuple, budget) : Value();
}

// a < b < c: each operand once, stopping at the first false.
Value Interp::eval_compare(const Expr& e) {
  Value left = eval(*e.args[0]);
  for (size_t i = 0; i < e.ops.size() && ok(); ++i) {
    Value right = eval(*e.args[i + 1]);
    if (!ok() || !compare(e.ops[i], left, right, budget)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interp::eval_concat(const Expr& e) {
  std::string out;
  for (const Expr* arg : e.args) {
    Value v = eval(*arg);
    with_str(v, budget, [&](const std::string& text) {
      if (budget.text(out.size() + text.size())) out += text;
    });
    if (!ok()) return {};
  }
  return out;
}

Args Interp::eval_args(const Expr& e, size_t first) {
  Args args;
  for (size_t i = first; i < e.args.size() && ok(); ++i) args.positional.push_back(eval(*e.args[i]));
  for (const auto& [name, value] : e.keywords) args.keyword.emplace_back(name, eval(*value));
  if (e.star && ok()) {
    Value::ListPtr items = iterate(eval(*e.star), budget);
    if (items && budget.spend(items->items.size())) args.positional.insert(args.positional.end(), items->items.begin(), items->items.end());
  }
  if (e.star_star && ok()) {
    Value dict = eval(*e.star_star);
    if (!dict.is_dict()) return fail("'**' needs a dict, not " + type_name(dict)), args;
    for (const auto& [key, value] : dict.as_dict().entries()) {
      if (!budget.spend() || !key.is_string()) return fail("'**' needs a dict with string keys"), args;
      args.keyword.emplace_back(key.as_string(), value);
    }
  }
  for (size_t i = 0; i < args.keyword.size() && ok(); ++i) {
    for (size_t j = 0; j < i && budget.spend(); ++j) {
      if (args.keyword[i].first == args.keyword[j].first) return fail("keyword argument '" + args.keyword[i].first + "' given twice"), args;
    }
  }
  return args;
}

Value Interp::eval_call(const Expr& e) {
  const Expr& callee = *e.args[0];
  if (callee.kind == ExprKind::GetAttr) {  // a method: no bound object needs to be made
    Value self = eval(*callee.args[0]);
    if (ok() && has_method(self, callee.text)) {
      Args args = eval_args(e, 1);
      budget.line = e.line;
      return ok() ? call_method(self, callee.text, args) : Value();
    }
    Value attribute = ok() ? get_attribute(self, callee.text) : Value();
    Args args = eval_args(e, 1);
    budget.line = e.line;
    return ok() ? call(attribute, args) : Value();
  }
  Value function = eval(callee);
  Args args = eval_args(e, 1);
  budget.line = e.line;
  return ok() ? call(function, args) : Value();
}

}  // namespace lumen::chat
