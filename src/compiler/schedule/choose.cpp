// The cost model's place: a few rules that follow from register counts and vector widths.
#include "compiler/schedule/choose.h"

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

loops::Schedule choose(const ir::Function& f, const ir::Value& v, const Machine& m, int token_hint) {
  (void)f;
  loops::Schedule s;
  s.lanes = m.lanes;
  s.one_token = token_hint == 1;
  switch (loops::shape_of(v)) {
    case loops::Shape::Dot: {
      // A tile of groups x tokens accumulators, the codes of each group, one broadcast and a temporary fit the registers.
      s.row_groups = m.lanes == 1 ? 1 : 2;
      s.tokens = m.lanes == 1 ? 1 : m.vector_registers >= 32 ? 8 : 4;
      s.panel = (token_hint == 0 || token_hint > s.tokens) && m.lanes > 1;
      break;
    }
    case loops::Shape::Attention: {
      int64_t width = v.dims.back().is_const() ? v.dims.back().value : 1;
      ir::visit(v.body, [&](const ir::Expr& e) {
        if (e.kind == ir::Ek::Reduce && e.reduction == ir::Reduction::Sum && e.args[1]->kind == ir::Ek::Int && width % e.args[1]->ival)
          width = lanes_dividing(m, {width, e.args[1]->ival});
      });
      s.lanes = lanes_dividing(m, {width, s.keys});
      break;
    }
    case loops::Shape::Rows: break;
  }
  return s;
}

}  // namespace lumen::schedule
