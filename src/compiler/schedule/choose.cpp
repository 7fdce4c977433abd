// The cost model's place: a few rules that follow from register counts and vector widths.
#include "compiler/schedule/choose.h"

#include <algorithm>

namespace lumen::schedule {

// Widest vectors that every size is a multiple of.
static int lanes_dividing(const Machine& m, std::initializer_list<int64_t> sizes) {
  for (int lanes : {m.lanes, 8, 4}) {
    if (lanes > m.lanes) continue;
    bool ok = true;
    for (int64_t s : sizes) ok &= s % lanes == 0;
    if (ok) return lanes;
  }
  return 1;
}

// Float weights: a block of k stays in L1 while a block of tokens passes, whose activations stay in L2 while all rows pass. Codes do without:
// their panels are a quarter as large, and the prefetchers keep up (measured: blocks cost 5%).
static void block_floats(const ir::Function& f, const ir::Value& v, const Machine& m, loops::Schedule& s) {
  int64_t row = 0, weight = 0, longest = 0;  // bytes of a token's activations, of a weight's element; elements
  bool integer = false;
  ir::visit(v.body, [&](const ir::Expr& e) {
    if (e.kind != ir::Ek::Dot) return;
    const ir::Type &x = f.values[v.operands[e.operand]].type, &w = f.values[v.operands[e.operand2]].type;
    integer |= x.format != nullptr;
    longest = std::max(longest, w.dims.back().value);
    row = std::max(row, longest * 4);
    weight = std::max<int64_t>(weight, w.format ? 4 : size_of(w.scalar));
  });
  if (integer || weight == 0) return;
  if (m.vector_registers == 16) s.tokens = 6;  // 12 sums, 2 weights, 1 activation
  int64_t rows = static_cast<int64_t>(s.row_groups) * s.lanes;
  s.k_block = std::max<int64_t>(m.l1 / (rows * weight) / 256, 1) * 256;
  if (longest <= s.k_block * 5 / 4) s.k_block = 0;
  s.token_block = std::max<int64_t>(m.l2 / row / (8 * s.tokens), 2) * 8 * s.tokens;
}

// A single token reads its weights once, as streams of memory, and a CPU's prefetchers need some KB to notice one: short rows do best as one
// stream that runs on from tile to tile and is asked for ahead, long ones as two side by side (Zen 3, one core, GB/s as one stream, as one
// asked for ahead, as two: rows of 576 codes 14, 16, 10; of 8192 codes 14, 14, 18). Asking ahead hides what pages of 4 KB cost, too.
static void stream_codes(const ir::Function& f, const ir::Value& v, const Machine& m, loops::Schedule& s) {
  constexpr int64_t kShort = 16384, kAhead = 4096;
  int64_t stream = 0;  // bytes of a group of rows
  ir::visit(v.body, [&](const ir::Expr& e) {
    if (e.kind != ir::Ek::Dot) return;
    const ir::Type &x = f.values[v.operands[e.operand]].type, &w = f.values[v.operands[e.operand2]].type;
    if (x.format && w.format) stream = std::max(stream, ir::row_bytes(*w.format, w.dims.back().value) * m.lanes);
  });
  if (stream == 0 || stream >= kShort || m.lanes == 1) return;
  s.row_groups = 1;
  s.prefetch = kAhead;
}

loops::Schedule choose(const ir::Function& f, const ir::Value& v, const Machine& m, int token_hint) {
  loops::Schedule s;
  s.lanes = m.lanes;
  s.one_token = token_hint == 1;
  switch (loops::shape_of(v)) {
    case loops::Shape::Dot: {
      // A tile of groups x tokens accumulators, the codes of each group, one broadcast and a temporary fit the registers.
      s.row_groups = s.pad_groups = m.lanes == 1 ? 1 : 2;
      s.tokens = m.lanes == 1 ? 1 : m.vector_registers >= 32 ? 8 : 4;
      s.panel = (token_hint == 0 || token_hint > s.tokens) && m.lanes > 1;
      if (s.panel) block_floats(f, v, m, s);
      if (s.one_token) stream_codes(f, v, m, s);
      break;
    }
    case loops::Shape::Attention: {
      int64_t width = v.dims.back().is_const() ? v.dims.back().value : 1;
      ir::visit(v.body, [&](const ir::Expr& e) {
        if (e.kind == ir::Ek::Reduce && e.reduction == ir::Reduction::Sum && e.args[1]->kind == ir::Ek::Int && width % e.args[1]->ival)
          width = lanes_dividing(m, {width, e.args[1]->ival});
      });
      s.lanes = lanes_dividing(m, {width, s.keys});
      if (token_hint == 0 && m.lanes > 1) s.token_block = 32;
      break;
    }
    case loops::Shape::Rows: break;
  }
  return s;
}

}  // namespace lumen::schedule
