// Statements: the bodies of functions and forward passes.
#include "compiler/syntax/parser_impl.h"

namespace lumen::syntax {

using namespace ast;

// { statements }, separated by line ends or ';'
std::vector<Stmt> Parser::block(const char* what) {
  std::vector<Stmt> out;
  Token open = peek();
  if (!at("{")) expected(std::string("'{' and ") + what);
  if (!deeper(open)) return out;
  next();
  skip_newlines();
  while (!failed_ && !at("}") && peek().kind != Tk::End) {
    out.push_back(statement());
    end_of_item("the statement");
  }
  shallower();
  expect_close("}", open);
  return out;
}

Stmt Parser::statement() {
  Token from = peek();
  Stmt s;
  if (at("let")) return let();
  if (at("for")) return for_stmt();
  if (at("if")) return if_stmt();
  if (at("return")) {
    next();
    s.kind = StmtKind::Return;
    s.value = expr();
  } else {
    ExprPtr left = expr();
    if (at("=")) return assign(std::move(s), left, from);
    s.kind = StmtKind::Expr;
    s.value = left;
  }
  s.span = span(from);
  return s;
}

// name = value    name[axes] = value
Stmt Parser::assign(Stmt s, const ExprPtr& left, const Token& from) {
  next();  // =
  bool good = left->kind == ExprKind::Name;
  s.kind = StmtKind::Assign;
  s.name = left->text;
  if (left->kind == ExprKind::Index && left->args[0]->kind == ExprKind::Name) {
    good = true;
    s.kind = StmtKind::Define;
    s.name = left->args[0]->text;
    for (size_t i = 1; i < left->args.size(); ++i) {
      good = good && left->args[i]->kind == ExprKind::Name && left->args[i]->type_args.empty();
      s.params.push_back(left->args[i]->text);
    }
  }
  if (!good) fail(from, "expected a name, or name[axes] with a name for each axis, on the left of '='");
  skip_newlines();
  s.value = expr();
  s.span = span(from);
  return s;
}

// let name = value    let name(params) = value
Stmt Parser::let() {
  Token from = next();
  Stmt s;
  s.kind = StmtKind::Let;
  s.name = expect_name("a name");
  if (at("(")) s.params = names(")", "a parameter's name");
  expect("=", "the name that 'let' defines");
  skip_newlines();
  s.value = expr();
  s.span = span(from);
  return s;
}

Stmt Parser::for_stmt() {
  Token from = next();
  Stmt s;
  s.kind = StmtKind::For;
  s.name = expect_name("the name of the loop's index");
  expect("in", "the loop's index");
  s.lo = expr();
  expect("..", "the lower bound");
  s.hi = expr();
  s.body = block("the loop's body");
  s.span = span(from);
  return s;
}

// if c { … } else if d { … } else { … }; with `then` behind the condition it is an expression after all
Stmt Parser::if_stmt() {
  Token from = peek();
  size_t start = at_;
  next();
  Stmt s;
  s.kind = StmtKind::If;
  s.value = expr();
  if (at("then")) {
    at_ = start;
    s.kind = StmtKind::Expr;
    s.value = expr();
    s.span = span(from);
    return s;
  }
  s.body = block("what to do");
  size_t keep = at_;
  skip_newlines();
  if (accept("else")) {
    if (at("if")) {
      if (deeper(peek())) {
        s.otherwise.push_back(if_stmt());
        shallower();
        if (!failed_ && s.otherwise[0].kind != StmtKind::If) fail(from, "expected '{' after the condition of 'else if'");
      }
    } else {
      s.otherwise = block("what to do otherwise");
    }
  } else if (!failed_) {
    at_ = keep;
  }
  s.span = span(from);
  return s;
}

}  // namespace lumen::syntax
