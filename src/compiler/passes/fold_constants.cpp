// Evaluates what depends on nothing at run time.
#include "compiler/ir/interp.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {

constexpr int64_t kLargest = 1 << 20;  // elements: larger tables are left to run time

static bool foldable(const ir::Function& f, const ir::Value& v) {
  if (v.kind != ir::ValueKind::Compute || v.type.format) return false;
  int64_t n = 1;
  for (const ir::Dim& d : v.dims) {
    if (!d.is_const()) return false;
    n *= d.value;
  }
  if (n > kLargest) return false;
  for (int o : v.operands)
    if (f.values[o].kind != ir::ValueKind::Const) return false;
  bool runtime = false;
  ir::visit(v.body, [&](const ir::Expr& e) { runtime |= e.kind == ir::Ek::Extent; });
  return !runtime;
}

void fold_constants(ir::Function& f) {
  Rebuild r(f);
  for (const ir::Value& v : r.old().values) {
    ir::Value c = r.remapped(v);
    if (!foldable(r.next(), c)) {
      r.replace(v.id, r.add(c));
      continue;
    }
    ir::Function one;
    for (int& o : c.operands) {
      const ir::Value& from = r.next().values[o];
      o = ir::add_const(one, from.type, from.data);
    }
    c.id = static_cast<int>(one.values.size());
    one.values.push_back(c);
    one.results = {c.id};
    auto result = ir::interpret(one, {});
    if (!result) {  // an index out of range, say: left for run time, which reports it where it happens
      r.copy(v);
      continue;
    }
    r.replace(v.id, ir::add_const(r.next(), c.type, (*result)[0].data, c.name));
  }
  r.finish();
}

}  // namespace lumen::passes
