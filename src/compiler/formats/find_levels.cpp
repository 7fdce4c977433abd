// Levels: factors of small proven range make the integer level, everything else is multiplied into the float one.
#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/formats/parts.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using ir::ExprPtr;
using ir::Op;

constexpr size_t kIntegerBits = 8;  // a float factor of at most so many source bits may turn out to be an integer times a constant

constexpr size_t kDecidingBits = 10;  // more than bf16 has, so that a scaled half is seen not to fit

struct Factor {  // of one element's product
  ExprPtr e;     // I32 or F32
  double unit = 1;
  double lo = 0, hi = 0;
  bool integer = false;
};
struct Product {
  double factor = 1;
  std::vector<ExprPtr> floats, integers;
  double lo = 1, hi = 1;  // of the integers' product
};

bool fits_i16(double lo, double hi) { return lo >= -32768 && hi <= 32767; }

Factor classify_factor(Subject& s, const ExprPtr& e) {
  Factor r{to_f32(e)};
  if (is_float(e->type)) {
    const BitList& support = s.bits.support(e);
    Values v;
    std::string why;
    if (support.empty() || support.size() > kIntegerBits || !enumerate_values(s.f, {e}, support, v, why)) return r;
    double unit = common_unit(v.of[0]);
    auto [lo, hi] = std::minmax_element(v.of[0].begin(), v.of[0].end());
    if (unit == 0 || !fits_i16(*lo / unit, *hi / unit)) return r;
    ExprPtr scaled = unit == 1 ? to_f32(e) : ir::make_op(Op::Div, {to_f32(e), ir::make_float(unit)});
    return {ir::make_cast(scaled, DType::I32), unit, *lo / unit, *hi / unit, true};
  }
  Interval i = s.maker.interval(e);
  if (!i.known || !fits_i16(i.lo, i.hi)) return r;
  return {ir::make_cast(e, DType::I32), 1, i.lo, i.hi, true};
}

std::vector<Product> products(Subject& s, const std::vector<Term>& terms) {
  std::unordered_map<const ir::Expr*, Factor> memo;
  std::vector<Product> all;
  for (const Term& t : terms) {
    Product p;
    p.factor = t.factor;
    for (const ExprPtr& e : t.levels) {
      auto it = memo.find(e.get());
      if (it == memo.end()) it = memo.emplace(e.get(), classify_factor(s, e)).first;
      const Factor& f = it->second;
      p.factor *= f.unit;
      (f.integer ? p.integers : p.floats).push_back(f.e);
      if (!f.integer) continue;
      auto [lo, hi] = std::minmax({p.lo * f.lo, p.lo * f.hi, p.hi * f.lo, p.hi * f.hi});
      p.lo = lo;
      p.hi = hi;
    }
    all.push_back(std::move(p));
  }
  return all;
}

// Smallest float type that holds every value of e exactly.
DType stored_type(Subject& s, const ExprPtr& e) {
  const ir::Expr* core = e.get();
  while (core->kind == ir::Ek::Op && core->op == Op::Neg) core = core->args[0].get();
  if (core->kind == ir::Ek::Cast && (core->args[0]->type == DType::F16 || core->args[0]->type == DType::BF16)) return core->args[0]->type;
  const BitList& support = s.bits.support(e);
  if (support.size() > kMaxEnumeratedBits) return DType::F32;
  auto first_exact = [](const std::vector<double>& values) {
    for (DType t : {DType::F16, DType::BF16}) {
      bool exact = std::all_of(values.begin(), values.end(),
                               [&](double x) { return std::isnan(x) || static_cast<double>(ir::round_to(static_cast<float>(x), t)) == x; });
      if (exact) return t;
    }
    return DType::F32;
  };
  if (support.size() > kDecidingBits) {  // settings of the lowest bits alone usually decide, and are few
    Values some;
    std::string why;
    if (!enumerate_values(s.f, {e}, BitList(support.begin(), support.begin() + kDecidingBits), some, why)) return DType::F32;
    if (first_exact(some.of[0]) == DType::F32) return DType::F32;
  }
  Values v;
  std::string why;
  return enumerate_values(s.f, {e}, support, v, why) ? first_exact(v.of[0]) : DType::F32;
}

// Runs of equal expressions: the longest extent that the layouts take, 16 or a multiple of 32.
std::string set_runs(const std::vector<ExprPtr>& per_element, ir::ScaleLevel& level) {
  int block = static_cast<int>(per_element.size());
  for (int extent = block; extent >= 16; --extent) {
    if (block % extent != 0 || (extent != 16 && extent % 32 != 0)) continue;
    bool equal_runs = true;
    for (int k = 0; k < block && equal_runs; ++k) equal_runs = per_element[k] == per_element[k / extent * extent];
    if (!equal_runs) continue;
    level.extent = extent;
    for (int k = 0; k < block; k += extent) level.value.push_back(per_element[k]);
    return "";
  }
  for (int k = 0; k < block; ++k)
    if (per_element[k] != per_element[k / 16 * 16])
      return "the scale changes within 16 elements, from element " + std::to_string(k - 1) + " to " + std::to_string(k);
  return "scales over runs that are no multiple of 16";
}

struct Plan {
  bool integer_level = false;      // some product has integers, and all fit
  bool factor_to_integer = false;  // constants go to the integer level
};

Plan plan_of(const std::vector<Product>& all, double code_abs) {
  Plan p;
  bool any = false, fit = true, fit_with = true, uniform = true;
  double limit = std::floor(2147483647.0 / (code_abs * 127 * 32));
  for (const Product& x : all) {
    any |= !x.integers.empty();
    double largest = std::max(std::fabs(x.lo), std::fabs(x.hi));
    fit &= fits_i16(x.lo, x.hi) && largest <= limit;
    auto [lo, hi] = std::minmax({x.lo * x.factor, x.hi * x.factor});
    fit_with &= x.factor == std::trunc(x.factor) && fits_i16(lo, hi) && largest * std::fabs(x.factor) <= limit;
    uniform &= x.factor == all[0].factor;
  }
  p.integer_level = any && fit;
  p.factor_to_integer = any && fit_with && !(uniform && std::fabs(all[0].factor) == 1);
  p.integer_level |= p.factor_to_integer;
  return p;
}

ExprPtr multiply(const std::vector<ExprPtr>& factors, DType t) {
  ExprPtr r;
  for (const ExprPtr& f : factors) {
    ExprPtr x = ir::make_cast(f, t);
    r = r ? ir::make_op(Op::Mul, {r, x}) : x;
  }
  return r;
}

// A constant factor on a float product: a sign where that is all it is, so that the stored type stays small.
ExprPtr with_factor(ExprPtr product, double factor) {
  if (!product) return ir::make_float(factor);
  if (factor == 1) return product;
  if (factor == -1) return ir::make_op(Op::Neg, {product});
  return ir::make_op(Op::Mul, {product, ir::make_float(factor)});
}

}  // namespace

std::string find_levels(Subject& s, const std::vector<Term>& terms, double code_abs, bool always, std::vector<ir::ScaleLevel>& levels) {
  // Elements of a run have the same terms: each is looked at once.
  std::map<std::pair<double, std::vector<ExprPtr>>, size_t> number;
  std::vector<size_t> of_element;
  std::vector<Term> different;
  for (const Term& t : terms) {
    auto [it, fresh] = number.try_emplace({t.factor, t.levels}, different.size());
    if (fresh) different.push_back(t);
    of_element.push_back(it->second);
  }
  std::vector<Product> all = products(s, different);
  Plan plan = plan_of(all, code_abs);
  std::vector<ExprPtr> floats, integers;
  auto spread = [&](const std::vector<ExprPtr>& e) {
    std::vector<ExprPtr> r;
    for (size_t n : of_element) r.push_back(e[n]);
    return r;
  };
  ir::ScaleLevel whole;
  bool need_float = always && !plan.integer_level;
  for (const Product& p : all) {
    std::vector<ExprPtr> f = p.floats;
    if (!plan.integer_level) f.insert(f.end(), p.integers.begin(), p.integers.end());
    double factor = plan.factor_to_integer ? 1 : p.factor;
    need_float |= !f.empty() || factor != 1;
    floats.push_back(s.intern(with_factor(multiply(f, DType::F32), factor)));
    if (!plan.integer_level) continue;
    ExprPtr i = multiply(p.integers, DType::I32);
    if (!i) i = ir::make_int(1);
    double k = plan.factor_to_integer ? p.factor : 1;
    if (k != 1) i = ir::make_op(Op::Mul, {i, ir::make_int(static_cast<int64_t>(k))});
    integers.push_back(s.intern(i));
    auto [lo, hi] = std::minmax({p.lo * k, p.hi * k});
    bool first = integers.size() == 1;
    whole.lo = first ? static_cast<int64_t>(lo) : std::min(whole.lo, static_cast<int64_t>(lo));
    whole.hi = first ? static_cast<int64_t>(hi) : std::max(whole.hi, static_cast<int64_t>(hi));
  }
  if (need_float) {
    ir::ScaleLevel level;
    if (std::string why = set_runs(spread(floats), level); !why.empty()) return why;
    level.stored = DType::F16;
    for (const ExprPtr& e : level.value) {
      DType t = stored_type(s, e);
      if (t != level.stored) level.stored = &e == &level.value[0] ? t : DType::F32;
    }
    levels.push_back(std::move(level));
  }
  if (!plan.integer_level) return "";
  whole.integer = true;
  whole.stored = whole.lo >= -128 && whole.hi <= 127 ? DType::I8 : whole.lo >= 0 && whole.hi <= 255 ? DType::U8 : DType::I16;
  if (std::string why = set_runs(spread(integers), whole); !why.empty()) return why;
  levels.push_back(std::move(whole));
  return "";
}

}  // namespace lumen::formats
