// print_tree: the tree with its structure in sight, one declaration, statement or binding a line; expressions as
// (operator arguments…). The form of --emit ast.
#include "compiler/syntax/lexer.h"
#include "compiler/syntax/parser.h"

namespace lumen::syntax {
namespace {

using namespace ast;

std::string expr(const ExprPtr& e);

std::string spread(const std::vector<ExprPtr>& items) {
  std::string out;
  for (const ExprPtr& e : items) out += " " + expr(e);
  return out;
}
std::string binders(const std::vector<Binder>& list) {
  std::string out;
  for (const Binder& b : list) out += " [" + b.name + (b.lo ? " " + expr(b.lo) + " " + expr(b.hi) : "") + "]";
  return out;
}
std::string type_args(const std::vector<ExprPtr>& args) { return args.empty() ? "" : " <" + spread(args).substr(1) + ">"; }

std::string expr(const ExprPtr& e) {
  switch (e->kind) {
    case ExprKind::Int: return std::to_string(e->ival);
    case ExprKind::Float: return e->text;
    case ExprKind::String: return escape(e->text);
    case ExprKind::Bool: return e->ival ? "true" : "false";
    case ExprKind::Name: return e->type_args.empty() ? e->text : "(" + e->text + type_args(e->type_args) + ")";
    case ExprKind::Unary:
    case ExprKind::Binary: return "(" + e->text + spread(e->args) + ")";
    case ExprKind::If: return "(if" + spread(e->args) + ")";
    case ExprKind::Call: {
      std::string out = "(call" + type_args(e->type_args) + spread(e->args);
      for (const auto& [name, value] : e->named) out += " " + name + "=" + expr(value);
      return out + ")";
    }
    case ExprKind::Index: return "(index" + spread(e->args) + ")";
    case ExprKind::Field: return "(field" + spread(e->args) + " " + e->text + ")";
    case ExprKind::Reduce: return "(" + e->text + binders(e->binders) + spread(e->args) + ")";
    case ExprKind::List: return "(list" + spread(e->args) + ")";
    case ExprKind::Range: return "(range" + spread(e->args) + ")";
  }
  return "";
}

std::string type(const TypeExpr& t) {
  std::string out = "(" + std::string(t.paged ? "paged " : "") + "type " + (t.name.empty() ? "_" : t.name) + type_args(t.args);
  return out + (t.has_dims ? " [" + spread(t.dims).substr(1) + "]" : "") + ")";
}
std::string names(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& n : list) out += (out.empty() ? "" : " ") + n;
  return "(" + out + ")";
}

class Tree {
 public:
  std::string out;
  void line(int level, const std::string& text) { out += std::string(2 * level, ' ') + text + "\n"; }

  void statement(const Stmt& s, int level) {
    switch (s.kind) {
      case StmtKind::Let: return line(level, "let " + s.name + (s.params.empty() ? "" : " " + names(s.params)) + " " + expr(s.value));
      case StmtKind::Assign: return line(level, "assign " + s.name + " " + expr(s.value));
      case StmtKind::Define: return line(level, "define " + s.name + " " + names(s.params) + " " + expr(s.value));
      case StmtKind::Expr: return line(level, "do " + expr(s.value));
      case StmtKind::Return: return line(level, "return " + expr(s.value));
      case StmtKind::For: line(level, "for " + s.name + " " + expr(s.lo) + " " + expr(s.hi)); return statements(s.body, level + 1);
      case StmtKind::If:
        line(level, "if " + expr(s.value));
        statements(s.body, level + 1);
        if (!s.otherwise.empty()) line(level, "else");
        return statements(s.otherwise, level + 1);
    }
  }
  void statements(const std::vector<Stmt>& list, int level) {
    for (const Stmt& s : list) statement(s, level);
  }
  static std::string generics(const std::vector<GenericParam>& list) {
    std::string text;
    for (const GenericParam& g : list) text += " <" + g.name + " " + (g.kind.empty() ? "int" : g.kind) + ">";
    return text;
  }
  void table(const TableDecl& t, int level) {
    line(level, "table " + t.name + (t.type.empty() ? "" : " " + t.type) + " (list" + spread(t.values) + ")");
  }
  void function(const FnDecl& f, int level) {
    line(level, "fn " + f.name + generics(f.generics));
    for (const Param& p : f.params) line(level + 1, "param " + p.name + (p.type ? " " + type(*p.type) : ""));
    if (f.result) line(level + 1, "result " + type(*f.result));
    statements(f.body, level + 1);
  }
  void format(const FormatDecl& f) {
    line(0, "format " + f.name + generics(f.generics));
    if (f.gguf) line(1, "gguf " + expr(f.gguf));
    for (const FormatSource& s : f.sources) line(1, s.kind + " " + escape(s.text));
    line(1, f.planes ? "planes" : "block " + expr(f.block));
    for (const FormatField& x : f.fields) {
      line(2, "field " + x.name + " " + type(x.type) + (x.derive ? " derive " + names(x.derive_params) + " " + expr(x.derive) : "") +
                  (x.beside.empty() ? "" : " in " + escape(x.beside) + spread(x.shared)));
    }
    for (const TableDecl& t : f.tables) table(t, 1);
    statements(f.lets, 1);
    line(1, "value " + names(f.value_params) + " " + expr(f.value));
    if (!f.encode.empty()) line(1, "encode " + f.encode);
  }
  static std::string alternatives(const std::vector<Alternative>& list) {
    std::string text;
    for (const Alternative& a : list) text += " (" + (a.source.empty() ? "any" : a.source) + " " + expr(a.value) + ")";
    return text;
  }
  void binding(const std::string& what, const std::vector<Binder>& over, const Binding& b) {
    std::string text = what + binders(over) + " " + b.name + (b.type ? " " + type(*b.type) : "") + (b.optional ? " optional" : "");
    line(1, text + alternatives(b.alternatives));
  }
  void model(const ModelDecl& m) {
    line(0, "model " + m.name);
    if (!m.arch.empty()) line(1, "arch" + alternatives(m.arch));
    for (const Binding& b : m.config) binding("config", {}, b);
    for (const IndexedBinding& b : m.weights) binding("weight", b.over, b.binding);
    for (const IndexedBinding& b : m.state) binding("state", b.over, b.binding);
    for (const FnDecl& f : m.functions) function(f, 1);
    line(1, "forward");
    statements(m.forward, 2);
  }
};

}  // namespace

std::string print_tree(const File& file) {
  Tree t;
  for (const TableDecl& d : file.tables) t.table(d, 0);
  t.statements(file.lets, 0);
  for (const FormatDecl& d : file.formats) t.format(d);
  for (const FnDecl& d : file.functions) t.function(d, 0);
  for (const ModelDecl& d : file.models) t.model(d);
  return std::move(t.out);
}

}  // namespace lumen::syntax
