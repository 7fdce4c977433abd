// Transfer functions: masks and constant shifts keep bits apart, sums and products mix upwards, the rest mixes everything.
#include "compiler/formats/bits.h"

#include <algorithm>
#include <bit>

#include "compiler/formats/block_program.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using ir::Ek;
using ir::Op;

int width_of(DType t) { return t == DType::Bool ? 1 : 8 * size_of(t); }
bool is_zero(const NodeBits& n, int i) { return n.on(i).empty() && !(n.ones >> i & 1); }
bool is_one(const NodeBits& n, int i) { return n.on(i).empty() && (n.ones >> i & 1); }
bool is_constant(const NodeBits& n) { return n.all.empty(); }

void finish(NodeBits& n) {
  for (const BitList& d : n.deps)
    if (!d.empty()) n.all = unite(n.all, d);
}

NodeBits constant(uint64_t bits) {
  NodeBits n;
  n.ones = bits;
  return n;
}
NodeBits zeros(DType t) {  // to be filled bit by bit
  NodeBits n;
  n.deps.resize(static_cast<size_t>(width_of(t)));
  return n;
}

void copy_bit(NodeBits& to, int i, const NodeBits& from, int j) {
  to.deps[i] = from.on(j);
  if (is_one(from, j)) to.ones |= 1ull << i;
}

NodeBits shifted_left(const NodeBits& a, int64_t by, DType t) {
  NodeBits n = zeros(t);
  int w = width_of(t);
  for (int i = 0; i < w; ++i)
    if (by >= 0 && i - by >= 0) copy_bit(n, i, a, static_cast<int>(i - by));
  finish(n);
  return n;
}

NodeBits shifted_right(const NodeBits& a, int64_t by, DType t) {
  NodeBits n = zeros(t);
  int w = width_of(t);
  for (int i = 0; i < w; ++i) {
    int64_t from = by < 0 ? w : i + by;
    if (from < w)
      copy_bit(n, i, a, static_cast<int>(from));
    else if (is_signed(t))
      copy_bit(n, i, a, w - 1);
  }
  finish(n);
  return n;
}

NodeBits bitwise(Op op, const NodeBits& a, const NodeBits& b, DType t) {
  NodeBits n = zeros(t);
  for (int i = 0; i < width_of(t); ++i) {
    bool known = (op == Op::And && (is_zero(a, i) || is_zero(b, i))) || (op == Op::Or && (is_one(a, i) || is_one(b, i)));
    if (known) {
      if (op == Op::Or) n.ones |= 1ull << i;
      continue;
    }
    n.deps[i] = unite(a.on(i), b.on(i));
    if (!n.deps[i].empty()) continue;
    bool x = is_one(a, i), y = is_one(b, i);
    if (op == Op::And ? x && y : op == Op::Or ? x || y : x != y) n.ones |= 1ull << i;
  }
  finish(n);
  return n;
}

// Sums, differences and products: bit i depends on no bit above i of the arguments.
NodeBits carried(Op op, const NodeBits& a, const NodeBits& b, DType t) {
  NodeBits n = zeros(t);
  BitList so_far;
  uint64_t low = static_cast<uint64_t>(ir::int_op(op, DType::U64, static_cast<int64_t>(a.ones), static_cast<int64_t>(b.ones)));
  for (int i = 0; i < width_of(t); ++i) {
    so_far = unite(so_far, unite(a.on(i), b.on(i)));
    n.deps[i] = so_far;
    if (so_far.empty()) n.ones |= low & (1ull << i);
  }
  n.all = so_far;
  return n;
}

bool disjoint(const NodeBits& a, const NodeBits& b, DType t) {
  for (int i = 0; i < width_of(t); ++i)
    if (!is_zero(a, i) && !is_zero(b, i)) return false;
  return true;
}

// log2 of a positive power of two, or -1.
int log2_of(const ir::ExprPtr& e) {
  if (e->kind != Ek::Int || e->ival <= 0 || !std::has_single_bit(static_cast<uint64_t>(e->ival))) return -1;
  return std::countr_zero(static_cast<uint64_t>(e->ival));
}

}  // namespace

BitList unite(const BitList& a, const BitList& b) {
  if (a.empty()) return b;
  if (b.empty() || a == b) return a;
  BitList r;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(r));
  return r;
}

const NodeBits& BitAnalysis::of(const ir::ExprPtr& e) {
  auto it = memo_.find(e.get());
  if (it != memo_.end()) return it->second;
  NodeBits n = compute(e);
  keep_.push_back(e);
  return memo_.emplace(e.get(), std::move(n)).first->second;
}

NodeBits BitAnalysis::compute(const ir::ExprPtr& e) {
  switch (e->kind) {
    case Ek::Int:
      return constant(static_cast<uint64_t>(e->ival));
    case Ek::Float:
      return constant(ir::float_bits(static_cast<float>(e->fval), e->type));
    case Ek::Field:
      return field(*e);
    case Ek::Bitcast:
      return of(e->args[0]);
    case Ek::Cast: {
      DType from = e->args[0]->type;
      if (is_float(from) || is_float(e->type) || e->type == DType::Bool) return spread(*e);
      const NodeBits& a = of(e->args[0]);
      NodeBits n = zeros(e->type);
      int have = width_of(from);
      for (int i = 0; i < width_of(e->type); ++i) {
        if (i < have)
          copy_bit(n, i, a, i);
        else if (is_signed(from))
          copy_bit(n, i, a, have - 1);
      }
      finish(n);
      return n;
    }
    case Ek::Op:
      return operation(*e);
    default:
      return spread(*e);
  }
}

NodeBits BitAnalysis::field(const ir::Expr& e) {
  const ir::FormatField& f = f_.fields[static_cast<size_t>(e.ival)];
  int bytes = size_of(f.type);
  if (e.args[0]->kind == Ek::Int && e.args[0]->ival >= 0 && e.args[0]->ival < f.count) {
    NodeBits n = zeros(e.type);
    int first = 8 * (f.offset + static_cast<int>(e.args[0]->ival) * bytes);
    for (int i = 0; i < width_of(e.type); ++i) n.all.push_back(first + i);
    for (int i = 0; i < width_of(e.type); ++i) n.deps[i] = {first + i};
    return n;
  }
  NodeBits n;  // an index read from the data: any entry
  n.all = of(e.args[0]).all;
  for (int b = 8 * f.offset; b < 8 * (f.offset + f.count * bytes); ++b) n.all.push_back(b);
  std::sort(n.all.begin(), n.all.end());
  n.all.erase(std::unique(n.all.begin(), n.all.end()), n.all.end());
  return n;
}

NodeBits BitAnalysis::operation(const ir::Expr& e) {
  if (is_float(e.type) || ir::is_comparison(e.op)) return spread(e);
  if (e.op == Op::Not) {
    NodeBits n = of(e.args[0]);
    n.ones = ~n.ones;
    return n;
  }
  if (e.op == Op::Select) {
    const NodeBits &c = of(e.args[0]), &a = of(e.args[1]), &b = of(e.args[2]);
    NodeBits n = zeros(e.type);
    for (int i = 0; i < width_of(e.type); ++i) {
      if ((is_zero(a, i) && is_zero(b, i)) || (is_one(a, i) && is_one(b, i)))
        copy_bit(n, i, a, i);
      else
        n.deps[i] = unite(c.all, unite(a.on(i), b.on(i)));
    }
    finish(n);
    return n;
  }
  if (e.args.size() != 2) return spread(e);
  const NodeBits &a = of(e.args[0]), &b = of(e.args[1]);
  DType t = e.type;
  bool fixed = e.args[1]->kind == Ek::Int;
  int power = log2_of(e.args[1]);
  switch (e.op) {
    case Op::And:
    case Op::Or:
    case Op::Xor:
      return bitwise(e.op, a, b, t);
    case Op::Shl:
      return fixed ? shifted_left(a, e.args[1]->ival, t) : spread(e);
    case Op::Shr:
      return fixed ? shifted_right(a, e.args[1]->ival, t) : spread(e);
    case Op::Add:
      return disjoint(a, b, t) ? bitwise(Op::Or, a, b, t) : carried(e.op, a, b, t);
    case Op::Sub:
      return carried(e.op, a, b, t);
    case Op::Mul:
      return power >= 0 ? shifted_left(a, power, t) : carried(e.op, a, b, t);
    case Op::Div:
      return power >= 0 ? shifted_right(a, power, t) : spread(e);
    case Op::Mod:
      return power >= 0 ? bitwise(Op::And, a, constant(static_cast<uint64_t>(e.args[1]->ival) - 1), t) : spread(e);
    default:
      return spread(e);
  }
}

// Every bit depends on every bit of every argument.
NodeBits BitAnalysis::spread(const ir::Expr& e) {
  NodeBits n;
  for (const ir::ExprPtr& a : e.args) n.all = unite(n.all, of(a).all);
  if (!is_constant(n)) return n;
  // A constant that the makers do not fold, such as a number rounded to f16.
  BlockProgram p(f_, {std::make_shared<ir::Expr>(e)});
  if (!p.error().empty()) return n;
  std::vector<uint8_t> any(static_cast<size_t>(f_.block_bytes));  // it may read fields whose bits it then masks away
  p.run(any.data());
  n.ones = is_float(e.type) ? ir::float_bits(p.real(0), e.type) : static_cast<uint64_t>(p.integer(0));
  return n;
}

}  // namespace lumen::formats
