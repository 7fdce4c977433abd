// Evaluator: runs the language. Static things are computed, index notation becomes scalar expressions, tensor expressions become
// values of an ir::Function; functions are inlined. One Evaluator makes one function, format or model.
// Invariants: scopes live as long as the evaluator; every mistake leaves as Mistake (mistake.h).
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/sema/mistake.h"
#include "compiler/sema/value.h"

namespace lumen::sema {

class Evaluator {
 public:
  // `fn` null: formats and configuration, where there are no tensors.
  Evaluator(const Library& lib, ir::Function* fn) : lib_(lib), fn_(fn) {}
  Evaluator(const Evaluator&) = delete;

  Scope& new_scope(Scope* parent, bool frame = false);
  Val eval(const ast::Expr& e, Scope& s);
  Val eval_name(const ast::Expr& e, Scope& s) { return lookup(e, s); }  // families as such
  StaticValue eval_static(const ast::Expr& e, Scope& s, const std::string& what);
  int64_t eval_int(const ast::Expr& e, Scope& s, const std::string& what);
  ir::ExprPtr eval_scalar(const ast::Expr& e, Scope& s);
  ir::Dim eval_dim(const ast::Expr& e, Scope& s);
  ir::Type eval_element(const ast::TypeExpr& t, Scope& s);  // dims empty
  ir::Type paged_type(const ast::TypeExpr& t, Scope& s);    // the state tensor: [P, …, kPageTokens, last]

  // Statements of a forward pass or a function's body; mistakes of single statements are collected in `errors` where given.
  struct Frame {
    std::string name;
    const ast::TypeExpr* result_type = nullptr;
    Scope* scope = nullptr;
    Val result;
    bool returned = false;
    std::vector<Diag>* errors = nullptr;
  };
  void run(const std::vector<ast::Stmt>& body, Scope& s, Frame& frame, bool last = true);
  Val finish_frame(Frame& frame, Span span);
  Val table_val(const ast::TableDecl& t, Scope& s);
  int materialise(const Val& v, const std::string& name);
  Val tensor_val(int id) const;
  void check_blocks(const ir::Type& type, Span span);  // rows of a format hold whole blocks
  void tick(Span span);                                // counts work; a mistake above any sensible amount of it
  int input(const std::string& name);                  // tokens, pos, seq, rows, table: the Param, made on first use

  // What a string in a binding stands for (config keys, tensor names); unset: itself.
  std::function<Val(const ast::Expr&)> on_string;
  std::function<Val(const std::string&, Span)> rows_of;
  std::function<void(int, Span)> on_residual;
  const std::vector<ast::FnDecl>* local_functions = nullptr;  // of the model
  Scope* local_parent = nullptr;                              // scope that local functions see
  int row_index = -1;                                         // formats: the variable number of n in value(n, k)

 private:
  struct Arg {
    Val value;
    Span span;
    const ast::Expr* expr = nullptr;
  };
  struct Variable {
    std::string name, found_in;
    std::optional<ir::Dim> extent;
  };
  struct Depth;

  // eval.cpp
  Val eval_raw(const ast::Expr& e, Scope& s);
  Val force(Val v, Span span);
  Val* find(const std::string& name, Scope& s);
  Val lookup(const ast::Expr& e, Scope& s);
  std::vector<std::string> known_names(Scope& s);
  Val eval_unary(const ast::Expr& e, Scope& s);
  Val eval_binary(const ast::Expr& e, Scope& s);
  Val eval_if(const ast::Expr& e, Scope& s);
  Val eval_list(const ast::Expr& e, Scope& s);
  Val eval_reduce(const ast::Expr& e, Scope& s);
  Val elementwise(const std::vector<Arg>& args, Span span, const std::string& made_by,
                  const std::function<ir::ExprPtr(const std::vector<ir::ExprPtr>&)>& f);
  ir::ExprPtr as_scalar(const Val& v, Span span);

  // index.cpp
  Val eval_index(const ast::Expr& e, Scope& s);
  Val index_static(const Val& base, const std::vector<Arg>& at, Span span);
  Val index_field(const Val& base, const std::vector<Arg>& at, Span span);
  Val index_tensor(const Val& base, const std::vector<Arg>& at, Span span);
  Val index_paged(const Val& base, const std::vector<Arg>& at, Span span);
  int new_variable(const std::string& name, Scope& s, bool inferred);
  void note_extent(const ir::ExprPtr& index, const ir::Dim& extent, const std::string& tensor, Span span);
  ir::Dim extent_of(int variable, Span span);
  std::vector<Arg> eval_args(const ast::Expr& e, Scope& s);

  // call.cpp
  Val eval_call(const ast::Expr& e, Scope& s);
  std::optional<Val> special_form(const std::string& name, const ast::Expr& e, Scope& s);
  Val apply_macro(const ast::Stmt& let, Scope* scope, const std::vector<Arg>& args, Span span);
  Val call_builtin(const std::string& name, const ast::Expr& e, const std::vector<Arg>& args, Scope& s);
  Val bits_of_field(const std::vector<Arg>& args, Span span);
  Val call_function(const ast::FnDecl& fn, const ast::Expr& call, Scope& s);
  void bind_type_argument(const ast::GenericParam& g, const ast::Expr& arg, Scope& s, Scope& frame);
  void bind_argument(const ast::FnDecl& fn, const ast::Param& p, Arg arg, Scope& frame);
  void unify(const ast::FnDecl& fn, const ast::Param& p, const ir::Type& found, const std::vector<ir::Dim>& dims, Scope& frame, Span span);
  void check_dims(const ast::FnDecl& fn, const ast::Param& p, const Arg& arg, Scope& frame);
  std::string expected_type(const ast::TypeExpr& t, Scope& frame);

  // call_memo.cpp
  struct CallMemo {
    std::vector<std::pair<ir::Value, std::string>> values;  // with their base names; operands by the codes below
    int result = 0;
  };
  static constexpr int kOutside = 1 << 24, kUnknown = 1 << 30;  // code < 0: argument -1 - code; < kOutside: a value of the call
  std::string memo_key(const ast::FnDecl& fn, const Scope& scope, std::vector<int>& operands) const;
  void memorise(const std::string& key, const std::vector<int>& operands, const Scope& scope, size_t before, const Val& result);
  Val repeat(const CallMemo& memo, const std::vector<int>& operands);

  // forms.cpp
  Val form_has(const ast::Expr& e, Scope& s);
  Val form_assert(const ast::Expr& e, Scope& s);
  Val form_append(const ast::Expr& e, Scope& s);
  Val form_residual(const ast::Expr& e, Scope& s);
  Val form_reshape(const ast::Expr& e, Scope& s);

  // statements.cpp
  void statement(const ast::Stmt& st, Scope& s, Frame& frame, bool last);
  void assign(const ast::Stmt& st, Scope& s, Frame& frame, Val v);
  void poison(const ast::Stmt& st, Scope& s);
  Val define(const ast::Stmt& st, Scope& s, Frame& frame, bool last);
  void for_loop(const ast::Stmt& st, Scope& s, Frame& frame);

  // compute.cpp
  int emit_compute(ir::Type type, const std::vector<int>& variables, std::vector<std::string> axes, ir::ExprPtr body,
                   const std::string& name);
  int emit_scatter(StateCell& state, std::vector<ir::Dim> dims, const std::vector<int>& variables, std::vector<std::string> axes,
                   std::vector<ir::ExprPtr> dest, ir::ExprPtr body, const std::string& name);
  std::string full_name(const std::string& base, const std::vector<int>& operands) const;
  void check_size(Span span);

  const Library& lib_;
  ir::Function* fn_;
  std::deque<Scope> scopes_;
  std::map<int, Variable> variables_;  // those whose extent is inferred
  int next_variable_ = kFirstVariable;
  int depth_ = 0;
  int64_t steps_ = 0;
  std::vector<int64_t> loops_;  // values of the static loops around, for names
  std::map<int, std::pair<std::string, size_t>> base_names_;  // of computed values, without what full_name adds; how many loops stood around
  std::map<std::string, CallMemo> memos_;
  friend struct FunctionRoot;
};

bool mentions_variable(const ir::ExprPtr& e);  // uses an index from kFirstVariable on

}  // namespace lumen::sema
