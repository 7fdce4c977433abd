// Walks over expression DAGs: equality, rewriting, visiting, substitution. Each distinct node is handled once.
#include <algorithm>
#include <bit>
#include <unordered_map>
#include <unordered_set>

#include "base/assert.h"
#include "compiler/ir/expr.h"

namespace lumen::ir {
namespace {

bool same_head(const Expr& a, const Expr& b) {
  if (a.hash != b.hash || a.kind != b.kind || a.type != b.type || a.op != b.op || a.reduction != b.reduction || a.operand != b.operand ||
      a.operand2 != b.operand2 || a.ival != b.ival || std::bit_cast<uint64_t>(a.fval) != std::bit_cast<uint64_t>(b.fval) ||
      a.symbol != b.symbol || a.args.size() != b.args.size() || !a.table != !b.table)
    return false;
  if (!a.table || a.table == b.table) return true;
  return std::equal(a.table->begin(), a.table->end(), b.table->begin(), b.table->end(),
                    [](double x, double y) { return std::bit_cast<uint64_t>(x) == std::bit_cast<uint64_t>(y); });
}

struct PairHash {
  size_t operator()(const std::pair<const Expr*, const Expr*>& p) const {
    return std::hash<const void*>()(p.first) * 31 + std::hash<const void*>()(p.second);
  }
};
using Proven = std::unordered_set<std::pair<const Expr*, const Expr*>, PairHash>;

bool equal_nodes(const Expr* a, const Expr* b, Proven& proven) {
  if (a == b) return true;
  if (!same_head(*a, *b)) return false;
  if (a->args.empty()) return true;
  if (proven.count({a, b})) return true;
  for (size_t i = 0; i < a->args.size(); ++i)
    if (!equal_nodes(a->args[i].get(), b->args[i].get(), proven)) return false;
  proven.insert({a, b});
  return true;
}

ExprPtr rebuild(const Expr& e, std::vector<ExprPtr> args) {
  switch (e.kind) {
    case Ek::Op:
      return make_op(e.op, std::move(args));
    case Ek::Cast:
      return make_cast(std::move(args[0]), e.type);
    case Ek::Bitcast:
      return make_bitcast(std::move(args[0]), e.type);
    case Ek::Load:
      return make_load(e.operand, e.type, std::move(args));
    case Ek::Field:
      return make_field(static_cast<int>(e.ival), e.type, std::move(args[0]));
    case Ek::Table:
      return make_table(e.table, e.type, std::move(args[0]));
    case Ek::Reduce:
      return make_reduce(e.reduction, static_cast<int>(e.ival), std::move(args));
    case Ek::Dot: {
      std::vector<ExprPtr> x(args.begin(), args.begin() + e.ival), w(args.begin() + e.ival, args.end());
      return make_dot(e.operand, std::move(x), e.operand2, std::move(w));
    }
    default:
      LUMEN_ASSERT(!"leaves have no arguments");
      return nullptr;
  }
}

using Memo = std::unordered_map<const Expr*, ExprPtr>;

// Rebuilds e with `arg` applied to its arguments; e itself where nothing changed.
template <class F>
ExprPtr map_args(const ExprPtr& e, const F& arg) {
  std::vector<ExprPtr> args;
  bool changed = false;
  for (size_t i = 0; i < e->args.size(); ++i) {
    args.push_back(arg(e->args[i], i));
    changed |= args.back() != e->args[i];
  }
  return changed ? rebuild(*e, std::move(args)) : e;
}

ExprPtr rewrite_node(const ExprPtr& e, const std::function<ExprPtr(const ExprPtr&)>& f, Memo& memo) {
  auto it = memo.find(e.get());
  if (it != memo.end()) return it->second;
  ExprPtr r = map_args(e, [&](const ExprPtr& a, size_t) { return rewrite_node(a, f, memo); });
  if (ExprPtr replaced = f(r)) r = std::move(replaced);
  memo.emplace(e.get(), r);
  return r;
}

void visit_node(const Expr& e, const std::function<void(const Expr&)>& f, std::unordered_set<const Expr*>& seen) {
  if (!seen.insert(&e).second) return;
  for (const ExprPtr& a : e.args) visit_node(*a, f, seen);
  f(e);
}

bool binds(const Expr& e, int index) { return e.kind == Ek::Reduce && e.ival == index; }
bool in_binding(size_t arg) { return arg == 2 || arg == 3; }  // bounds and the sink stand outside the reduction's scope

ExprPtr substitute_node(const ExprPtr& e, int index, const ExprPtr& by, Memo& memo) {
  if (e->kind == Ek::Index) return e->ival == index ? by : e;
  auto it = memo.find(e.get());
  if (it != memo.end()) return it->second;
  ExprPtr r =
      map_args(e, [&](const ExprPtr& a, size_t i) { return binds(*e, index) && in_binding(i) ? a : substitute_node(a, index, by, memo); });
  memo.emplace(e.get(), r);
  return r;
}

bool uses_node(const Expr& e, int index, std::unordered_set<const Expr*>& seen) {
  if (e.kind == Ek::Index) return e.ival == index;
  if (!seen.insert(&e).second) return false;
  for (size_t i = 0; i < e.args.size(); ++i)
    if (!(binds(e, index) && in_binding(i)) && uses_node(*e.args[i], index, seen)) return true;
  return false;
}

}  // namespace

bool equal(const ExprPtr& a, const ExprPtr& b) {
  if (!a || !b) return a == b;
  Proven proven;
  return equal_nodes(a.get(), b.get(), proven);
}

ExprPtr rewrite(const ExprPtr& e, const std::function<ExprPtr(const ExprPtr&)>& f) {
  Memo memo;
  return rewrite_node(e, f, memo);
}

void visit(const ExprPtr& e, const std::function<void(const Expr&)>& f) {
  std::unordered_set<const Expr*> seen;
  visit_node(*e, f, seen);
}

ExprPtr substitute(const ExprPtr& e, int index, const ExprPtr& by) {
  Memo memo;
  return substitute_node(e, index, by, memo);
}

bool uses_index(const ExprPtr& e, int index) {
  std::unordered_set<const Expr*> seen;
  return uses_node(*e, index, seen);
}

int first_free_index(const ExprPtr& e, int at_least) {
  visit(e, [&](const Expr& n) {
    if (n.kind == Ek::Index || n.kind == Ek::Reduce) at_least = std::max(at_least, static_cast<int>(n.ival) + 1);
  });
  return at_least;
}

ExprPtr rename_bound(const ExprPtr& e, int& next) {
  Memo memo;
  std::function<ExprPtr(const ExprPtr&)> go = [&](const ExprPtr& n) -> ExprPtr {
    auto it = memo.find(n.get());
    if (it != memo.end()) return it->second;
    ExprPtr r = map_args(n, [&](const ExprPtr& a, size_t) { return go(a); });
    if (r->kind == Ek::Reduce) {
      int old = static_cast<int>(r->ival), fresh = next++;
      std::vector<ExprPtr> args = r->args;
      for (size_t i = 2; i < args.size() && i < 4; ++i) args[i] = substitute(args[i], old, make_index(fresh));
      r = make_reduce(r->reduction, fresh, std::move(args));
    }
    memo.emplace(n.get(), r);
    return r;
  };
  return go(e);
}

}  // namespace lumen::ir
