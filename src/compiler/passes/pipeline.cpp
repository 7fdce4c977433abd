// The order of the passes.
#include <cstdio>

#include "base/assert.h"
#include "compiler/passes/passes.h"

namespace lumen::passes {

const std::vector<std::string>& pass_names() {
  static const std::vector<std::string> names = {"fold_constants", "merge_equal", "eliminate_dead", "form_dots", "use_integer_dots", "fuse"};
  return names;
}

void run(ir::Function& f, const Options& o) {
  auto after = [&](const char* pass) {
#ifndef NDEBUG
    std::string wrong = ir::verify(f);
    if (!wrong.empty()) std::fprintf(stderr, "after %s: %s\n", pass, wrong.c_str());
    LUMEN_ASSERT(wrong.empty());
#endif
    if (o.after) o.after(pass, f);
  };
  fold_constants(f);
  after("fold_constants");
  merge_equal(f);
  after("merge_equal");
  eliminate_dead(f);
  after("eliminate_dead");
  form_dots(f);
  after("form_dots");
  if (o.observed) *o.observed = observe_dots(f);
  if (o.integer_dots && o.activation) use_integer_dots(f, o.activation, o.fine_results);
  after("use_integer_dots");
  fuse(f);
  after("fuse");
}

}  // namespace lumen::passes
