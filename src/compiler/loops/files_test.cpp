// tests/filetests/loops: "# test: lower lanes=4 groups=1 tokens=1 keys=4 panel one_token" lowers the function's last operation with
// that schedule, for a machine with 16 registers, with maddubs unless the word no_maddubs stands there.
#include "base/filetest.h"
#include "compiler/loops/lower.h"
#include "compiler/sema/test_ir.h"

namespace lumen::loops {
namespace {

std::string lowered(const filetest::Case& c) {
  auto f = sema::testing::read_ir(c.input);
  if (!f) return f.error().message;
  std::istringstream words(c.command);
  std::string word;
  words >> word;
  Schedule s;
  Machine m{.name = "files", .vector_registers = 16, .maddubs = true};
  while (words >> word) {
    size_t equals = word.find('=');
    std::string key = word.substr(0, equals);
    int n = equals == std::string::npos ? 1 : std::stoi(word.substr(equals + 1));
    if (key == "lanes")
      s.lanes = n;
    else if (key == "groups")
      s.row_groups = n;
    else if (key == "tokens")
      s.tokens = n;
    else if (key == "keys")
      s.keys = n;
    else if (key == "panel")
      s.panel = true;
    else if (key == "one_token")
      s.one_token = true;
    else if (key == "no_maddubs")
      m.maddubs = false;
    else
      return "unknown word '" + word + "'";
  }
  m.lanes = s.lanes;
  auto kernel = lower(*f, f->values.back(), m, s);
  if (!kernel) return kernel.error().message;
  std::string wrong = verify(kernel->kernel);
  return wrong.empty() ? print(kernel->kernel) : "not valid: " + wrong + "\n" + print(kernel->kernel);
}

TEST(Loops, Files) { filetest::run_filetests("loops", lowered); }

}  // namespace
}  // namespace lumen::loops
