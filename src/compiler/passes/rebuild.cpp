// Helpers of the passes.
#include "compiler/passes/rebuild.h"

#include <algorithm>

namespace lumen::passes {
using ir::Ek;
using ir::ExprPtr;

std::vector<int> use_counts(const ir::Function& f) {
  std::vector<int> n(f.values.size(), 0);
  for (const ir::Value& v : f.values)
    for (int o : v.operands) ++n[o];
  for (int r : f.results) ++n[r];
  return n;
}

static ExprPtr renumber(const ExprPtr& e, const std::vector<int>& to) {
  return ir::rewrite(e, [&](const ExprPtr& x) -> ExprPtr {
    if (x->kind == Ek::Load && to[x->operand] != x->operand) return ir::make_load(to[x->operand], x->type, x->args);
    if (x->kind == Ek::Dot) {
      if (to[x->operand] == x->operand && to[x->operand2] == x->operand2) return nullptr;
      size_t x_args = static_cast<size_t>(x->ival);
      return ir::make_dot(to[x->operand], {x->args.begin(), x->args.begin() + x_args}, to[x->operand2], {x->args.begin() + x_args, x->args.end()});
    }
    return nullptr;
  });
}

// Numbers of reduced indices: each fresh first (no capture), then by depth.
static ExprPtr by_depth(const ExprPtr& e, int number) {
  if (e->kind == Ek::Reduce) {
    std::vector<ExprPtr> args;
    for (size_t i = 0; i < e->args.size(); ++i) {
      bool outside = i < 2 || i == 4;
      ExprPtr a = outside ? e->args[i] : ir::substitute(e->args[i], static_cast<int>(e->ival), ir::make_index(number));
      args.push_back(by_depth(a, outside ? number : number + 1));
    }
    return ir::make_reduce(e->reduction, number, args);
  }
  bool changed = false;
  auto copy = std::make_shared<ir::Expr>(*e);
  for (ExprPtr& a : copy->args) {
    ExprPtr b = by_depth(a, number);
    changed |= b != a;
    a = b;
  }
  if (!changed) return e;
  switch (e->kind) {
    case Ek::Op: return ir::make_op(e->op, copy->args);
    case Ek::Cast: return ir::make_cast(copy->args[0], e->type);
    case Ek::Bitcast: return ir::make_bitcast(copy->args[0], e->type);
    case Ek::Load: return ir::make_load(e->operand, e->type, copy->args);
    case Ek::Table: return ir::make_table(e->table, e->type, copy->args[0]);
    case Ek::Dot:
      return ir::make_dot(e->operand, {copy->args.begin(), copy->args.begin() + e->ival}, e->operand2, {copy->args.begin() + e->ival, copy->args.end()});
    default: return e;
  }
}

ExprPtr canonical(const ExprPtr& e, int rank) {
  bool reduces = false;
  ir::visit(e, [&](const ir::Expr& x) { reduces |= x.kind == Ek::Reduce; });
  if (!reduces) return e;
  int fresh = 1 << 24;
  ExprPtr apart = ir::rewrite(e, [&](const ExprPtr& x) -> ExprPtr {
    if (x->kind != Ek::Reduce) return nullptr;
    int number = fresh++;
    std::vector<ExprPtr> args = x->args;
    for (size_t i = 2; i < args.size() && i < 4; ++i) args[i] = ir::substitute(args[i], static_cast<int>(x->ival), ir::make_index(number));
    return ir::make_reduce(x->reduction, number, args);
  });
  return by_depth(apart, rank);
}

std::vector<int> pattern(const std::vector<int>& operands) {
  std::vector<int> p;
  for (int o : operands) p.push_back(static_cast<int>(std::find(operands.begin(), operands.end(), o) - operands.begin()));
  return p;
}

std::vector<int64_t> signature(const ir::Function& f, const ir::Value& v) {
  std::vector<int64_t> s;
  for (int p : pattern(v.operands)) s.push_back(p);
  for (int o : v.operands) {
    const ir::Value& from = f.values[static_cast<size_t>(o)];
    s.insert(s.end(), {static_cast<int64_t>(from.role), static_cast<int64_t>(from.type.scalar), static_cast<int64_t>(reinterpret_cast<intptr_t>(from.type.format.get())),
                       from.type.rank()});
    for (const ir::Dim& d : from.type.dims) s.push_back(d.is_const() ? d.value : -1 - static_cast<int64_t>(std::hash<std::string>{}(d.symbol) >> 1));
  }
  return s;
}

ExprPtr Sharer::one_of_equals(const ExprPtr& body) {
  std::vector<ExprPtr>& same_hash = bodies_[body->hash];
  for (const ExprPtr& known : same_hash)
    if (known == body || ir::equal(known, body)) return known;
  same_hash.push_back(body);
  return body;
}

Bodies bodies(const ir::Value& v) {
  Bodies b = {v.body};
  b.insert(b.end(), v.dest.begin(), v.dest.end());
  return b;
}
void set_bodies(ir::Value& v, const Bodies& b) {
  v.body = b.front();
  v.dest.assign(b.begin() + 1, b.end());
}

void Sharer::operator()(ir::Value& v) {
  v.body = one_of_equals(v.body);
  for (ExprPtr& d : v.dest) d = one_of_equals(d);
}

void Tidier::operator()(ir::Value& v) {
  share_(v);
  auto [it, fresh] = known_.try_emplace({v.kind, bodies(v), pattern(v.operands), v.dims.size()});
  if (fresh) {
    ir::Value numbered = v;
    for (size_t i = 0; i < v.operands.size(); ++i) numbered.operands[i] = std::get<2>(it->first)[i];
    tidy_operands(numbered);
    it->second = {bodies(numbered), numbered.operands};
  }
  std::vector<int> operands;
  for (int i : it->second.second) operands.push_back(v.operands[static_cast<size_t>(i)]);
  v.operands = std::move(operands);
  set_bodies(v, it->second.first);
}

void tidy_operands(ir::Value& v) {
  std::vector<bool> read(v.operands.size(), false);
  auto mark = [&](const ir::Expr& e) {
    if (e.kind == Ek::Load || e.kind == Ek::Dot) read[e.operand] = true;
    if (e.kind == Ek::Dot) read[e.operand2] = true;
  };
  ir::visit(v.body, mark);
  for (const ExprPtr& d : v.dest) ir::visit(d, mark);
  if (v.kind == ir::ValueKind::Scatter) read[0] = true;
  std::vector<int> to(v.operands.size(), -1), kept;
  for (size_t i = 0; i < v.operands.size(); ++i) {
    if (!read[i]) continue;
    bool state = v.kind == ir::ValueKind::Scatter && i == 0;
    for (size_t j = 0; j < kept.size() && !state; ++j)
      if (kept[j] == v.operands[i] && !(v.kind == ir::ValueKind::Scatter && j == 0)) to[i] = static_cast<int>(j);
    if (to[i] < 0) {
      to[i] = static_cast<int>(kept.size());
      kept.push_back(v.operands[i]);
    }
  }
  v.operands = kept;
  v.body = canonical(renumber(v.body, to), static_cast<int>(v.dims.size()));
  for (ExprPtr& d : v.dest) d = renumber(d, to);
}

}  // namespace lumen::passes
