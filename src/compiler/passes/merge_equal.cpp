// Common subexpressions at the level of whole operations.
#include <unordered_map>

#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {

static bool same(const ir::Value& a, const ir::Value& b) {
  if (a.kind != b.kind || a.operands != b.operands || !(a.type == b.type) || a.dims != b.dims) return false;
  if (a.kind == ir::ValueKind::Const) return a.data == b.data;
  if (a.kind == ir::ValueKind::Reshape) return true;
  return a.kind == ir::ValueKind::Compute && ir::equal(a.body, b.body);
}

void merge_equal(ir::Function& f) {
  Rebuild r(f);
  Tidier tidy;
  std::unordered_map<uint64_t, std::vector<int>> seen;
  for (const ir::Value& v : r.old().values) {
    ir::Value c = r.remapped(v);
    if (c.kind == ir::ValueKind::Compute) tidy(c);
    uint64_t key = static_cast<uint64_t>(c.kind) * 0x9E3779B97F4A7C15ull + (c.body ? c.body->hash : c.data.size());
    for (int o : c.operands) key = (key ^ static_cast<uint64_t>(o)) * 0x100000001B3ull;
    if (c.kind != ir::ValueKind::Param && c.kind != ir::ValueKind::Scatter) {
      bool found = false;
      for (int other : seen[key])
        if (same(r.next().values[other], c)) {
          r.replace(v.id, other);
          found = true;
          break;
        }
      if (found) continue;
    }
    int id = r.add(c);
    r.replace(v.id, id);
    seen[key].push_back(id);
  }
  r.finish();
}

}  // namespace lumen::passes
