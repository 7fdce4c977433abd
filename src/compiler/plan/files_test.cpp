// tests/filetests/plan: "# test: plan tokens=1 T=8" plans a function that the passes have been over, for a device that only lists
// (8 lanes, 16 registers): launches, places in the arena, and the kernels' identities. NAME=N bounds a symbol.
#include "backend/null/null_target.h"
#include "base/filetest.h"
#include "compiler/plan/plan.h"
#include "compiler/sema/test_ir.h"

namespace lumen::plan {
namespace {

std::string planned(const filetest::Case& c) {
  auto f = sema::testing::read_ir(c.input);
  if (!f) return f.error().message;
  std::istringstream words(c.command);
  std::string word;
  words >> word;
  std::map<std::string, int64_t> bounds;
  while (words >> word) bounds[word.substr(0, word.find('='))] = std::stoll(word.substr(word.find('=') + 1));
  int tokens = static_cast<int>(bounds["tokens"]);
  bounds.erase("tokens");
  auto target = make_null_target({.name = "files", .lanes = 8, .vector_registers = 16, .maddubs = true});
  KernelCache kernels(*target);
  auto p = make_plan(f.take(), kernels, bounds, tokens);
  if (!p) return p.error().message;
  std::string out = print(*p);
  for (const auto& [offset, bytes] : p->constants)
    out += "constant of " + std::to_string(bytes.size()) + " bytes at " + std::to_string(offset) + "\n";
  for (const WeightUse& w : p->weights)
    if (w.layout)
      out += p->function.values[static_cast<size_t>(w.param)].name + " is packed for " + std::to_string(w.layout->rows) + " lanes\n";
  for (const Place& r : p->results)
    out += r.kind == Place::Arena ? "result at " + std::to_string(r.offset) + "\n" : "result is a parameter\n";
  return out;
}

TEST(Plan, Files) { filetest::run_filetests("plan", planned); }

}  // namespace
}  // namespace lumen::plan
