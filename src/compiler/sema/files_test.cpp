// tests/filetests/sema: "# test: fn NAME KEY=VALUE…" elaborates one function of the file (beside the standard library) and prints its
// IR or its mistakes; "# test: model" instantiates the model `m` on a small file in memory.
#include <sstream>

#include "base/filetest.h"
#include "compiler/sema/fake_source.h"

namespace lumen::sema {
namespace {

StaticValue parse_value(const std::string& text) {
  char* end = nullptr;
  long long i = std::strtoll(text.c_str(), &end, 10);
  if (!text.empty() && *end == 0) return int64_t{i};
  double d = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == 0) return d;
  if (text == "true" || text == "false") return text == "true";
  return text;
}

testing::FakeSource small_file() {
  testing::FakeSource s;
  s.keys = {{"n", int64_t{2}}, {"width", int64_t{8}}, {"scale", 0.5}};
  s.add("embed", {16, 8});
  s.add("norm", {8}, DType::F16);
  s.add("w.0", {8, 8});
  s.add("w.1", {8, 8}, DType::BF16);
  return s;
}

std::string run_case(const filetest::Case& c) {
  Library lib = std::move(*Library::standard());
  auto errors = lib.add(std::make_shared<Source>(Source{c.name, c.input}));
  if (!errors.empty()) return render(errors);
  std::istringstream words(c.command);
  std::string command, name;
  words >> command >> name;
  if (command == "model") {
    auto m = instantiate(lib, *lib.model("m"), small_file());
    if (!m) return m.error().message;
    std::string out = ir::print(m->forward);
    for (int r : m->residuals) out += "residual %" + std::to_string(r) + "\n";
    return out;
  }
  std::map<std::string, StaticValue> bind;
  for (std::string pair; words >> pair;) bind[pair.substr(0, pair.find('='))] = parse_value(pair.substr(pair.find('=') + 1));
  auto f = elaborate_function(lib, name, bind);
  return f ? ir::print(*f) : f.error().message;
}

TEST(Sema, Files) { filetest::run_filetests("sema", run_case); }

}  // namespace
}  // namespace lumen::sema
