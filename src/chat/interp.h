// Interp: runs a Tree over a context, writing text. One Interp is one rendering.
// Invariants: errors are sticky in the Budget (nothing throws); macros and namespaces can point at one another, so the Interp
// owns them all and takes them apart when it goes; no Value made by it may outlive it, except plain data.
#pragma once
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/ast.h"
#include "chat/budget.h"
#include "chat/ops.h"
#include "chat/value.h"

namespace lumen::chat {

class Interp;

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

// Parameters by position or name; one that was not given is null. `ok` is false after too many, unknown or missing arguments.
class Bound {
 public:
  Bound(Interp& in, std::string_view what, const Args& args, std::initializer_list<std::string_view> names, size_t required = 0);
  bool ok() const { return ok_; }
  const Value* operator[](size_t i) const { return values_[i]; }
  bool flag(size_t i, bool otherwise) const { return values_[i] ? truthy(*values_[i]) : otherwise; }
  int64_t integer(size_t i, int64_t otherwise);              // fails on another type
  std::string text(size_t i, const std::string& otherwise);  // str() of it

 private:
  Interp& in_;
  std::string_view what_;
  std::vector<const Value*> values_;
  bool ok_ = true;
};

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<NameId, Value>> variables;
};

struct Namespace : Object {
  Namespace() : Object(ObjectKind::Namespace) {}
  Dict attributes;
};
struct Macro : Object {
  Macro(const Stmt* s, std::shared_ptr<Scope> home) : Object(ObjectKind::Macro), statement(s), scope(std::move(home)) {}
  const Stmt* statement;
  std::shared_ptr<Scope> scope;  // where it was defined
};
enum class Global : uint8_t { RaiseException, StrftimeNow, Range, Namespace, Dict, Cycler, Joiner };
struct Function : Object {
  explicit Function(Global g) : Object(ObjectKind::Function), global(g) {}
  Global global;
};
struct Method : Object {
  Method(Value v, std::string n) : Object(ObjectKind::Method), self(std::move(v)), name(std::move(n)) { depth = self.depth() + 1; }
  Value self;
  std::string name;
};
struct Loop : Object {
  explicit Loop(Value::ListPtr list) : Object(ObjectKind::Loop), items(std::move(list)) { depth = items->depth + 1; }
  Value::ListPtr items;
  size_t index = 0, level = 0;
  Value changed;  // the last argument tuple of loop.changed()
  bool has_changed = false;
};
struct Cycler : Object {
  explicit Cycler(std::vector<Value> v) : Object(ObjectKind::Cycler), items(std::move(v)) {}
  std::vector<Value> items;
  size_t at = 0;
};
struct Joiner : Object {
  explicit Joiner(std::string s) : Object(ObjectKind::Joiner), separator(std::move(s)) {}
  std::string separator;
  bool used = false;
};

class Interp {
 public:
  Interp(const Tree& tree, const Value& context, const Limits& limits, std::optional<std::tm> now);
  ~Interp();
  Interp(const Interp&) = delete;
  std::string run();  // meaningful when budget.ok()

  Budget budget;
  const Tree& tree() const { return tree_; }
  Value fail(std::string message);
  void note_changed(std::shared_ptr<Object> loop) { changed_loops_.push_back(std::move(loop)); }
  bool ok() const { return budget.ok(); }

  // access.cpp
  Value get_attribute(const Value& object, const std::string& name);                               // object.name
  Value get_item(const Value& object, const Value& key);                                           // object[key]
  Value get_slice(const Value& object, const Value& start, const Value& stop, const Value& step);  // none: absent
  Value call(const Value& callee, const Args& args);
  // methods.cpp: of str, dict, list, loop, cycler
  static bool has_method(const Value& object, std::string_view name);
  Value call_method(const Value& self, const std::string& name, const Args& args);
  // filters.cpp, checks.cpp
  Value apply_filter(const std::string& name, const Value& input, const Args& args);
  bool apply_test(const std::string& name, const Value& input, const Args& args);

 private:
  enum class Flow : uint8_t { Normal, Break, Continue };

  // interp.cpp: statements
  Flow execute(const Body& body);
  Flow execute(const Stmt& s);
  Flow execute_for(const Stmt& s);
  Value::ListPtr filtered(const Stmt& s, Value::ListPtr items);
  Flow execute_if(const Stmt& s);
  void execute_call_block(const Stmt& s);
  Flow execute_with(const Stmt& s);
  void write(std::string_view text);
  void print(const Value& v);
  template <class Run>
  std::string capture(const Run& run);
  void assign(const Expr& target, const Value& value);
  void set_variable(NameId name, Value value);
  Value variable(NameId name);
  void push_scope(std::shared_ptr<Scope> parent);
  Value make_macro(const Stmt& s);
  Value call_macro(const Macro& macro, const Args& args);
  bool bind_macro(const Macro& macro, const Args& args, Scope& scope);

  // interp_expr.cpp
  Value eval(const Expr& e);
  Value eval_container(const Expr& e);
  Value eval_compare(const Expr& e);
  Value eval_concat(const Expr& e);
  Value eval_call(const Expr& e);
  Args eval_args(const Expr& e, size_t first);

  // access.cpp
  Value call_global(Global g, const Args& args);
  Value new_namespace(const Args& args);
  Value dict_from(const char* what, const Args& args);
  Value strftime_now(const std::string& format);
  Value loop_attribute(const Loop& loop, const std::string& name);

  const Tree& tree_;
  const Value& context_;
  std::optional<std::tm> now_;
  std::string* out_ = nullptr;
  std::shared_ptr<Scope> scope_;
  std::vector<std::optional<Value>> globals_;  // by NameId: the context's entries and the built-in functions
  Value filter_input_;
  std::optional<NameId> loop_name_, caller_name_, kwargs_name_, varargs_name_;  // where the template uses these names
  std::vector<std::shared_ptr<Scope>> captured_;                                // by macros
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Object>> changed_loops_;  // whose loop.changed() was called: they hold arbitrary values
};

}  // namespace lumen::chat
