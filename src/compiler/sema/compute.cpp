// From finished scalar expressions to operations of the function: operands are numbered, index variables renumbered (output axes
// first, then reductions by how deep they stand), names made for people.
#include "compiler/sema/compute.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/assert.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/evaluator.h"

namespace lumen::sema {

using ir::Ek;
using ir::ExprPtr;

namespace {

constexpr size_t kMaxValues = 200'000;  // of one function: a thousand layers stay well below

struct Renumber {
  std::map<int, int> axes;                                         // variable -> output axis
  std::map<int, int> operands;                                     // value id -> operand number; empty: keep
  int first;                                                       // number of an outermost reduction's index
  std::map<int, int> bound;                                        // variable of a reduction around -> its number
  std::vector<std::unordered_map<const ir::Expr*, ExprPtr>> memo;  // by depth

  ExprPtr go(const ExprPtr& e, size_t depth) {
    if (memo.size() <= depth) memo.resize(depth + 1);
    if (auto it = memo[depth].find(e.get()); it != memo[depth].end()) return it->second;
    ExprPtr r = node(e, depth);
    memo[depth].emplace(e.get(), r);
    return r;
  }

  ExprPtr node(const ExprPtr& e, size_t depth) {
    if (e->kind == Ek::Index) {
      int n = static_cast<int>(e->ival);
      if (auto it = bound.find(n); it != bound.end()) return ir::make_index(it->second);
      auto it = axes.find(n);
      LUMEN_ASSERT(it != axes.end());
      return ir::make_index(it->second);
    }
    if (e->kind == Ek::Reduce) return reduce(e, depth);
    std::vector<ExprPtr> args;
    for (const ExprPtr& a : e->args) args.push_back(go(a, depth));
    switch (e->kind) {
      case Ek::Op:
        return ir::make_op(e->op, std::move(args));
      case Ek::Cast:
        return ir::make_cast(args[0], e->type);
      case Ek::Bitcast:
        return ir::make_bitcast(args[0], e->type);
      case Ek::Load:
        return ir::make_load(operands.empty() ? e->operand : operands.at(e->operand), e->type, std::move(args));
      case Ek::Field:
        return ir::make_field(static_cast<int>(e->ival), e->type, args[0]);
      case Ek::Table:
        return ir::make_table(e->table, e->type, args[0]);
      default:
        return e;
    }
  }

  ExprPtr reduce(const ExprPtr& e, size_t depth) {
    int number = first + static_cast<int>(depth), variable = static_cast<int>(e->ival);
    std::vector<ExprPtr> args;
    for (size_t i = 0; i < e->args.size(); ++i) {
      bool inside = i == 2 || i == 3;
      if (!inside) {
        args.push_back(go(e->args[i], depth));
        continue;
      }
      auto [it, fresh] = bound.emplace(variable, number);
      int outer = std::exchange(it->second, number);
      args.push_back(go(e->args[i], depth + 1));
      if (fresh)
        bound.erase(variable);
      else
        bound[variable] = outer;
    }
    return ir::make_reduce(e->reduction, number, std::move(args));
  }
};

// Tensors loaded by e, in the order a reader meets them.
void collect_operands(const ExprPtr& e, std::vector<int>& out) {
  ir::visit(e, [&](const ir::Expr& n) {
    if (n.kind == Ek::Load && std::find(out.begin(), out.end(), n.operand) == out.end()) out.push_back(n.operand);
  });
}

std::map<int, int> numbered(const std::vector<int>& ids) {
  std::map<int, int> out;
  for (size_t i = 0; i < ids.size(); ++i) out[ids[i]] = static_cast<int>(i);
  return out;
}

}  // namespace

ExprPtr renumber_variables(const ExprPtr& e, int first) {
  Renumber r;
  for (int i = 0; i < first; ++i) r.axes[i] = i;
  r.first = first;
  return r.go(e, 0);
}

void Evaluator::check_size(Span span) {
  if (fn_->values.size() > kMaxValues) fail(span, "this makes more than " + std::to_string(kMaxValues) + " operations");
}

// "linear" over wq[3] is "linear.wq[3]"; without a weight or state, the layer: "rope[3]".
std::string Evaluator::full_name(const std::string& base, const std::vector<int>& operands) const {
  for (int id : operands) {
    const ir::Value& v = fn_->values[static_cast<size_t>(id)];
    if (v.role == ir::Role::Weight) return base + "." + v.name;
  }
  std::string suffix;
  for (int64_t i : loops_) suffix += "[" + std::to_string(i) + "]";
  return base + suffix;
}

int Evaluator::emit_compute(ir::Type type, const std::vector<int>& variables, std::vector<std::string> axes, ExprPtr body,
                            const std::string& name) {
  Renumber r;
  for (size_t i = 0; i < variables.size(); ++i) r.axes[variables[i]] = static_cast<int>(i);
  std::vector<int> operands;
  collect_operands(body, operands);
  r.operands = numbered(operands);
  r.first = static_cast<int>(variables.size());
  ExprPtr finished = r.go(body, 0);
  std::string full = full_name(name, operands);
  base_names_[static_cast<int>(fn_->values.size())] = {name, loops_.size()};
  return ir::add_compute(*fn_, std::move(type), std::move(operands), std::move(axes), std::move(finished), std::move(full));
}

int Evaluator::emit_scatter(StateCell& state, std::vector<ir::Dim> dims, const std::vector<int>& variables, std::vector<std::string> axes,
                            std::vector<ExprPtr> dest, ExprPtr body, const std::string& name) {
  Renumber r;
  for (size_t i = 0; i < variables.size(); ++i) r.axes[variables[i]] = static_cast<int>(i);
  std::vector<int> operands = {state.id};
  for (const ExprPtr& d : dest) collect_operands(d, operands);
  collect_operands(body, operands);
  r.operands = numbered(operands);
  r.first = static_cast<int>(variables.size());
  for (ExprPtr& d : dest) d = r.go(d, 0);
  body = r.go(body, 0);
  state.id = ir::add_scatter(*fn_, std::move(dims), std::move(operands), std::move(axes), std::move(dest), std::move(body), name);
  return state.id;
}

Val Evaluator::tensor_val(int id) const {
  const ir::Value& v = fn_->values[static_cast<size_t>(id)];
  Val r;
  r.kind = Vk::Tensor;
  r.type = v.type;
  r.id = id;
  r.axes = v.axes;
  std::vector<ExprPtr> index;
  for (int d = 0; d < v.type.rank(); ++d) index.push_back(ir::make_index(d));
  r.expr = ir::make_load(id, v.type.format ? DType::F32 : v.type.scalar, std::move(index));
  return r;
}

int Evaluator::materialise(const Val& v, const std::string& name) {
  LUMEN_ASSERT(v.kind == Vk::Tensor);
  if (v.id >= 0) return v.id;
  std::vector<int> variables;
  for (int d = 0; d < v.type.rank(); ++d) variables.push_back(d);
  ExprPtr e = promote(v.expr);
  ir::Type type = v.type;
  type.format = nullptr;
  type.scalar = e->type;
  return emit_compute(std::move(type), variables, v.axes, e, name.empty() ? v.made_by : name);
}

// tokens, pos, seq: i32[T]; rows: i32[R]; table, the pages of each sequence: i32[S, B]. A parameter of that name serves as well.
int Evaluator::input(const std::string& name) {
  for (const ir::Value& v : fn_->values)
    if (v.kind == ir::ValueKind::Param && v.role == ir::Role::Input && v.name == name) return v.id;
  ir::Type type{DType::I32, nullptr, {ir::Dim("T")}};
  if (name == "rows") type.dims = {ir::Dim("R")};
  if (name == "table") type.dims = {ir::Dim("S"), ir::Dim("B")};
  return ir::add_param(*fn_, name, type, ir::Role::Input);
}

}  // namespace lumen::sema
