// Interval arithmetic over a value rule, once for every element of a block (two blocks of a row-plane format): indices that are
// constant by then are compared exactly, those that depend on stored bits by their range.
#include "compiler/sema/format_check.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "compiler/sema/mistake.h"

namespace lumen::sema {
namespace {

using ir::Ek;
using ir::ExprPtr;
using ir::Op;

struct Range {
  int64_t lo, hi;
};

Range whole(DType t) {
  switch (t) {
    case DType::Bool:
      return {0, 1};
    case DType::I8:
      return {INT8_MIN, INT8_MAX};
    case DType::U8:
      return {0, UINT8_MAX};
    case DType::I16:
      return {INT16_MIN, INT16_MAX};
    case DType::U16:
      return {0, UINT16_MAX};
    case DType::U32:
      return {0, UINT32_MAX};
    case DType::I32:
      return {INT32_MIN, INT32_MAX};
    default:
      return {INT64_MIN / 4, INT64_MAX / 4};
  }
}

// What of r survives in type t: all of it, or anything.
Range fit(__int128 lo, __int128 hi, DType t) {
  Range w = whole(t);
  return lo >= w.lo && hi <= w.hi ? Range{static_cast<int64_t>(lo), static_cast<int64_t>(hi)} : w;
}

class Checker {
 public:
  Checker(const ir::FormatType& f, Span span, int64_t element, int64_t row) : f_(f), span_(span), element_(element), row_(row) {}

  Range check(const ExprPtr& e) {
    if (auto it = memo_.find(e.get()); it != memo_.end()) return it->second;
    Range r = node(*e);
    memo_.emplace(e.get(), r);
    return r;
  }

 private:
  [[noreturn]] void outside(const std::string& what, int64_t size, Range at) const {
    std::string found = at.lo == at.hi ? std::to_string(at.lo) : "between " + std::to_string(at.lo) + " and " + std::to_string(at.hi);
    fail(span_, what + " has " + std::to_string(size) + " entries; element " + std::to_string(element_) + " reads entry " + found);
  }

  Range node(const ir::Expr& e) {
    if (e.kind == Ek::Reduce) return reduce(e);
    std::vector<Range> a;
    for (const ExprPtr& arg : e.args) a.push_back(check(arg));
    switch (e.kind) {
      case Ek::Int:
        return {e.ival, e.ival};
      case Ek::Index: {
        auto it = index_.find(e.ival);
        return it == index_.end() ? whole(DType::I32) : it->second;
      }
      case Ek::Field: {
        const ir::FormatField& field = f_.fields[static_cast<size_t>(e.ival)];
        int64_t size = field.per > 0 ? row_ / field.per : field.count;
        if (a[0].lo < 0 || a[0].hi >= size) outside("the field '" + field.name + "'", size, a[0]);
        return whole(e.type);
      }
      case Ek::Table: {
        int64_t size = static_cast<int64_t>(e.table->size());
        if (a[0].lo < 0 || a[0].hi >= size) outside("a table", size, a[0]);
        auto [lo, hi] = std::minmax_element(e.table->begin(), e.table->end());
        return is_float(e.type) ? whole(e.type) : Range{static_cast<int64_t>(*lo), static_cast<int64_t>(*hi)};
      }
      case Ek::Cast:
        return is_float(e.args[0]->type) || is_float(e.type) ? whole(e.type) : fit(a[0].lo, a[0].hi, e.type);
      case Ek::Op:
        return is_float(e.type) ? whole(e.type) : op(e, a);
      default:
        return whole(e.type);
    }
  }

  Range op(const ir::Expr& e, const std::vector<Range>& a) {
    auto corners = [&](auto f) {
      __int128 v[] = {f(a[0].lo, a[1].lo), f(a[0].lo, a[1].hi), f(a[0].hi, a[1].lo), f(a[0].hi, a[1].hi)};
      return fit(*std::min_element(v, v + 4), *std::max_element(v, v + 4), e.type);
    };
    switch (e.op) {
      case Op::Add:
        return corners([](__int128 x, __int128 y) { return x + y; });
      case Op::Sub:
        return corners([](__int128 x, __int128 y) { return x - y; });
      case Op::Mul:
        return corners([](__int128 x, __int128 y) { return x * y; });
      case Op::Div:
        if (a[1].lo > 0 && a[0].lo >= 0) return corners([](__int128 x, __int128 y) { return x / y; });
        break;
      case Op::Mod:
        if (a[1].lo > 0) return a[0].lo >= 0 && a[0].hi < a[1].lo ? a[0] : Range{0, a[1].hi - 1};
        break;
      case Op::Shr:
        if (a[0].lo >= 0 && a[1].lo >= 0) return {a[1].hi > 62 ? 0 : a[0].lo >> a[1].hi, a[1].lo > 62 ? 0 : a[0].hi >> a[1].lo};
        break;
      case Op::Shl:
        if (a[0].lo >= 0 && a[1].lo >= 0 && a[1].hi <= 32) return corners([](__int128 x, __int128 y) { return x << static_cast<int>(y); });
        break;
      case Op::And:
        if (a[0].lo >= 0 || a[1].lo >= 0) return {0, a[0].lo < 0 ? a[1].hi : a[1].lo < 0 ? a[0].hi : std::min(a[0].hi, a[1].hi)};
        break;
      case Op::Or:
      case Op::Xor:
        if (a[0].lo >= 0 && a[1].lo >= 0) {
          int64_t mask = 1;
          while (mask <= std::max(a[0].hi, a[1].hi)) mask *= 2;
          return {0, mask - 1};
        }
        break;
      case Op::Min:
        return {std::min(a[0].lo, a[1].lo), std::min(a[0].hi, a[1].hi)};
      case Op::Max:
        return {std::max(a[0].lo, a[1].lo), std::max(a[0].hi, a[1].hi)};
      case Op::Select:
        return {std::min(a[1].lo, a[2].lo), std::max(a[1].hi, a[2].hi)};
      default:
        break;
    }
    return whole(e.type);
  }

  Range reduce(const ir::Expr& e) {
    Range lo = check(e.args[0]), hi = check(e.args[1]);
    index_[e.ival] = {lo.lo, std::max(lo.lo, hi.hi - 1)};
    if (lo.lo < hi.hi)
      for (size_t i = 2; i < e.args.size(); ++i) check(e.args[i]);
    return whole(e.type);
  }

  const ir::FormatType& f_;
  Span span_;
  int64_t element_, row_;
  std::map<int64_t, Range> index_;
  std::unordered_map<const ir::Expr*, Range> memo_;
};

void check_rule(const ir::FormatType& f, const ExprPtr& rule, int64_t count, int64_t row, Span span) {
  for (int64_t k = 0; k < count; ++k) {
    ExprPtr at = ir::substitute(rule, 0, ir::make_int(k));
    Checker(f, span, k, row).check(at);
  }
}

}  // namespace

void check_format(const ir::FormatType& f, const ast::FormatDecl& decl) {
  int64_t row = f.row_planes ? 2 * f.block : f.block;
  auto bound = [&](const ExprPtr& rule, Span span) {
    constexpr int64_t kMaxWork = 4'000'000;  // nodes times elements: a thousand times the largest format known
    int64_t nodes = 0;
    ir::visit(rule, [&](const ir::Expr&) { ++nodes; });
    if (nodes * row > kMaxWork)
      fail(span, "this rule is too large: " + std::to_string(nodes) + " operations for each of " + std::to_string(row) + " elements");
  };
  bound(f.value, decl.value->span);
  for (size_t i = 0; i < f.fields.size(); ++i)
    if (f.fields[i].derive) bound(f.fields[i].derive, decl.fields[i].derive->span);
  check_rule(f, f.value, row, row, decl.value->span);
  for (size_t i = 0; i < f.fields.size(); ++i)
    if (f.fields[i].derive) check_rule(f, f.fields[i].derive, row / f.fields[i].per, row, decl.fields[i].derive->span);
}

}  // namespace lumen::sema
