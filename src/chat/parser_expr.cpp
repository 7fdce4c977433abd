// The parser's expressions, one function a level of precedence, loosest first.
#include <algorithm>

#include "chat/parser.h"
#include "chat/text.h"

namespace lumen::chat {

// One expression, or several with commas: a tuple. It ends at the tag's end, a ')' or one of the names `ends`.
const Expr* Parser::parse_tuple(bool conditional, const std::vector<std::string_view>& ends, bool parentheses) {
  uint32_t line = now().line;
  std::vector<const Expr*> items;
  bool tuple = false;
  while (ok()) {
    bool end = now().type == Tok::VariableEnd || now().type == Tok::BlockEnd || at_op(")") || at_any_name(ends);
    if (end) break;
    items.push_back(parse_expression(conditional));
    if (!take_op(",")) break;
    tuple = true;
  }
  if (!tuple && !items.empty()) return items[0];
  if (!tuple && !parentheses) fail("expected an expression, found " + found());
  Expr* e = node(ExprKind::Tuple, line);
  e->args = std::move(items);
  return finish(e);
}

const Expr* Parser::parse_expression(bool conditional) {
  Level level(*this);
  uint32_t line = now().line;
  const Expr* e = parse_or();
  while (conditional && take_name("if")) {
    Expr* c = node(ExprKind::Conditional, line);
    const Expr* condition = parse_or();
    c->args = {e, condition, take_name("else") ? parse_expression() : nullptr};
    e = finish(c);
  }
  return e;
}

const Expr* Parser::parse_or() {
  const Expr* e = parse_and();
  for (uint32_t line = now().line; take_name("or"); line = now().line) e = pair(ExprKind::Or, line, e, parse_and());
  return e;
}

const Expr* Parser::parse_and() {
  const Expr* e = parse_not();
  for (uint32_t line = now().line; take_name("and"); line = now().line) e = pair(ExprKind::And, line, e, parse_not());
  return e;
}

const Expr* Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  Level level(*this);
  Expr* e = node(ExprKind::Not, now().line);
  next();
  e->args = {parse_not()};
  return finish(e);
}

const Expr* Parser::parse_compare() {
  static constexpr std::pair<std::string_view, Op> kSigns[] = {{"==", Op::Eq}, {"!=", Op::Ne}, {"<", Op::Lt},
                                                               {"<=", Op::Le}, {">", Op::Gt},  {">=", Op::Ge}};
  uint32_t line = now().line;
  std::vector<const Expr*> args{parse_sum()};
  std::vector<Op> ops;
  while (ok()) {
    auto sign = std::find_if(std::begin(kSigns), std::end(kSigns), [&](const auto& s) { return at_op(s.first); });
    if (sign != std::end(kSigns)) {
      next();
      ops.push_back(sign->second);
    } else if (take_name("in")) {
      ops.push_back(Op::In);
    } else if (at_name("not") && after().type == Tok::Name && after().text == "in") {
      next();
      next();
      ops.push_back(Op::NotIn);
    } else {
      break;
    }
    args.push_back(parse_sum());
  }
  if (ops.empty()) return args[0];
  Expr* e = node(ExprKind::Compare, line);
  e->args = std::move(args);
  e->ops = std::move(ops);
  return finish(e);
}

const Expr* Parser::parse_sum() {
  const Expr* e = parse_concat();
  while (at_op("+") || at_op("-")) {
    uint32_t line = now().line;
    Op op = at_op("+") ? Op::Add : Op::Sub;
    next();
    e = pair(ExprKind::Binary, line, e, parse_concat(), op);
  }
  return e;
}

const Expr* Parser::parse_concat() {
  uint32_t line = now().line;
  std::vector<const Expr*> args{parse_product()};
  while (take_op("~")) args.push_back(parse_product());
  if (args.size() == 1) return args[0];
  Expr* e = node(ExprKind::Concat, line);
  e->args = std::move(args);
  return finish(e);
}

const Expr* Parser::parse_product() {
  const Expr* e = parse_power();
  while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
    uint32_t line = now().line;
    Op op = at_op("*") ? Op::Mul : at_op("/") ? Op::Div : at_op("//") ? Op::FloorDiv : Op::Mod;
    next();
    e = pair(ExprKind::Binary, line, e, parse_power(), op);
  }
  return e;
}

const Expr* Parser::parse_power() {
  const Expr* e = parse_unary();
  while (at_op("**")) {
    uint32_t line = now().line;
    next();
    e = pair(ExprKind::Binary, line, e, parse_unary(), Op::Pow);
  }
  return e;
}

const Expr* Parser::parse_unary(bool with_filters) {
  const Expr* e = nullptr;
  if (at_op("-") || at_op("+")) {
    Level level(*this);
    Expr* sign = node(at_op("-") ? ExprKind::Negate : ExprKind::Plus, now().line);
    next();
    sign->args = {parse_unary(false)};
    e = finish(sign);
  } else {
    e = parse_primary();
  }
  e = parse_postfix(e);
  return with_filters ? parse_filters(e, true) : e;
}

const Expr* Parser::parse_name(bool with_namespace) {
  const std::string name = now().text;
  Expr* e = node(ExprKind::Const, now().line);
  next();
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    e->constant = name == "true" || name == "True";
  } else if (name == "none" || name == "None") {
    e->constant = nullptr;
  } else {
    e->kind = ExprKind::Name;
    e->name = intern(name);
    if (with_namespace && take_op(".")) {
      e->kind = ExprKind::NamespaceRef;
      e->text = expect_name();
    }
    for (Stmt* macro : macros_) {
      macro->uses_caller |= name == "caller";
      macro->uses_kwargs |= name == "kwargs";
      macro->uses_varargs |= name == "varargs";
    }
  }
  return e;
}

const Expr* Parser::parse_primary(bool with_namespace) {
  uint32_t line = now().line;
  switch (now().type) {
    case Tok::Name:
      return parse_name(with_namespace);
    case Tok::String: {
      std::string text;
      for (; now().type == Tok::String; next()) text += now().text;
      Expr* e = node(ExprKind::Const, line);
      e->constant = std::move(text);
      return e;
    }
    case Tok::Integer:
    case Tok::Float: {
      Expr* e = node(ExprKind::Const, line);
      e->constant = now().type == Tok::Integer ? Value(now().integer) : Value(now().number);
      next();
      return e;
    }
    default:
      break;
  }
  if (at_op("[")) return parse_list();
  if (at_op("{")) return parse_dict();
  if (take_op("(")) {
    const Expr* e = parse_tuple(true, {}, true);
    expect_op(")");
    return e;
  }
  fail("expected an expression, found " + found());
  return node(ExprKind::Const, line);
}

const Expr* Parser::parse_list() {
  Expr* e = node(ExprKind::List, now().line);
  next();
  while (ok() && !at_op("]")) {
    e->args.push_back(parse_expression());
    if (!take_op(",")) break;
  }
  expect_op("]");
  return finish(e);
}

const Expr* Parser::parse_dict() {
  Expr* e = node(ExprKind::Dict, now().line);
  next();
  while (ok() && !at_op("}")) {
    e->args.push_back(parse_expression());
    expect_op(":");
    e->args.push_back(parse_expression());
    if (!take_op(",")) break;
  }
  expect_op("}");
  return finish(e);
}

const Expr* Parser::parse_postfix(const Expr* e) {
  while (ok()) {
    if (at_op(".") || at_op("[")) {
      e = parse_subscript(e);
    } else if (at_op("(")) {
      e = parse_call(e);
    } else {
      break;
    }
  }
  return e;
}

const Expr* Parser::parse_filters(const Expr* e, bool tests_too) {
  while (ok()) {
    if (take_op("|")) {
      e = parse_filter(e);
    } else if (tests_too && take_name("is")) {
      e = parse_test(e);
    } else if (tests_too && at_op("(")) {
      e = parse_call(e);
    } else {
      break;
    }
  }
  return e;
}

const Expr* Parser::parse_filter(const Expr* input) {
  Expr* e = node(ExprKind::Filter, now().line);
  e->text = expect_name();
  e->args = {input};
  if (at_op("(")) {
    Call call = parse_arguments();
    e->args.insert(e->args.end(), call.args.begin(), call.args.end());
    e->keywords = std::move(call.keywords);
    e->star = call.star;
    e->star_star = call.star_star;
  }
  return finish(e);
}

const Expr* Parser::parse_test(const Expr* input) {
  uint32_t line = now().line;
  bool negated = take_name("not");
  Expr* e = node(ExprKind::Test, line);
  e->text = expect_name();
  e->args = {input};
  bool operand = now().type == Tok::Name || now().type == Tok::String || now().type == Tok::Integer || now().type == Tok::Float ||
                 at_op("[") || at_op("{");
  if (at_op("(")) {
    Call call = parse_arguments();
    e->args.insert(e->args.end(), call.args.begin(), call.args.end());
    e->keywords = std::move(call.keywords);
    e->star = call.star;
    e->star_star = call.star_star;
  } else if (operand && !at_any_name({"else", "or", "and"})) {
    if (at_name("is")) fail("tests with 'is' cannot be chained");
    e->args.push_back(parse_postfix(parse_primary()));
  }
  const Expr* test = finish(e);
  if (!negated) return test;
  Expr* n = node(ExprKind::Not, line);
  n->args = {test};
  return finish(n);
}

const Expr* Parser::parse_subscript(const Expr* object) {
  uint32_t line = now().line;
  if (take_op(".")) {
    Expr* e = node(ExprKind::GetAttr, line);
    e->args = {object};
    if (now().type == Tok::Integer) {
      Expr* index = node(ExprKind::Const, line);
      index->constant = now().integer;
      next();
      e->kind = ExprKind::GetItem;
      e->args.push_back(index);
    } else {
      e->text = expect_name();
    }
    return finish(e);
  }
  next();  // '['
  Expr* e = node(ExprKind::GetItem, line);
  e->args = {object};
  const Expr* parts[3] = {};
  int colons = 0;
  while (ok() && !at_op("]")) {
    if (at_op(",")) fail("a subscript takes one expression or one slice");
    if (take_op(":")) {
      if (++colons > 2) fail("a slice has at most three parts");
    } else if (!parts[std::min(colons, 2)]) {
      parts[std::min(colons, 2)] = parse_expression();
    } else {
      break;
    }
  }
  expect_op("]");
  if (colons > 0) {
    e->kind = ExprKind::Slice;
    e->args.insert(e->args.end(), parts, parts + 3);
  } else {
    if (ok() && !parts[0]) fail("expected an expression in '[]'", line);
    e->args.push_back(parts[0]);
  }
  return finish(e);
}

const Expr* Parser::parse_call(const Expr* callee) {
  Expr* e = node(ExprKind::Call, now().line);
  Call call = parse_arguments();
  e->args = {callee};
  e->args.insert(e->args.end(), call.args.begin(), call.args.end());
  e->keywords = std::move(call.keywords);
  e->star = call.star;
  e->star_star = call.star_star;
  return finish(e);
}

Parser::Call Parser::parse_arguments() {
  Call call;
  expect_op("(");
  while (ok() && !at_op(")")) {
    if (take_op("*")) {
      if (call.star || call.star_star) fail("invalid arguments: a second '*'");
      call.star = parse_expression();
    } else if (take_op("**")) {
      if (call.star_star) fail("invalid arguments: a second '**'");
      call.star_star = parse_expression();
    } else if (now().type == Tok::Name && after().type == Tok::Operator && after().text == "=") {
      if (call.star_star) fail("invalid arguments: a keyword behind '**'");
      std::string name = expect_name();
      next();
      call.keywords.emplace_back(std::move(name), parse_expression());
    } else {
      if (call.star || call.star_star || !call.keywords.empty()) fail("invalid arguments: a positional one behind a keyword");
      call.args.push_back(parse_expression());
    }
    if (!take_op(",")) break;
  }
  expect_op(")");
  return call;
}

}  // namespace lumen::chat
