// The syntax tree of a template. Nodes live in the Tree (no recursion to destroy them); every node knows how deep it is.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/ops.h"
#include "chat/value.h"

namespace lumen::chat {

using NameId = uint32_t;  // index into Tree::names

enum class ExprKind : uint8_t {
  Const,
  Name,
  List,
  Tuple,
  Dict,
  GetAttr,
  GetItem,
  Slice,
  Call,
  Filter,
  Test,
  Not,
  Negate,
  Plus,
  Binary,
  And,
  Or,
  Compare,
  Concat,
  Conditional,   // args: then, condition, else (may be null)
  NamespaceRef,  // assignment target only: name.attribute
  Input,         // what a filter block or a block assignment puts in front of its filters
};

struct Expr {
  ExprKind kind = ExprKind::Const;
  uint32_t line = 0;
  uint32_t depth = 1;
  Op op = Op::Add;
  NameId name = 0;   // Name, NamespaceRef
  std::string text;  // attribute, filter, test name
  Value constant;
  std::vector<const Expr*> args;  // operands; Dict: key, value, key, value…; Slice: object, start, stop, step (null where absent)
  std::vector<Op> ops;            // Compare: ops[i] stands between args[i] and args[i + 1]
  std::vector<std::pair<std::string, const Expr*>> keywords;  // Call, Filter, Test
  const Expr* star = nullptr;                                 // f(*star)
  const Expr* star_star = nullptr;                            // f(**star_star)
};

enum class StmtKind : uint8_t { Data, Output, For, If, Set, SetBlock, Macro, CallBlock, FilterBlock, With, Scope, Break, Continue };

struct Stmt;
using Body = std::vector<const Stmt*>;

struct Stmt {
  StmtKind kind = StmtKind::Data;
  uint32_t line = 0;
  std::string text;                  // Data; a macro's name
  NameId name = 0;                   // Macro: the variable it is bound to
  std::vector<const Expr*> targets;  // For, Set, SetBlock: one target; With: one a value
  std::vector<const Expr*>
      exprs;                 // Output; For: iterable, filter or null; If: conditions; Set: value; filters: the chain; CallBlock: the call
  std::vector<Body> bodies;  // For: body, else; If: one a condition, and the else last; others: one
  std::vector<NameId> parameters;     // Macro, CallBlock
  std::vector<const Expr*> defaults;  // for the last parameters
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};

struct Tree {
  std::string name;  // of the template, for messages
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::vector<std::string> names;
  Body body;
};

}  // namespace lumen::chat
