// tests/filetests/passes/NAME: a function as text, and what one pass makes of it. Every pass has files.
#include "base/filetest.h"
#include "compiler/passes/passes.h"
#include "compiler/sema/test_ir.h"

namespace lumen::passes {
namespace {

std::string after(const filetest::Case& c) {
  auto f = sema::testing::read_ir(c.input);
  if (!f) return f.error().message;
  if (c.command == "fold_constants")
    fold_constants(*f);
  else if (c.command == "merge_equal")
    merge_equal(*f);
  else if (c.command == "eliminate_dead")
    eliminate_dead(*f);
  else if (c.command == "form_dots")
    form_dots(*f);
  else if (c.command == "use_integer_dots")
    use_integer_dots(*f, sema::testing::activation);
  else if (c.command == "use_integer_dots fine_results")
    use_integer_dots(*f, sema::testing::activation, true);
  else if (c.command == "fuse")
    fuse(*f);
  else if (c.command == "observe_dots")
    observe_dots(*f);
  else if (c.command == "widen_states")
    widen_states(*f);
  else
    return "no pass '" + c.command + "' is known to files_test.cpp";
  std::string wrong = ir::verify(*f);
  return wrong.empty() ? ir::print(*f) : "not valid any more: " + wrong + "\n" + ir::print(*f);
}

TEST(Passes, Files) {
  std::vector<std::string> names = pass_names();
  names.push_back("widen_states");  // for exact runs, before the others
  names.push_back("observe_dots");  // for importance matrices
  for (const std::string& name : names) filetest::run_filetests("passes/" + name, after);
}

}  // namespace
}  // namespace lumen::passes
