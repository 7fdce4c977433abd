// Sums split into terms, products multiply out, integers are taken as real numbers wherever an interval proves that they do not wrap.
#include "compiler/formats/terms.h"

#include <algorithm>
#include <cmath>

#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using ir::Ek;
using ir::ExprPtr;
using ir::Op;

constexpr size_t kIntervalBits = 10;  // enumerated for exact intervals; above that, interval arithmetic

bool is_constant(const ExprPtr& e) { return e->kind == Ek::Int || e->kind == Ek::Float; }
double constant_of(const ExprPtr& e) {
  if (e->kind == Ek::Float) return e->fval;
  return e->type == DType::U64 ? static_cast<double>(static_cast<uint64_t>(e->ival)) : static_cast<double>(e->ival);
}

Interval of_type(DType t) {
  if (is_float(t)) return {};
  int bits = t == DType::Bool ? 1 : 8 * size_of(t);
  if (is_signed(t)) return {-std::ldexp(1.0, bits - 1), std::ldexp(1.0, bits - 1) - 1, true};
  return {0, std::ldexp(1.0, bits) - 1, true};
}
bool inside(const Interval& a, const Interval& b) { return a.known && b.known && a.lo >= b.lo && a.hi <= b.hi; }

// Value of the operation on real numbers, from its arguments' intervals.
Interval real_interval(Op op, const Interval& a, const Interval& b) {
  if (!a.known || !b.known) return {};
  switch (op) {
    case Op::Add:
      return {a.lo + b.lo, a.hi + b.hi, true};
    case Op::Sub:
      return {a.lo - b.hi, a.hi - b.lo, true};
    case Op::Mul: {
      auto [lo, hi] = std::minmax({a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi});
      return {lo, hi, true};
    }
    default:
      return {};
  }
}

}  // namespace

void sort_levels(std::vector<ExprPtr>& levels) {
  std::sort(levels.begin(), levels.end(), [](const ExprPtr& a, const ExprPtr& b) { return a->hash != b->hash ? a->hash < b->hash : a < b; });
}

ExprPtr to_f32(ExprPtr e) { return e->type == DType::F32 ? e : ir::make_cast(std::move(e), DType::F32); }

std::vector<Term> TermMaker::fail(const std::string& why) {
  if (error_.empty()) error_ = why;
  return {};
}

Interval TermMaker::interval(const ExprPtr& e) {
  auto it = intervals_.find(e.get());
  if (it != intervals_.end()) return it->second;
  return intervals_[e.get()] = compute_interval(e);
}

Interval TermMaker::compute_interval(const ExprPtr& e) {
  if (is_constant(e)) return {constant_of(e), constant_of(e), true};
  const BitList& support = bits_.support(e);
  if (support.size() <= kIntervalBits) {
    Values v;
    std::string why;
    if (!enumerate_values(f_, {e}, support, v, why)) return of_type(e->type);
    auto [lo, hi] = std::minmax_element(v.of[0].begin(), v.of[0].end());
    return {*lo, *hi, std::isfinite(*lo) && std::isfinite(*hi)};
  }
  Interval whole = of_type(e->type);
  if (e->kind == Ek::Cast && !is_float(e->args[0]->type)) {
    Interval a = interval(e->args[0]);
    return is_float(e->type) || inside(a, whole) ? a : whole;
  }
  if (e->kind == Ek::Cast && e->type == DType::F32) return interval(e->args[0]);
  if (e->kind != Ek::Op) return whole;
  if (e->op == Op::Select) {
    Interval a = interval(e->args[1]), b = interval(e->args[2]);
    return a.known && b.known ? Interval{std::min(a.lo, b.lo), std::max(a.hi, b.hi), true} : whole;
  }
  if (e->op == Op::Neg) {
    Interval a = interval(e->args[0]), r{-a.hi, -a.lo, a.known};
    return is_float(e->type) || inside(r, whole) ? r : whole;
  }
  if (e->args.size() != 2) return whole;
  Interval r = real_interval(e->op, interval(e->args[0]), interval(e->args[1]));
  if (is_float(e->type) || inside(r, whole)) return r;
  return whole;
}

bool TermMaker::exact(const ExprPtr& e) {
  if (is_float(e->type)) return e->type == DType::F32;
  Interval whole = of_type(e->type), r;
  if (e->op == Op::Neg) {
    Interval a = interval(e->args[0]);
    r = {-a.hi, -a.lo, a.known};
  } else if (e->op == Op::Shl) {
    if (e->args[1]->kind != Ek::Int || e->args[1]->ival < 0 || e->args[1]->ival > 62) return false;
    double by = std::ldexp(1.0, static_cast<int>(e->args[1]->ival));
    Interval a = interval(e->args[0]);
    r = {a.lo * by, a.hi * by, a.known};
  } else {
    r = real_interval(e->op, interval(e->args[0]), interval(e->args[1]));
  }
  return inside(r, whole);
}

// Takes a product of levels apart into factors.
void TermMaker::levels_of(const ExprPtr& e, Term& t) {
  if (is_constant(e)) {
    t.factor *= constant_of(e);
    return;
  }
  if (e->kind == Ek::Cast && (e->type == DType::F32 || !is_float(e->type)) && !is_float(e->args[0]->type)) {
    Interval a = interval(e->args[0]);
    bool widening = e->type == DType::F32 ? a.known && a.hi < 1 << 24 && a.lo > -(1 << 24) : inside(a, of_type(e->type));
    if (widening) return levels_of(e->args[0], t);
  }
  if (e->kind == Ek::Op && e->op == Op::Mul && exact(e)) {
    levels_of(e->args[0], t);
    return levels_of(e->args[1], t);
  }
  if (e->kind == Ek::Op && e->op == Op::Neg && exact(e)) {
    t.factor = -t.factor;
    return levels_of(e->args[0], t);
  }
  if (e->kind == Ek::Op && e->op == Op::Div && e->type == DType::F32 && is_constant(e->args[1]) && constant_of(e->args[1]) != 0) {
    t.factor /= constant_of(e->args[1]);
    return levels_of(e->args[0], t);
  }
  t.levels.push_back(e);
}

std::vector<Term> TermMaker::product(const std::vector<Term>& a, const std::vector<Term>& b) {
  std::vector<Term> r;
  for (const Term& x : a)
    for (const Term& y : b) {
      Term t = x;
      t.factor *= y.factor;
      t.levels.insert(t.levels.end(), y.levels.begin(), y.levels.end());
      if (t.code && y.code)
        t.code = intern_(ir::make_op(Op::Mul, {to_f32(t.code), to_f32(y.code)}));
      else if (y.code)
        t.code = y.code;
      r.push_back(std::move(t));
    }
  return r;
}

// select(c, L * a, L * b) is L * select(c, a, b); with c of level bits, select(c, L, M) * a.
std::vector<Term> TermMaker::select(const ExprPtr& e) {
  std::vector<Term> a = split(e->args[1]), b = split(e->args[2]);
  merge(a);
  merge(b);
  if (a.size() != 1 || b.size() != 1) return fail("a condition chooses between sums");
  Term t;
  auto code = [&](const Term& x) {
    ExprPtr c = x.code ? to_f32(x.code) : ir::make_float(1);
    return x.factor == 1 ? c : ir::make_op(Op::Mul, {c, ir::make_float(x.factor)});
  };
  if (a[0].levels == b[0].levels && map_.codes_only(bits_.support(e->args[0]))) {
    t.levels = a[0].levels;
    t.code = intern_(ir::make_op(Op::Select, {e->args[0], code(a[0]), code(b[0])}));
    return {t};
  }
  bool same_code = a[0].code == b[0].code || (a[0].code && b[0].code && ir::equal(a[0].code, b[0].code));
  if (!same_code || !map_.levels_only(bits_.support(e->args[0]))) return fail("a condition mixes a scale and a code");
  auto level = [&](const Term& x) {
    ExprPtr l = ir::make_float(x.factor);
    for (const ExprPtr& f : x.levels) l = ir::make_op(Op::Mul, {l, to_f32(f)});
    return l;
  };
  t.levels = {intern_(ir::make_op(Op::Select, {e->args[0], level(a[0]), level(b[0])}))};
  t.code = a[0].code;
  return {t};
}

std::vector<Term> TermMaker::split(const ExprPtr& e) {
  const BitList& support = bits_.support(e);
  if (map_.levels_only(support)) {
    Term t;
    levels_of(e, t);
    return {t};
  }
  if (map_.codes_only(support)) return {Term{1, {}, e}};
  if (e->kind == Ek::Cast) {
    DType from = e->args[0]->type;
    bool keeps = e->type == DType::F32 ? true : !is_float(e->type) && !is_float(from) && inside(interval(e->args[0]), of_type(e->type));
    if (!keeps) return fail("a cast to " + std::string(name(e->type)) + " rounds a scale times a code");
    return split(e->args[0]);
  }
  if (e->kind != Ek::Op) return fail("scale bits and code bits meet in one field entry, a bit cast or a table");
  if (e->op == Op::Select) return select(e);
  std::string what = "'" + std::string(name(e->op)) + "' mixes scale bits and code bits";
  if (e->op == Op::Div && e->type == DType::F32 && map_.levels_only(bits_.support(e->args[1]))) {
    return product(split(e->args[0]), split(intern_(ir::make_op(Op::Div, {ir::make_float(1), e->args[1]}))));
  }
  bool linear = e->op == Op::Add || e->op == Op::Sub || e->op == Op::Mul || e->op == Op::Neg || e->op == Op::Shl;
  if (!linear) return fail(what);
  if (!exact(e)) return fail(what + " and may wrap in " + std::string(name(e->type)));
  std::vector<Term> a = split(e->args[0]);
  if (e->op == Op::Shl) return product(a, {Term{std::ldexp(1.0, static_cast<int>(e->args[1]->ival)), {}, nullptr}});
  if (e->op == Op::Neg) return product(a, {Term{-1, {}, nullptr}});
  std::vector<Term> b = split(e->args[1]);
  if (e->op == Op::Mul) return product(a, b);
  if (e->op == Op::Sub) b = product(b, {Term{-1, {}, nullptr}});
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Joins terms with equal levels: constants with constants, codes with codes; then a constant with a code under the same levels.
void TermMaker::merge(std::vector<Term>& terms) {
  std::vector<Term> out;
  auto scaled = [&](const Term& t, double by) {
    return by == 1 ? to_f32(t.code) : ir::make_op(Op::Mul, {to_f32(t.code), ir::make_float(by)});
  };
  std::stable_partition(terms.begin(), terms.end(), [](const Term& t) { return t.code != nullptr; });
  for (Term& t : terms) {
    if (t.factor == 0) continue;
    sort_levels(t.levels);
    auto same = std::find_if(out.begin(), out.end(), [&](const Term& o) { return o.levels == t.levels; });
    if (same == out.end()) {
      out.push_back(t);
    } else if (!same->code) {
      same->factor += t.factor;
    } else {
      ExprPtr other = t.code ? scaled(t, t.factor / same->factor) : ir::make_float(t.factor / same->factor);
      same->code = intern_(ir::make_op(Op::Add, {to_f32(same->code), other}));
    }
  }
  terms = std::move(out);
}

std::vector<Term> TermMaker::terms(const BlockMap::Kind& kind, std::string& error) {
  error_.clear();
  std::vector<Term> t = split(kind.value);
  if (error_.empty()) merge(t);
  error = error_;
  return t;
}

}  // namespace lumen::formats
