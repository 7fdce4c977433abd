// The tree as canonical source text: two spaces a level, one statement a line, parentheses only where the grammar needs them.
// Invariant: parse(print(t)) is t again (comments and spans apart).
#include <charconv>
#include <utility>

#include "compiler/syntax/parser.h"
#include "compiler/syntax/parser_impl.h"

namespace lumen::syntax {
namespace {

using namespace ast;

int power(const Expr& e) {
  switch (e.kind) {
    case ExprKind::If: return kLoose;
    case ExprKind::Range: return -1;
    case ExprKind::Unary: return e.text == "-" ? kMinus : kNot;
    case ExprKind::Binary: return power_of(e.text);
    default: return kPostfix;
  }
}

const Expr& leftmost(const Expr& e) {
  switch (e.kind) {
    case ExprKind::Binary:
    case ExprKind::Call:
    case ExprKind::Index:
    case ExprKind::Field:
    case ExprKind::Range: return leftmost(*e.args[0]);
    default: return e;
  }
}

class Printer {
 public:
  std::string take() { return std::move(out_); }

  void file(const File& f) {
    for (const TableDecl& t : f.tables) top(), table(t);
    if (!f.lets.empty()) top();
    for (const Stmt& s : f.lets) statement(s);
    for (const FormatDecl& d : f.formats) top(), format(d);
    for (const FnDecl& d : f.functions) top(), function(d);
    for (const ModelDecl& d : f.models) top(), model(d);
  }

 private:
  void top() {
    if (!out_.empty()) out_ += '\n';
  }
  void line(const std::string& text) { out_ += std::string(2 * level_, ' ') + text + '\n'; }
  void open(const std::string& text) { line(text), ++level_; }
  void close() { --level_, line("}"); }

  // Joins fn(item) over items with `between`.
  template <class Items, class Fn>
  static std::string join(const Items& items, const char* between, Fn fn) {
    std::string out;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += between;
      out += fn(item);
      first = false;
    }
    return out;
  }
  static std::string names(const std::vector<std::string>& list) {
    return join(list, ", ", [](const std::string& s) { return s; });
  }

  // Expressions. Inside a binding's alternatives a bare `|` would end the alternative.
  std::string expr(const ExprPtr& e, int least = kLoose) {
    bool bar = no_bit_or_ && e->kind == ExprKind::Binary && e->text == "|";
    if (power(*e) < least || bar) {
      bool keep = std::exchange(no_bit_or_, false);
      std::string text = "(" + bare(*e) + ")";
      no_bit_or_ = keep;
      return text;
    }
    return bare(*e);
  }
  // What stands between brackets.
  std::string list(const std::vector<ExprPtr>& items, size_t from) {
    bool keep = std::exchange(no_bit_or_, false);
    std::string out;
    for (size_t i = from; i < items.size(); ++i) out += (i > from ? ", " : "") + expr(items[i], -1);
    no_bit_or_ = keep;
    return out;
  }
  std::string type_args(const std::vector<ExprPtr>& args) {
    if (args.empty()) return "";
    return "<" + join(args, ", ", [this](const ExprPtr& a) {
             bool plain = a->kind == ExprKind::Name || a->kind == ExprKind::Int || a->kind == ExprKind::Float;
             bool keep = std::exchange(no_bit_or_, false);
             std::string text = plain ? bare(*a) : "(" + bare(*a) + ")";
             no_bit_or_ = keep;
             return text;
           }) + ">";
  }
  std::string binder(const Binder& b) { return b.name + (b.lo ? " in " + expr(b.lo) + ".." + expr(b.hi) : ""); }
  std::string binders(const std::vector<Binder>& list) {
    bool keep = std::exchange(no_bit_or_, false);
    std::string text = "[" + join(list, ", ", [this](const Binder& b) { return binder(b); }) + "]";
    no_bit_or_ = keep;
    return text;
  }
  static std::string number(const Expr& e) {
    if (!e.text.empty()) return e.text;
    if (e.kind == ExprKind::Int) return std::to_string(e.ival);
    char buffer[40];
    auto r = std::to_chars(buffer, buffer + sizeof buffer, e.fval);
    std::string text(buffer, r.ptr);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }

  std::string bare(const Expr& e) {
    switch (e.kind) {
      case ExprKind::Int:
      case ExprKind::Float: return number(e);
      case ExprKind::String: return escape(e.text);
      case ExprKind::Bool: return e.ival ? "true" : "false";
      case ExprKind::Name: return e.text + type_args(e.type_args);
      case ExprKind::Unary: return e.text == "-" ? "-" + expr(e.args[0], kMinus) : "not " + expr(e.args[0], kNot);
      case ExprKind::Binary: return binary(e);
      case ExprKind::If: return "if " + expr(e.args[0]) + " then " + expr(e.args[1]) + " else " + expr(e.args[2]);
      case ExprKind::Call: return call(e);
      case ExprKind::Index: return expr(e.args[0], kPostfix) + "[" + list(e.args, 1) + "]";
      case ExprKind::Field: return expr(e.args[0], kPostfix) + "." + e.text;
      case ExprKind::Reduce: return e.text + binders(e.binders) + "(" + list(e.args, 0) + ")";
      case ExprKind::List: return "[" + list(e.args, 0) + "]";
      case ExprKind::Range: return expr(e.args[0]) + ".." + expr(e.args[1]);
    }
    return "";
  }
  std::string binary(const Expr& e) {
    int p = power(e);
    int left = p == kPow ? kPostfix : p == kCompare ? kCompare + 1 : p;
    int right = p == kPow ? kMinus : p + 1;
    return expr(e.args[0], left) + " " + e.text + " " + expr(e.args[1], right);
  }
  std::string call(const Expr& e) {
    std::string out = expr(e.args[0], kPostfix) + type_args(e.type_args) + "(" + list(e.args, 1);
    bool keep = std::exchange(no_bit_or_, false);
    for (const auto& [name, value] : e.named) out += (out.back() == '(' ? "" : ", ") + name + " = " + expr(value, -1);
    no_bit_or_ = keep;
    return out + ")";
  }

  std::string type(const TypeExpr& t) {
    std::string out = (t.paged ? "paged " : "") + t.name + type_args(t.args);
    return t.has_dims ? out + "[" + list(t.dims, 0) + "]" : out;
  }
  std::string generics(const std::vector<GenericParam>& list) {
    if (list.empty()) return "";
    return "<" + join(list, ", ", [](const GenericParam& g) { return g.name + (g.kind.empty() ? "" : ": " + g.kind); }) + ">";
  }

  void statement(const Stmt& s) {
    switch (s.kind) {
      case StmtKind::Let: return line("let " + s.name + (s.params.empty() ? "" : "(" + names(s.params) + ")") + " = " + expr(s.value));
      case StmtKind::Assign: return line(s.name + " = " + expr(s.value));
      case StmtKind::Define: return line(s.name + "[" + names(s.params) + "] = " + expr(s.value));
      case StmtKind::Expr: return line(expr(s.value));
      case StmtKind::Return: return line("return " + expr(s.value));
      case StmtKind::For: return open("for " + s.name + " in " + expr(s.lo) + ".." + expr(s.hi) + " {"), body(s.body);
      case StmtKind::If: return branches(s);
    }
  }
  void statements(const std::vector<Stmt>& list) {
    for (const Stmt& s : list) statement(s);
  }
  void body(const std::vector<Stmt>& list) { statements(list), close(); }
  void branches(const Stmt& s) {
    open("if " + expr(s.value) + " {");
    const Stmt* at = &s;
    while (true) {
      statements(at->body);
      if (at->otherwise.empty()) break;
      --level_;
      bool chain = at->otherwise.size() == 1 && at->otherwise[0].kind == StmtKind::If;
      if (!chain) {
        open("} else {");
        statements(at->otherwise);
        break;
      }
      at = &at->otherwise[0];
      open("} else if " + expr(at->value) + " {");
    }
    close();
  }

  void function(const FnDecl& f) {
    std::string head = "fn " + f.name + generics(f.generics) + "(";
    head += join(f.params, ", ", [this](const Param& p) { return p.name + (p.type ? ": " + type(*p.type) : ""); }) + ")";
    if (f.result) head += " -> " + type(*f.result);
    open(head + " {");
    body(f.body);
  }
  void table(const TableDecl& t) {
    line("table " + t.name + (t.type.empty() ? "" : ": " + t.type) + " = [" + list(t.values, 0) + "]");
  }

  void format(const FormatDecl& f) {
    open("format " + f.name + generics(f.generics) + " {");
    if (f.gguf) line("gguf " + expr(f.gguf, kMinus));
    for (const FormatSource& s : f.sources) line(s.kind + " " + escape(s.text));
    open(f.planes ? "planes {" : "block [" + expr(f.block) + "] {");
    for (const FormatField& field : f.fields) {
      std::string text = field.name + ": " + type(field.type);
      if (field.derive) text += "(" + names(field.derive_params) + ") = " + expr(field.derive);
      if (!field.beside.empty()) text += " in " + escape(field.beside);
      if (!field.shared.empty()) text += "[" + list(field.shared, 0) + "]";
      line(text);
    }
    close();
    for (const TableDecl& t : f.tables) table(t);
    statements(f.lets);
    line("value(" + names(f.value_params) + ") = " + expr(f.value));
    if (!f.encode.empty()) line("encode " + f.encode);
    close();
  }

  std::string alternatives(const std::vector<Alternative>& list) {
    no_bit_or_ = true;
    std::string out = join(list, " | ", [this](const Alternative& a) {
      const Expr& first = leftmost(*a.value);
      if (a.source.empty() && first.kind == ExprKind::Name && is_source(first.text)) return "(" + bare(*a.value) + ")";
      return (a.source.empty() ? "" : a.source + " ") + expr(a.value);
    });
    no_bit_or_ = false;
    return out;
  }
  void binding(const Binding& b) {
    std::string out = b.name + (b.type ? ": " + type(*b.type) : "") + (b.optional ? " optional" : "");
    line(b.alternatives.empty() ? out : out + " = " + alternatives(b.alternatives));
  }
  // Neighbours under the same indices share one layer[…] { … }.
  void indexed(const char* section, const std::vector<IndexedBinding>& list) {
    if (list.empty()) return;
    open(std::string(section) + " {");
    std::string now;
    for (const IndexedBinding& b : list) {
      std::string over = b.over.empty() ? "" : binders(b.over);
      if (over != now) {
        if (!now.empty()) close();
        if (!over.empty()) open("layer" + over + " {");
        now = over;
      }
      binding(b.binding);
    }
    if (!now.empty()) close();
    close();
  }
  void model(const ModelDecl& m) {
    open("model " + m.name + " {");
    if (!m.arch.empty()) line("arch " + alternatives(m.arch));
    if (!m.config.empty()) {
      open("config {");
      for (const Binding& b : m.config) binding(b);
      close();
    }
    indexed("weights", m.weights);
    indexed("state", m.state);
    for (const FnDecl& f : m.functions) function(f);
    open("forward {");
    body(m.forward);
    close();
  }

  std::string out_;
  int level_ = 0;
  bool no_bit_or_ = false;
};

}  // namespace

std::string print(const File& file) {
  Printer p;
  p.file(file);
  return p.take();
}

}  // namespace lumen::syntax
