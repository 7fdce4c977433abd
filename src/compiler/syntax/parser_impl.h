// The parser's inside: a cursor over tokens and one method for each rule of docs/language.md. Expressions: expr.cpp (Pratt).
// After the first mistake in a declaration every look at the cursor sees the end, so that all loops run out without further
// reports; parse() then goes on at the next declaration.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/syntax/ast.h"
#include "compiler/syntax/lexer.h"

namespace lumen::syntax {

// Binding powers, low to high. Printer and parser share them.
enum Power : int {
  kLoose = 0,  // if … then … else …
  kOr,
  kAnd,
  kNot,
  kCompare,  // does not chain
  kBitOr,
  kBitXor,
  kBitAnd,
  kShift,
  kAdd,
  kMul,
  kMinus,  // unary
  kPow,    // right-associative; its right side may begin with '-'
  kPostfix,
};
Power power_of(std::string_view binary);  // kLoose: not a binary operator
bool is_reduction(std::string_view name);
bool is_source(std::string_view name);  // gguf, hf, mlx

class Parser {
 public:
  explicit Parser(SourcePtr source);
  ast::File file();
  std::vector<Diag> take_errors() { return std::move(errors_); }

 private:
  // The cursor.
  const Token& peek(size_t ahead = 0) const;
  Token next();
  bool at(std::string_view text) const { return is(peek(), text); }
  static bool is(const Token& t, std::string_view text) { return t.text == text && (t.kind == Tk::Punct || t.kind == Tk::Name); }
  bool accept(std::string_view text);
  void expect(std::string_view text, const char* after);
  void expect_close(std::string_view text, const Token& open);
  std::string expect_name(const char* what);
  void skip_newlines();
  void end_of_item(const char* what);  // newline, ';', or a '}' ahead
  void fail(const Token& at, std::string message, std::string note = "");
  void expected(const std::string& what);
  Span span(const Token& from) const;  // from `from` to the last token taken
  bool deeper(const Token& at);        // counts nesting; the caller calls shallower()
  void shallower() { --depth_; }

  // Declarations.
  void declaration(ast::File& file);
  void recover(bool moved);
  ast::FormatDecl format();
  void format_item(ast::FormatDecl& f);
  void format_fields(ast::FormatDecl& f);
  void format_value(ast::FormatDecl& f);
  void format_field_place(ast::FormatField& field);
  ast::TableDecl table();
  ast::FnDecl function();
  ast::ModelDecl model();
  void model_section(ast::ModelDecl& m, bool& has_forward);
  ast::Binding binding(bool with_value);
  void indexed(std::vector<ast::IndexedBinding>& out, std::vector<ast::Binder> over, bool with_value);
  std::vector<ast::Alternative> alternatives();
  std::vector<ast::GenericParam> generics();
  std::vector<ast::Param> params();
  std::vector<std::string> names(std::string_view close, const char* what);
  ast::TypeExpr type();

  // Statements.
  std::vector<ast::Stmt> block(const char* what);
  ast::Stmt statement();
  ast::Stmt let();
  ast::Stmt for_stmt();
  ast::Stmt if_stmt();
  ast::Stmt assign(ast::Stmt s, const ast::ExprPtr& left, const Token& from);

  // Expressions.
  ast::ExprPtr expr(int power = kLoose);
  ast::ExprPtr prefix(int power);
  ast::ExprPtr primary();
  ast::ExprPtr number();
  ast::ExprPtr postfix(ast::ExprPtr left, const Token& from);
  ast::ExprPtr if_expr();
  ast::ExprPtr reduce();
  ast::ExprPtr type_arg();
  std::vector<ast::ExprPtr> type_args();
  bool type_args_ahead() const;
  void arguments(ast::Expr& call, std::string_view close, bool named);
  ast::ExprPtr range_or_expr();
  std::vector<ast::Binder> binders();
  ast::ExprPtr make(ast::Expr e, const Token& from);
  Token binary_ahead(Power& power) const;

  SourcePtr source_;
  std::vector<Token> tokens_;
  std::vector<Diag> errors_;
  size_t at_ = 0;
  bool failed_ = false;
  bool no_bit_or_ = false;  // in a binding `|` separates alternatives; brackets lift that
  int depth_ = 0;
};

}  // namespace lumen::syntax
