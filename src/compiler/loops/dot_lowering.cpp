// Dot products with weights: an item is a tile of rows; tokens are walked inside, so that a tile's weights are read once.
// The body around the dots (residual, bias, gate) is evaluated on the accumulators before the one store.
#include <algorithm>

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
    for (const DotOperand& d : dots_) parts_ |= c_.s.k_block > 0 && d.k > c_.s.k_block;
    for (const DotOperand& d : dots_) parts_ &= !d.form;  // blocks of k are for floats: choose.cpp says why
    int64_t block = c_.s.one_token ? 0 : c_.s.token_block;
    if (block > 0) c_.add_item_factor(c_.v.dims[0], block);
    c_.add_item_factor(c_.v.dims[1], tile_);
    find_sets();
    for (const std::vector<size_t>& set : sets_) {
      const DotOperand& d = dots_[set[0]];
      panels_.push_back(Panel{});
      if (!c_.s.panel || !d.form) continue;
      panels_.back() = panel_of(d, groups_, lanes_);
      panels_.back().buffer = b_.buffer("panel", BufferKind::Scratch, (panels_.back().unit_bytes * (d.k / formats::kUnit) + 63) / 64 * 64);
    }
    if (parts_)
      for (size_t i = 0; i < dots_.size(); ++i) sums_.push_back(b_.buffer("sums", BufferKind::Scratch, block * tile_ * 4));
    b_.for_(b_.begin(), b_.end(), 1, [&](Reg item) { c_.e.scoped([&] { tile(item, block); }); });
    return c_.finish();
  }

 private:
  void tile(Reg item, int64_t block) {
    Reg total = c_.s.one_token ? b_.i64(1) : c_.e.dim(c_.v.dims[0]);
    Reg from = b_.i64(0), to = total;
    if (block > 0) {
      Reg tiles = b_.i64((n_ + tile_ - 1) / tile_);
      from = b_.mul_imm(b_.op(LOp::Div, {item, tiles}), block);
      to = b_.op(LOp::Min, {b_.add_imm(from, block), total});
      item = b_.op(LOp::Mod, {item, tiles});
    }
    std::vector<std::vector<Reg>> bases;
    for (const DotOperand& d : dots_) {
      std::vector<Reg> base;
      Reg first = b_.mul_imm(item, groups_ * d.layout.group_bytes());
      for (int g = 0; g < groups_; ++g) base.push_back(b_.add_imm(first, g * d.layout.group_bytes()));
      bases.push_back(base);
    }
    Reg n0 = b_.mul_imm(item, tile_);
    if (parts_) {
      for (size_t i = 0; i < dots_.size(); ++i) sum_parts(i, from, to, bases[i]);
      over_tokens(from, to, [&](Reg t0, int count) {
        std::vector<std::vector<Reg>> acc;
        for (size_t i = 0; i < dots_.size(); ++i) acc.push_back(load_sums(i, b_.sub(t0, from), count));
        store(t0, count, n0, acc);
      });
      return;
    }
    for (size_t s = 0; s < sets_.size(); ++s)
      if (panels_[s].buffer >= 0) fill_panel(b_, dots_[sets_[s][0]], panels_[s], bases[sets_[s][0]]);
    over_tokens(from, to, [&](Reg t0, int count) {
      std::vector<std::vector<Reg>> acc(dots_.size());
      for (size_t s = 0; s < sets_.size(); ++s) {
        std::vector<Reg> all;
        size_t cells = static_cast<size_t>(count) * groups_;
        for (size_t c = 0; c < cells * sets_[s].size(); ++c) all.push_back(zero());
        products(s, t0, count, bases[sets_[s][0]], {}, all);
        for (size_t i = 0; i < sets_[s].size(); ++i) acc[sets_[s][i]].assign(all.begin() + i * cells, all.begin() + (i + 1) * cells);
      }
      store(t0, count, n0, acc);
    });
  }

  // Dots of codes with one weight (the logits': of activations and of what their rounding left out) read it once: each set is computed together.
  void find_sets() {
    auto x_format = [&](const DotOperand& d) { return c_.f.values[c_.v.operands[d.dot->operand]].type.format; };
    auto together = [&](const DotOperand& a, const DotOperand& b) { return a.form && a.w_buffer == b.w_buffer && x_format(a) == x_format(b); };
    for (size_t i = 0; i < dots_.size(); ++i) {
      auto s = std::find_if(sets_.begin(), sets_.end(), [&](const auto& set) { return together(dots_[set[0]], dots_[i]); });
      if (s == sets_.end()) sets_.push_back({i});
      else s->push_back(i);
    }
    size_t largest = 1;
    for (const auto& set : sets_) largest = std::max(largest, set.size());
    wide_ = std::max(c_.s.tokens / static_cast<int>(largest), 1);
  }

  // body(t0, count) for tiles of tokens, then for single ones.
  template <class F>
  void over_tokens(Reg from, Reg to, F&& body) {
    if (c_.s.one_token) return body(b_.i64(0), 1);
    Reg whole = wide_ == 1 ? from : b_.add(from, b_.mul_imm(b_.op(LOp::Div, {b_.sub(to, from), b_.i64(wide_)}), wide_));
    if (wide_ > 1) b_.for_(from, whole, wide_, [&](Reg t) { c_.e.scoped([&] { body(t, wide_); }); });
    b_.for_(whole, to, 1, [&](Reg t) { c_.e.scoped([&] { body(t, 1); }); });
  }

  Reg zero() {
    Reg r = b_.reg(Ty::F32, lanes_);
    b_.set(r, b_.f32(0, lanes_));
    return r;
  }

  // Of the dots of set s, one after the other in acc.
  void products(size_t s, Reg t0, int count, const std::vector<Reg>& base, const KBlock& k, std::vector<Reg>& acc) {
    const DotOperand& d = dots_[sets_[s][0]];
    TokenRows x;
    for (size_t i : sets_[s]) add_rows(dots_[i], t0, count, x);
    if (!d.form) return float_kernel(c_, d, base, groups_, x, k, acc);
    if (panels_[s].buffer >= 0) {
      PanelReader reader(b_, d, panels_[s]);
      return integer_kernel(c_, d, reader, true, {Reg{}}, groups_, x, acc);
    }
    PackedReader reader(b_, d, lanes_);
    integer_kernel(c_, d, reader, false, base, groups_, x, acc);
  }

  Address sum_at(size_t i, Reg token, int t, int g) {
    return {sums_[i], b_.mul_imm(token, tile_ * 4), {}, t * tile_ * 4 + static_cast<int64_t>(g) * lanes_ * 4};
  }
  std::vector<Reg> load_sums(size_t i, Reg token, int count) {
    std::vector<Reg> acc;
    for (int t = 0; t < count; ++t)
      for (int g = 0; g < groups_; ++g) {
        acc.push_back(b_.reg(Ty::F32, lanes_));
        b_.set(acc.back(), b_.load(Ty::F32, lanes_, DType::F32, sum_at(i, token, t, g)));
      }
    return acc;
  }

  // Sums of dot i for a block of tokens, block of k after block of k: what is read again and again fits L1.
  void sum_parts(size_t i, Reg from, Reg to, const std::vector<Reg>& base) {
    const DotOperand& d = dots_[i];
    b_.for_(b_.i64(0), b_.sub(to, from), 1, [&](Reg t) {
      for (int g = 0; g < groups_; ++g) b_.store(b_.f32(0, lanes_), DType::F32, sum_at(i, t, 0, g));
    });
    b_.for_(0, d.k, c_.s.k_block, [&](Reg first) {
      KBlock k{first, b_.op(LOp::Min, {b_.sub(b_.i64(d.k), first), b_.i64(c_.s.k_block)})};
      over_tokens(from, to, [&](Reg t0, int count) {
        Reg token = b_.sub(t0, from);
        std::vector<Reg> acc = load_sums(i, token, count);
        products(i, t0, count, base, k, acc);
        for (int t = 0; t < count; ++t)
          for (int g = 0; g < groups_; ++g) b_.store(acc[t * groups_ + g], DType::F32, sum_at(i, token, t, g));
      });
    });
  }

  // The body around the dots for tokens [t0, t0 + count), then the result.
  void store(Reg t0, int count, Reg n0, const std::vector<std::vector<Reg>>& acc) {
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

  void add_rows(const DotOperand& d, Reg t0, int count, TokenRows& x) {
    const ir::ExprPtr& row = d.dot->args[0];
    bool direct = row->kind == ir::Ek::Index && row->ival == 0;
    Reg first = direct ? b_.mul_imm(t0, d.x_row_bytes) : Reg{};
    for (int t = 0; t < count; ++t) {
      x.buffer.push_back(d.x_buffer);
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
  }

  LowerContext& c_;
  Builder& b_;
  std::vector<DotOperand> dots_;
  std::vector<std::vector<size_t>> sets_;
  std::vector<Panel> panels_;  // one a set
  std::vector<int> sums_;  // buffers of partial sums, one a dot
  bool parts_ = false;     // k is cut into blocks
  int64_t n_ = 0, tile_ = 0;
  int groups_ = 1, lanes_ = 8, wide_ = 1;  // wide_: tokens in a tile
};

}  // namespace

Result<Lowered> lower_dot(LowerContext& c) { return DotLowering(c).run(); }

}  // namespace lumen::loops
