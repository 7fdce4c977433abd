// The parser's statements and its helpers.
#include "chat/parser.h"

#include <algorithm>

#include "chat/text.h"

namespace lumen::chat {

Result<std::shared_ptr<const Tree>> Parser::parse(std::string_view source, const std::string& name) {
  auto tokens = tokenize(source);
  if (!tokens) return Error{name + ": " + tokens.error().message};
  Parser parser(tokens.take());
  parser.tree_->name = name;
  parser.tree_->body = parser.parse_body({});
  if (!parser.ok()) return Error{name + ": " + parser.error_};
  return std::shared_ptr<const Tree>(parser.tree_);
}

void Parser::fail(const std::string& message, uint32_t line) {
  if (ok()) error_ = "line " + std::to_string(line ? line : now().line) + ": " + message;
  at_ = tokens_.size() - 1;
}

std::string Parser::found() const {
  switch (now().type) {
    case Tok::Data:
      return "text";
    case Tok::VariableBegin:
      return "'{{'";
    case Tok::VariableEnd:
      return "'}}'";
    case Tok::BlockBegin:
      return "'{%'";
    case Tok::BlockEnd:
      return "'%}'";
    case Tok::String:
      return "a string";
    case Tok::Integer:
    case Tok::Float:
      return "the number " + now().text;
    case Tok::End:
      return "the end of the template";
    default:
      return "'" + now().text + "'";
  }
}

bool Parser::at_any_name(const std::vector<std::string_view>& names) const {
  return now().type == Tok::Name && std::find(names.begin(), names.end(), now().text) != names.end();
}

bool Parser::take_op(std::string_view op) {
  if (!at_op(op)) return false;
  next();
  return true;
}

bool Parser::take_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!take_op(op)) fail("expected '" + std::string(op) + "', found " + found());
}

void Parser::expect(Tok type) {
  if (now().type == type) return next();
  fail(std::string("expected ") +
       (type == Tok::BlockEnd      ? "'%}'"
        : type == Tok::VariableEnd ? "'}}'"
                                   : "another token") +
       ", found " + found());
}

std::string Parser::expect_name() {
  if (now().type != Tok::Name) {
    fail("expected a name, found " + found());
    return {};
  }
  std::string name = now().text;
  next();
  return name;
}

NameId Parser::intern(const std::string& name) {
  auto [it, fresh] = name_ids_.emplace(name, static_cast<NameId>(tree_->names.size()));
  if (fresh) tree_->names.push_back(name);
  return it->second;
}

Expr* Parser::node(ExprKind kind, uint32_t line) {
  tree_->exprs.emplace_back();
  tree_->exprs.back().kind = kind;
  tree_->exprs.back().line = line;
  return &tree_->exprs.back();
}

const Expr* Parser::finish(Expr* e) {
  auto deepen = [&](const Expr* child) {
    if (child) e->depth = std::max(e->depth, child->depth + 1);
  };
  for (const Expr* child : e->args) deepen(child);
  for (const auto& [name, child] : e->keywords) deepen(child);
  deepen(e->star);
  deepen(e->star_star);
  if (e->depth > kMaxNesting) fail("an expression is more than " + std::to_string(kMaxNesting) + " deep", e->line);
  return e;
}

const Expr* Parser::pair(ExprKind kind, uint32_t line, const Expr* a, const Expr* b, Op op) {
  Expr* e = node(kind, line);
  e->op = op;
  e->args = {a, b};
  return finish(e);
}

Stmt* Parser::statement_node(StmtKind kind) {
  tree_->stmts.emplace_back();
  tree_->stmts.back().kind = kind;
  tree_->stmts.back().line = now().line;
  return &tree_->stmts.back();
}

Body Parser::parse_body(const std::vector<std::string_view>& ends) {
  Body body;
  Level level(*this);
  while (ok()) {
    if (now().type == Tok::End) {
      if (!ends.empty()) {
        fail("the template ends, but '" + (open_tags_.empty() ? "" : open_tags_.back()) + "' still needs its '" + std::string(ends.back()) +
             "'");
      }
      break;
    }
    if (now().type == Tok::Data) {
      Stmt* s = statement_node(StmtKind::Data);
      s->text = now().text;
      body.push_back(s);
      next();
    } else if (now().type == Tok::VariableBegin) {
      next();
      Stmt* s = statement_node(StmtKind::Output);
      s->exprs = {parse_tuple(true)};
      expect(Tok::VariableEnd);
      body.push_back(s);
    } else {
      next();  // '{%'
      if (at_any_name(ends)) break;
      body.push_back(parse_statement());
      expect(Tok::BlockEnd);
    }
  }
  return body;
}

Body Parser::parse_block(const std::vector<std::string_view>& ends) {
  take_op(":");
  expect(Tok::BlockEnd);
  return parse_body(ends);
}

Body Parser::parse_block_to(std::string_view end) {
  Body body = parse_block({end});
  next();
  return body;
}

// A block that 'break' and 'continue' cannot leave.
Body Parser::parse_closed_block(std::string_view end) {
  uint32_t loops = std::exchange(loops_, 0);
  Body body = parse_block_to(end);
  loops_ = loops;
  return body;
}

const Stmt* Parser::parse_statement() {
  uint32_t line = now().line;
  std::string tag = expect_name();
  const Stmt* s = nullptr;
  open_tags_.push_back(tag);
  if (tag == "for")
    s = parse_for();
  else if (tag == "if")
    s = parse_if();
  else if (tag == "set")
    s = parse_set();
  else if (tag == "macro")
    s = parse_macro();
  else if (tag == "call")
    s = parse_call_block();
  else if (tag == "filter")
    s = parse_filter_block();
  else if (tag == "with")
    s = parse_with();
  else if (tag == "generation" || tag == "block")
    s = parse_scope(tag);
  else if (tag == "break")
    s = parse_loop_control(StmtKind::Break);
  else if (tag == "continue")
    s = parse_loop_control(StmtKind::Continue);
  else if (tag == "print")
    s = parse_print();
  else if (tag == "import" || tag == "from" || tag == "include" || tag == "extends")
    fail("'" + tag + "' is not supported: a chat template is one file", line);
  else if (ok())
    fail("unknown tag '" + tag + "'", line);
  open_tags_.pop_back();
  return s ? s : statement_node(StmtKind::Data);
}

const Stmt* Parser::parse_for() {
  Stmt* s = statement_node(StmtKind::For);
  s->targets = {parse_target({"in"}, false)};
  if (!take_name("in")) fail("expected 'in', found " + found());
  s->exprs = {parse_tuple(false, {"recursive"}), nullptr};
  if (take_name("if")) s->exprs[1] = parse_expression();
  if (at_name("recursive")) fail("recursive loops are not supported");
  ++loops_;
  s->bodies.push_back(parse_block({"endfor", "else"}));
  --loops_;
  s->bodies.emplace_back();
  if (take_name("else")) {
    s->bodies[1] = parse_block_to("endfor");
  } else {
    next();
  }
  return s;
}

const Stmt* Parser::parse_if() {
  Stmt* s = statement_node(StmtKind::If);
  while (ok()) {
    s->exprs.push_back(parse_tuple(false));
    s->bodies.push_back(parse_block({"elif", "else", "endif"}));
    if (take_name("elif")) continue;
    if (take_name("else")) {
      s->bodies.push_back(parse_block_to("endif"));
    } else {
      s->bodies.emplace_back();
      next();
    }
    break;
  }
  return s;
}

const Stmt* Parser::parse_set() {
  Stmt* s = statement_node(StmtKind::Set);
  s->targets = {parse_target({}, true)};
  if (take_op("=")) {
    s->exprs = {parse_tuple(true)};
    return s;
  }
  s->kind = StmtKind::SetBlock;
  s->exprs = {parse_filters(finish(node(ExprKind::Input, now().line)), false)};
  s->bodies = {parse_closed_block("endset")};
  return s;
}

void Parser::parse_signature(Stmt* s) {
  expect_op("(");
  while (ok() && !at_op(")")) {
    if (!s->parameters.empty()) expect_op(",");
    s->parameters.push_back(intern(expect_name()));
    if (take_op("=")) {
      s->defaults.push_back(parse_expression());
    } else if (!s->defaults.empty()) {
      fail("a parameter without default follows one with a default");
    }
  }
  expect_op(")");
}

void Parser::parse_macro_body(Stmt* s, std::string_view end) {
  macros_.push_back(s);
  s->bodies = {parse_closed_block(end)};
  macros_.pop_back();
}

const Stmt* Parser::parse_macro() {
  Stmt* s = statement_node(StmtKind::Macro);
  s->text = expect_name();
  s->name = intern(s->text);
  parse_signature(s);
  parse_macro_body(s, "endmacro");
  return s;
}

const Stmt* Parser::parse_call_block() {
  Stmt* s = statement_node(StmtKind::CallBlock);
  s->text = "caller";
  if (at_op("(")) parse_signature(s);
  const Expr* call = parse_expression();
  if (ok() && call->kind != ExprKind::Call) fail("expected a call", s->line);
  s->exprs = {call};
  parse_macro_body(s, "endcall");
  return s;
}

const Stmt* Parser::parse_filter_block() {
  Stmt* s = statement_node(StmtKind::FilterBlock);
  s->exprs = {parse_filters(parse_filter(finish(node(ExprKind::Input, now().line))), false)};
  s->bodies = {parse_closed_block("endfilter")};
  return s;
}

const Stmt* Parser::parse_with() {
  Stmt* s = statement_node(StmtKind::With);
  while (ok() && now().type != Tok::BlockEnd) {
    if (!s->targets.empty()) expect_op(",");
    s->targets.push_back(parse_target({}, false));
    expect_op("=");
    s->exprs.push_back(parse_expression());
  }
  s->bodies = {parse_block_to("endwith")};
  return s;
}

const Stmt* Parser::parse_scope(const std::string& tag) {
  Stmt* s = statement_node(StmtKind::Scope);
  if (tag == "block") {
    s->text = expect_name();
    take_name("scoped");
  }
  s->bodies = {parse_closed_block("end" + tag)};
  if (tag == "block") take_name(s->text);
  return s;
}

const Stmt* Parser::parse_loop_control(StmtKind kind) {
  if (loops_ == 0) fail("'break' and 'continue' belong in a loop");
  return statement_node(kind);
}

const Stmt* Parser::parse_print() {
  Stmt* s = statement_node(StmtKind::Output);
  while (ok() && now().type != Tok::BlockEnd) {
    if (!s->exprs.empty()) expect_op(",");
    s->exprs.push_back(parse_expression());
  }
  return s;
}

bool Parser::check_target(const Expr* e) {
  if (e->kind == ExprKind::Name || e->kind == ExprKind::NamespaceRef) return true;
  if (e->kind != ExprKind::Tuple || e->args.empty()) return false;
  return std::all_of(e->args.begin(), e->args.end(), [&](const Expr* arg) { return check_target(arg); });
}

const Expr* Parser::parse_target(const std::vector<std::string_view>& ends, bool with_namespace) {
  uint32_t line = now().line;
  std::vector<const Expr*> parts{parse_primary(with_namespace)};
  bool tuple = false;
  while (ok() && take_op(",")) {
    tuple = true;
    if (at_any_name(ends) || at_op("=") || now().type == Tok::BlockEnd) break;
    parts.push_back(parse_primary(with_namespace));
  }
  const Expr* target = parts[0];
  if (tuple) {
    Expr* e = node(ExprKind::Tuple, line);
    e->args = std::move(parts);
    target = finish(e);
  }
  if (ok() && !check_target(target)) fail("cannot assign to this; expected a name, names in a tuple, or namespace.attribute", line);
  return target;
}

}  // namespace lumen::chat
