// Affine decomposition and range narrowing of index expressions.
#include <algorithm>
#include <set>

#include "compiler/loops/expr_emitter.h"

namespace lumen::loops {
using ir::Ek;
using ir::ExprPtr;

std::optional<Affine> affine_in(const ExprPtr& e, int index) {
  if (!ir::uses_index(e, index)) return Affine{0, e};
  if (e->kind == Ek::Index) return Affine{1, ir::make_int(0)};
  if (e->kind == Ek::Cast && !is_float(e->type) && !is_float(e->args[0]->type)) return affine_in(e->args[0], index);
  if (e->kind != Ek::Op) return std::nullopt;
  if (e->op == ir::Op::Add || e->op == ir::Op::Sub) {
    auto a = affine_in(e->args[0], index), b = affine_in(e->args[1], index);
    if (!a || !b) return std::nullopt;
    return Affine{e->op == ir::Op::Add ? a->coefficient + b->coefficient : a->coefficient - b->coefficient, ir::make_op(e->op, {a->rest, b->rest})};
  }
  if (e->op == ir::Op::Mul) {
    for (int i = 0; i < 2; ++i) {
      if (e->args[1 - i]->kind != Ek::Int) continue;
      auto a = affine_in(e->args[i], index);
      if (!a) return std::nullopt;
      return Affine{a->coefficient * e->args[1 - i]->ival, ir::make_op(ir::Op::Mul, {a->rest, e->args[1 - i]})};
    }
  }
  return std::nullopt;
}

// Bounds of e over index in [lo, hi), where e is made of the index and constants alone.
static std::optional<std::pair<int64_t, int64_t>> bounds(const ExprPtr& e, int index, int64_t lo, int64_t hi) {
  auto a = affine_in(e, index);
  if (!a || a->rest->kind != Ek::Int) return std::nullopt;
  int64_t x = a->coefficient * lo + a->rest->ival, y = a->coefficient * (hi - 1) + a->rest->ival;
  return std::make_pair(std::min(x, y), std::max(x, y));
}
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

ExprPtr narrow(const ExprPtr& e, int index, int64_t lo, int64_t hi) {
  return ir::rewrite(e, [&](const ExprPtr& x) -> ExprPtr {
    if (x->kind != Ek::Op || x->args.size() != 2 || is_float(x->args[0]->type)) return nullptr;
    if (x->op == ir::Op::Lt || x->op == ir::Op::Le || x->op == ir::Op::Eq) {
      auto a = bounds(x->args[0], index, lo, hi), b = bounds(x->args[1], index, lo, hi);
      if (!a || !b) return nullptr;
      auto decided = [](bool v) { return ir::make_int(v, DType::Bool); };
      if (x->op == ir::Op::Lt) {
        if (a->second < b->first) return decided(true);
        if (a->first >= b->second) return decided(false);
      } else if (x->op == ir::Op::Le) {
        if (a->second <= b->first) return decided(true);
        if (a->first > b->second) return decided(false);
      } else if (a->second < b->first || a->first > b->second) {
        return decided(false);
      }
      return nullptr;
    }
    if ((x->op == ir::Op::Div || x->op == ir::Op::Mod) && x->args[1]->kind == Ek::Int && x->args[1]->ival > 0) {
      auto a = bounds(x->args[0], index, lo, hi);
      if (!a) return nullptr;
      int64_t d = x->args[1]->ival, q = floor_div(a->first, d);
      if (q != floor_div(a->second, d)) return nullptr;
      if (x->op == ir::Op::Div) return ir::make_int(q);
      return ir::make_op(ir::Op::Sub, {x->args[0], ir::make_int(q * d)});
    }
    return nullptr;
  });
}

std::vector<int64_t> pieces(const ExprPtr& e, int index, int64_t extent, int most) {
  std::set<int64_t> cuts{0};
  bool too_many = false;
  ir::visit(e, [&](const ir::Expr& x) {
    if (x.kind != Ek::Op || x.args.size() != 2 || is_float(x.args[0]->type)) return;
    auto a = affine_in(x.args[0], index), b = affine_in(x.args[1], index);
    if (!a || !b || a->rest->kind != Ek::Int || b->rest->kind != Ek::Int || a->coefficient == b->coefficient) return;
    if (x.op == ir::Op::Lt || x.op == ir::Op::Le || x.op == ir::Op::Eq) {
      // the comparison changes about where a*i + p = b*i + q
      int64_t c = a->coefficient - b->coefficient, d = b->rest->ival - a->rest->ival;
      for (int64_t at : {floor_div(d, c), floor_div(d, c) + 1})
        if (at > 0 && at < extent) cuts.insert(at);
    } else if ((x.op == ir::Op::Div || x.op == ir::Op::Mod) && a->coefficient == 1 && b->coefficient == 0 && b->rest->ival > 0) {
      int64_t d = b->rest->ival;
      if (extent / d > most) { too_many = true; return; }
      for (int64_t at = ((-a->rest->ival) % d + d) % d; at < extent; at += d) cuts.insert(at);
    }
  });
  // A cut that changes nothing was a guess at a rounding: keep only those after which some comparison or quotient differs.
  if (too_many || static_cast<int>(cuts.size()) > 2 * most) return {0};
  std::vector<int64_t> at(cuts.begin(), cuts.end()), kept;
  ExprPtr before;
  for (size_t i = 0; i < at.size(); ++i) {
    ExprPtr here = narrow(e, index, at[i], i + 1 < at.size() ? at[i + 1] : extent);
    if (i == 0 || !ir::equal(here, before)) kept.push_back(at[i]);
    before = here;
  }
  if (static_cast<int>(kept.size()) > most) return {0};
  return kept;
}

}  // namespace lumen::loops
