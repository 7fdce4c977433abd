// Tokens to a syntax tree: Jinja's grammar, without inheritance and inclusion (a chat template is one file).
// Invariant: after the first error the parser stands at the End token, so that every loop ends; nodes are never null.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "chat/ast.h"
#include "chat/lexer.h"

namespace lumen::chat {

class Parser {
 public:
  static constexpr uint32_t kMaxNesting = 200;  // of blocks and expressions in one another

  static Result<std::shared_ptr<const Tree>> parse(std::string_view source, const std::string& name);

 private:
  struct Call {
    std::vector<const Expr*> args;
    std::vector<std::pair<std::string, const Expr*>> keywords;
    const Expr* star = nullptr;
    const Expr* star_star = nullptr;
  };
  // Counts one level of recursion.
  struct Level {
    explicit Level(Parser& p) : parser(p) {
      if (++p.level_ > kMaxNesting) p.fail("blocks and expressions are nested more than " + std::to_string(kMaxNesting) + " deep");
    }
    ~Level() { --parser.level_; }
    Parser& parser;
  };

  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& after() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool ok() const { return error_.empty(); }
  void fail(const std::string& message, uint32_t line = 0);
  void next() { at_ += at_ + 1 < tokens_.size(); }
  bool at_op(std::string_view op) const { return now().type == Tok::Operator && now().text == op; }
  bool at_name(std::string_view name) const { return now().type == Tok::Name && now().text == name; }
  bool at_any_name(const std::vector<std::string_view>& names) const;
  bool take_op(std::string_view op);
  bool take_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect(Tok type);
  std::string expect_name();
  std::string found() const;  // the current token, for messages
  NameId intern(const std::string& name);

  Expr* node(ExprKind kind, uint32_t line);
  const Expr* finish(Expr* e);  // computes and checks its depth
  const Expr* pair(ExprKind kind, uint32_t line, const Expr* a, const Expr* b, Op op = Op::Add);
  Stmt* statement_node(StmtKind kind);

  // parser.cpp: statements
  Body parse_body(const std::vector<std::string_view>& ends);   // until a tag of that name, which becomes the current token
  Body parse_block(const std::vector<std::string_view>& ends);  // from behind a tag's expression
  Body parse_block_to(std::string_view end);                    // and the end tag is taken
  Body parse_closed_block(std::string_view end);
  const Stmt* parse_statement();
  const Stmt* parse_for();
  const Stmt* parse_if();
  const Stmt* parse_set();
  const Stmt* parse_macro();
  const Stmt* parse_call_block();
  const Stmt* parse_filter_block();
  const Stmt* parse_with();
  const Stmt* parse_scope(const std::string& tag);
  const Stmt* parse_loop_control(StmtKind kind);
  const Stmt* parse_print();
  void parse_signature(Stmt* s);
  void parse_macro_body(Stmt* s, std::string_view end);
  const Expr* parse_target(const std::vector<std::string_view>& ends, bool with_namespace);
  bool check_target(const Expr* e);

  // parser_expr.cpp: expressions, loosest first
  const Expr* parse_tuple(bool conditional, const std::vector<std::string_view>& ends = {}, bool parentheses = false);
  const Expr* parse_expression(bool conditional = true);
  const Expr* parse_or();
  const Expr* parse_and();
  const Expr* parse_not();
  const Expr* parse_compare();
  const Expr* parse_sum();
  const Expr* parse_concat();
  const Expr* parse_product();
  const Expr* parse_power();
  const Expr* parse_unary(bool with_filters = true);
  const Expr* parse_primary(bool with_namespace = false);
  const Expr* parse_name(bool with_namespace);
  const Expr* parse_list();
  const Expr* parse_dict();
  const Expr* parse_postfix(const Expr* e);
  const Expr* parse_filters(const Expr* e, bool tests_too);
  const Expr* parse_filter(const Expr* e);  // behind '|'
  const Expr* parse_test(const Expr* e);
  const Expr* parse_subscript(const Expr* e);
  const Expr* parse_call(const Expr* callee);
  Call parse_arguments();

  std::vector<Token> tokens_;
  size_t at_ = 0;
  uint32_t level_ = 0;
  uint32_t loops_ = 0;                  // loops around the current statement, within its macro
  std::vector<Stmt*> macros_;           // macros around it
  std::vector<std::string> open_tags_;  // for messages
  std::unordered_map<std::string, NameId> name_ids_;
  std::shared_ptr<Tree> tree_ = std::make_shared<Tree>();
  std::string error_;
};

}  // namespace lumen::chat
