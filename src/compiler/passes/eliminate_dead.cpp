// Removes values that nothing reads; scatters change state and stay.
#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {

void eliminate_dead(ir::Function& f) {
  std::vector<bool> live(f.values.size(), false);
  for (int r : f.results) live[r] = true;
  for (size_t i = f.values.size(); i-- > 0;) {
    const ir::Value& v = f.values[i];
    if (v.kind == ir::ValueKind::Scatter) live[i] = true;
    if (live[i])
      for (int o : v.operands) live[o] = true;
  }
  Rebuild r(f);
  for (const ir::Value& v : r.old().values)
    if (live[v.id]) r.copy(v);
  r.finish();
}

}  // namespace lumen::passes
