// Dot products with weights: an item is a tile of rows; tokens are walked inside, so that a tile's weights are read once.
// The body around the dots (residual, bias, gate) is evaluated on the accumulators before the one store.
#include "compiler/loops/dot_kernel.h"

namespace lumen::loops {
namespace {

class DotLowering {
 public:
  explicit DotLowering(LowerContext& c) : c_(c), b_(c.b) {}

  Result<Lowered> run() {
    if (c_.v.dims.size() != 2 || c_.v.kind == ir::ValueKind::Scatter || c_.v.type.format)
      return c_.unsupported("a dot product whose result is not a plain matrix");
    if (!c_.v.dims[1].is_const()) return c_.unsupported("a dot product with a run-time number of rows");
    std::string why;
    ir::visit(c_.v.body, [&](const ir::Expr& e) {
      if (e.kind != ir::Ek::Dot || !why.empty()) return;
      const ir::ExprPtr& row = e.args.back();
      int x_rank = c_.f.values[c_.v.operands[e.operand]].type.rank();
      int w_rank = c_.f.values[c_.v.operands[e.operand2]].type.rank();
      if (x_rank != 2 || w_rank != 2 || row->kind != ir::Ek::Index || row->ival != 1 || ir::uses_index(e.args[0], 1))
        why = "a dot product whose operands are not (token, k) and (row, k)";
      else {
        dots_.emplace_back();
        why = resolve(c_, e, dots_.back());
      }
    });
    if (!why.empty()) return c_.unsupported(why);
    n_ = c_.v.dims[1].value;
    groups_ = c_.s.row_groups;
    lanes_ = c_.s.lanes;
    tile_ = static_cast<int64_t>(groups_) * lanes_;
    c_.add_item_factor(c_.v.dims[1], tile_);
    bool panel = c_.s.panel;
    for (DotOperand& d : dots_) {
      panels_.push_back(Panel{});
      if (!panel || !d.form) continue;
      panels_.back() = panel_of(d, groups_, lanes_);
      panels_.back().buffer = b_.buffer("panel", BufferKind::Scratch, (panels_.back().unit_bytes * (d.k / formats::kUnit) + 63) / 64 * 64);
    }
    b_.for_(b_.begin(), b_.end(), 1, [&](Reg item) { c_.e.scoped([&] { tile(item); }); });
    return c_.finish();
  }

 private:
  void tile(Reg item) {
    std::vector<std::vector<Reg>> bases;
    for (size_t i = 0; i < dots_.size(); ++i) {
      const DotOperand& d = dots_[i];
      std::vector<Reg> base;
      Reg first = b_.mul_imm(item, groups_ * d.layout.group_bytes());
      for (int g = 0; g < groups_; ++g) base.push_back(b_.add_imm(first, g * d.layout.group_bytes()));
      if (panels_[i].buffer >= 0) fill_panel(b_, d, panels_[i], base);
      bases.push_back(base);
    }
    Reg n0 = b_.mul_imm(item, tile_);
    if (c_.s.one_token) {
      tokens(b_.i64(0), 1, bases, n0);
      return;
    }
    Reg total = c_.e.dim(c_.v.dims[0]);
    int wide = c_.s.tokens;
    Reg whole = wide == 1 ? b_.i64(0) : b_.mul_imm(b_.op(LOp::Div, {total, b_.i64(wide)}), wide);
    if (wide > 1) b_.for_(b_.i64(0), whole, wide, [&](Reg t) { c_.e.scoped([&] { tokens(t, wide, bases, n0); }); });
    b_.for_(whole, total, 1, [&](Reg t) { c_.e.scoped([&] { tokens(t, 1, bases, n0); }); });
  }

  // Tokens [t0, t0 + count) of the tile: accumulate every dot, then the body, then store.
  void tokens(Reg t0, int count, const std::vector<std::vector<Reg>>& bases, Reg n0) {
    std::vector<std::vector<Reg>> acc;
    for (size_t i = 0; i < dots_.size(); ++i) {
      TokenRows x = rows(dots_[i], t0, count);
      if (!dots_[i].form) acc.push_back(float_kernel(c_, dots_[i], bases[i], groups_, x));
      else if (panels_[i].buffer >= 0) {
        PanelReader reader(b_, dots_[i], panels_[i]);
        acc.push_back(integer_kernel(c_, dots_[i], reader, true, {Reg{}}, groups_, x));
      } else {
        PackedReader reader(b_, dots_[i], lanes_);
        acc.push_back(integer_kernel(c_, dots_[i], reader, false, bases[i], groups_, x));
      }
    }
    bool ragged = n_ % tile_ != 0;
    c_.e.vector_index = 1;
    for (int t = 0; t < count; ++t) {
      for (int g = 0; g < groups_; ++g) {
        c_.e.scoped([&] {
          c_.e.index[0] = b_.add_imm(t0, t);
          c_.e.index[1] = b_.add_imm(n0, static_cast<int64_t>(g) * lanes_);
          for (size_t i = 0; i < dots_.size(); ++i) c_.e.given[dots_[i].dot] = acc[i][t * groups_ + g];
          if (ragged) c_.e.tail = b_.op(LOp::Max, {b_.sub(b_.i64(n_), c_.e.index[1]), b_.i64(0)});
          Reg y = c_.e.value(c_.v.body, lanes_);
          Reg out = b_.mul_imm(b_.add(b_.mul_imm(c_.e.index[0], n_), c_.e.index[1]), size_of(c_.v.type.scalar));
          b_.store(y, c_.v.type.scalar, {c_.result_buffer(), out, {}, 0}, c_.e.tail);
          c_.e.tail = Reg{};
        });
      }
    }
    c_.e.given.clear();
    c_.e.index.erase(0);
    c_.e.index.erase(1);
    c_.e.vector_index = -1;
  }

  TokenRows rows(const DotOperand& d, Reg t0, int count) {
    TokenRows x;
    const ir::ExprPtr& row = d.dot->args[0];
    bool direct = row->kind == ir::Ek::Index && row->ival == 0;
    Reg first = direct ? b_.mul_imm(t0, d.x_row_bytes) : Reg{};
    for (int t = 0; t < count; ++t) {
      if (direct) {
        x.base.push_back(first);
        x.disp.push_back(t * d.x_row_bytes);
      } else {
        c_.e.scoped([&] {
          c_.e.index[0] = b_.add_imm(t0, t);
          x.base.push_back(b_.mul_imm(c_.e.scalar(row), d.x_row_bytes));
        });
        x.disp.push_back(0);
      }
    }
    return x;
  }

  LowerContext& c_;
  Builder& b_;
  std::vector<DotOperand> dots_;
  std::vector<Panel> panels_;
  int64_t n_ = 0, tile_ = 0;
  int groups_ = 1, lanes_ = 8;
};

}  // namespace

Result<Lowered> lower_dot(LowerContext& c) { return DotLowering(c).run(); }

}  // namespace lumen::loops
