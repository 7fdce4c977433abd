// Declaration lookup, context length, passes.
#include "engine/instance.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "compiler/passes/passes.h"
#include "engine/checkpoint_source.h"
#include "engine/quantize_at_load.h"

namespace lumen::engine {

// Found by what it is, not by its name.
ir::FormatRef activation_format(const sema::Library& lib, int group) {
  for (const std::string& name : lib.format_names()) {
    const ast::FormatDecl* d = lib.format_decl(name);
    if (!d || !d->planes || d->encode != "absmax" || d->generics.size() != 1) continue;
    auto f = lib.format(name + "<" + std::to_string(group) + ">");
    if (f) return *f;
  }
  return nullptr;
}

Result<sema::ModelInstance> instantiate(const sema::Library& lib, const Checkpoint& file, bool exact, const std::string& quantize) {
  LUMEN_TRY(decl, find_model(lib, file));
  CheckpointSource source(lib, file);
  std::optional<QuantizingSource> quantizing;
  if (!quantize.empty()) {
    LUMEN_TRY(format, format_to_write(lib, quantize));
    quantizing.emplace(source, format);
  }
  LUMEN_TRY(instance, sema::instantiate(lib, *decl, quantizing ? static_cast<const sema::ModelSource&>(*quantizing) : source));
  if (exact) passes::widen_states(instance.forward);
  return instance;
}

int64_t vocabulary(const sema::ModelInstance& m) { return m.forward.values[m.forward.results[0]].type.dims.back().value; }

int64_t context_length(const sema::ModelInstance& m, int64_t asked) {
  if (asked > 0) return asked;
  int64_t trained = INT64_MAX;
  if (auto it = m.config.find("context"); it != m.config.end())
    if (auto* n = std::get_if<int64_t>(&it->second)) trained = *n;
  return std::min<int64_t>(trained, 4096);
}

ir::Function optimise(const sema::Library& lib, ir::Function f, bool exact, bool fine_results, std::vector<passes::DotInput>* observed) {
  passes::Options o;
  o.observed = observed;
  o.integer_dots = !exact;
  o.fine_results = fine_results;
  o.activation = [&lib](int group) { return activation_format(lib, group); };
  if (const char* dump = std::getenv("LUMEN_DUMP")) {
    std::string what = dump, pass = what == "ir" ? passes::pass_names().back() : what.rfind("ir:after=", 0) == 0 ? what.substr(9) : "";
    o.after = [pass](const std::string& done, const ir::Function& after) {
      if (done == pass) std::fprintf(stderr, "%s\n", ir::print(after).c_str());
    };
  }
  passes::run(f, o);
  return f;
}

}  // namespace lumen::engine
