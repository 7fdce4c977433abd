// lumen rm: removes a model from the store, after asking where a person watches.
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "hub/store.h"

namespace lumen::tool {
namespace {

bool agreed(const hub::StoredModel& m) {
  std::fprintf(stderr, "remove %s (%s, %s)? [y/N] ", m.name.c_str(), size_text(m.bytes).c_str(), m.path.c_str());
  std::fflush(stderr);
  char line[16] = "";
  if (!std::fgets(line, sizeof line, stdin)) return false;
  return line[0] == 'y' || line[0] == 'Y';
}

}  // namespace

Action declare_rm(Arguments& a) {
  auto name = std::make_shared<std::string>();
  auto yes = std::make_shared<bool>(false);
  a.positional("NAME", *name, "a model of the store, as lumen list names it", true);
  a.flag("-y,--yes", *yes, "do not ask");
  return [name, yes]() -> Status {
    LUMEN_TRY(model, hub::find_model(*name));
    if (!*yes && isatty(0) && isatty(2) && !agreed(model)) return Error{model.name + " stays"};
    LUMEN_CHECK(hub::remove_model(model));
    std::printf("removed %s (%s)\n", model.name.c_str(), size_text(model.bytes).c_str());
    return ok_status();
  };
}

}  // namespace lumen::tool
