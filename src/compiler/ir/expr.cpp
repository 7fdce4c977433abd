// Makers of expression nodes with their structural hash. Folding stands in fold.cpp, walks in walk.cpp.
// Invariant: every node is made here, so every node carries its hash and satisfies the type rules of op_error.
#include "compiler/ir/expr.h"

#include <bit>
#include <cmath>

#include "base/assert.h"
#include "compiler/ir/fold.h"
#include "compiler/ir/scalar.h"

namespace lumen::ir {
namespace {

struct OpInfo {
  std::string_view name;
  int arity;
};
constexpr OpInfo kOps[] = {
#define X(id, text, n) {text, n},
    LUMEN_EXPR_OPS(X)
#undef X
};

uint64_t mix(uint64_t h, uint64_t v) {
  h ^= v + 0x9E3779B97F4A7C15ull + (h << 6) + (h >> 2);
  h ^= h >> 31;
  h *= 0x7FB5D329728EA185ull;
  return h ^ h >> 29;
}

uint64_t hash_of(const Expr& e) {
  uint64_t h = mix(static_cast<uint64_t>(e.kind),
                   static_cast<uint64_t>(e.type) << 32 | static_cast<uint64_t>(e.op) << 8 | static_cast<uint64_t>(e.reduction));
  h = mix(h, static_cast<uint64_t>(e.operand) << 32 ^ static_cast<uint64_t>(e.operand2));
  h = mix(h, static_cast<uint64_t>(e.ival));
  h = mix(h, std::bit_cast<uint64_t>(e.fval));
  h = mix(h, std::hash<std::string>()(e.symbol));
  for (const ExprPtr& a : e.args) h = mix(h, a->hash);
  if (e.table)
    for (double v : *e.table) h = mix(h, std::bit_cast<uint64_t>(v));
  return h;
}

ExprPtr finish(Expr e) {
  for (const ExprPtr& a : e.args) LUMEN_ASSERT(a != nullptr);
  e.hash = hash_of(e);
  return std::make_shared<const Expr>(std::move(e));
}

}  // namespace

std::string_view name(Op op) { return kOps[static_cast<int>(op)].name; }
int arity(Op op) { return kOps[static_cast<int>(op)].arity; }
std::string_view name(Reduction r) {
  constexpr std::string_view names[] = {"sum", "max", "min", "softmax_sum"};
  return names[static_cast<int>(r)];
}

std::string op_error(Op op, const std::vector<DType>& types) {
  std::string n(name(op));
  if (static_cast<int>(types.size()) != arity(op)) return n + " takes " + std::to_string(arity(op)) + " arguments";
  for (DType t : types)
    if (t == DType::F64) return n + ": there is no f64 arithmetic";
  DType t = types[0];
  auto both_equal = [&] { return types.size() < 2 || types[1] == t; };
  switch (op) {
    case Op::Select:
      if (t != DType::Bool) return "select needs a bool condition, not " + std::string(name(t));
      if (types[1] != types[2])
        return "select needs equal types, not " + std::string(name(types[1])) + " and " + std::string(name(types[2]));
      return "";
    case Op::Shl:
    case Op::Shr:
      return is_integer(t) && is_integer(types[1]) ? "" : n + " needs integers";
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::Not:
      if (is_float(t)) return n + " needs integers or bool";
      break;
    case Op::Pow:
    case Op::Sqrt:
    case Op::Rsqrt:
    case Op::Exp:
    case Op::Log:
    case Op::Sin:
    case Op::Cos:
    case Op::Tanh:
    case Op::Erf:
    case Op::Floor:
    case Op::Round:
      if (!is_float(t)) return n + " needs floats, not " + std::string(name(t));
      break;
    case Op::Eq:
    case Op::Ne:
      break;
    default:
      if (t == DType::Bool) return n + " does not take bool";
  }
  return both_equal() ? "" : n + " needs equal types, not " + std::string(name(t)) + " and " + std::string(name(types[1]));
}

ExprPtr make_int(int64_t v, DType t) {
  LUMEN_ASSERT(!is_float(t));
  Expr e;
  e.kind = Ek::Int;
  e.type = t;
  e.ival = wrap(v, t);
  return finish(std::move(e));
}

ExprPtr make_float(double v) {
  Expr e;
  e.kind = Ek::Float;
  e.type = DType::F32;
  e.fval = std::isnan(v) ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(static_cast<float>(v));
  return finish(std::move(e));
}

ExprPtr make_index(int number) {
  LUMEN_ASSERT(number >= 0);
  Expr e;
  e.kind = Ek::Index;
  e.ival = number;
  return finish(std::move(e));
}

ExprPtr make_extent(std::string symbol) {
  Expr e;
  e.kind = Ek::Extent;
  e.symbol = std::move(symbol);
  return finish(std::move(e));
}

ExprPtr make_op(Op op, std::vector<ExprPtr> args) {
  std::vector<DType> types;
  for (const ExprPtr& a : args) types.push_back(a->type);
  std::string error = op_error(op, types);
  if (!error.empty()) std::fprintf(stderr, "lumen: %s\n", error.c_str());
  LUMEN_ASSERT(error.empty());
  if (ExprPtr folded = fold_op(op, args)) return folded;
  Expr e;
  e.kind = Ek::Op;
  e.op = op;
  e.type = is_comparison(op) ? DType::Bool : op == Op::Select ? args[1]->type : args[0]->type;
  e.args = std::move(args);
  return finish(std::move(e));
}

ExprPtr make_cast(ExprPtr a, DType t) {
  LUMEN_ASSERT(t != DType::F64 && a->type != DType::F64);
  if (ExprPtr folded = fold_cast(a, t)) return folded;
  Expr e;
  e.kind = Ek::Cast;
  e.type = t;
  e.args = {std::move(a)};
  return finish(std::move(e));
}

ExprPtr make_bitcast(ExprPtr a, DType t) {
  LUMEN_ASSERT(size_of(a->type) == size_of(t) && a->type != DType::Bool && t != DType::Bool && t != DType::F64 && a->type != DType::F64);
  if (ExprPtr folded = fold_bitcast(a, t)) return folded;
  Expr e;
  e.kind = Ek::Bitcast;
  e.type = t;
  e.args = {std::move(a)};
  return finish(std::move(e));
}

ExprPtr make_load(int operand, DType t, std::vector<ExprPtr> indices) {
  for (const ExprPtr& i : indices) LUMEN_ASSERT(is_integer(i->type));
  Expr e;
  e.kind = Ek::Load;
  e.type = t;
  e.operand = operand;
  e.args = std::move(indices);
  return finish(std::move(e));
}

ExprPtr make_field(int field, DType t, ExprPtr index) {
  LUMEN_ASSERT(is_integer(index->type));
  Expr e;
  e.kind = Ek::Field;
  e.type = t;
  e.ival = field;
  e.args = {std::move(index)};
  return finish(std::move(e));
}

ExprPtr make_table(std::shared_ptr<const std::vector<double>> table, DType t, ExprPtr index) {
  LUMEN_ASSERT(table && is_integer(index->type));
  if (index->kind == Ek::Int && index->ival >= 0 && index->ival < static_cast<int64_t>(table->size())) {
    double v = (*table)[static_cast<size_t>(index->ival)];
    if (!is_float(t)) return make_int(static_cast<int64_t>(v), t);
    if (t == DType::F32) return make_float(v);
  }
  Expr e;
  e.kind = Ek::Table;
  e.type = t;
  e.table = std::move(table);
  e.args = {std::move(index)};
  return finish(std::move(e));
}

ExprPtr make_reduce(Reduction r, int index, std::vector<ExprPtr> args) {
  bool softmax = r == Reduction::SoftmaxSum;
  LUMEN_ASSERT(softmax ? args.size() == 4 || args.size() == 5 : args.size() == 3);
  LUMEN_ASSERT(is_integer(args[0]->type) && args[0]->type == args[1]->type && args[2]->type != DType::Bool);
  for (size_t i = 2; softmax && i < args.size(); ++i) LUMEN_ASSERT(args[i]->type == DType::F32);
  Expr e;
  e.kind = Ek::Reduce;
  e.type = args[2]->type;
  e.reduction = r;
  e.ival = index;
  e.args = std::move(args);
  return finish(std::move(e));
}

ExprPtr make_dot(int x, std::vector<ExprPtr> x_row, int w, std::vector<ExprPtr> w_row) {
  Expr e;
  e.kind = Ek::Dot;
  e.type = DType::F32;
  e.operand = x;
  e.operand2 = w;
  e.ival = static_cast<int64_t>(x_row.size());
  e.args = std::move(x_row);
  for (ExprPtr& a : w_row) e.args.push_back(std::move(a));
  for (const ExprPtr& a : e.args) LUMEN_ASSERT(is_integer(a->type));
  return finish(std::move(e));
}

}  // namespace lumen::ir
