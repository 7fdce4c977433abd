// Found by what it is, not by its name.
#include "engine/activation.h"

namespace lumen::engine {

ir::FormatRef activation_format(const sema::Library& lib, int group) {
  for (const std::string& name : lib.format_names()) {
    const ast::FormatDecl* d = lib.format_decl(name);
    if (!d || !d->planes || d->encode != "absmax" || d->generics.size() != 1) continue;
    auto f = lib.format(name + "<" + std::to_string(group) + ">");
    if (f) return *f;
  }
  return nullptr;
}

}  // namespace lumen::engine
