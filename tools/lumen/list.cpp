// lumen list: the models of the local store.
#include <algorithm>

#include "command.h"
#include "common.h"
#include "hub/store.h"
#include "json_writer.h"

namespace lumen::tool {

Action declare_list(Arguments& a) {
  auto json = std::make_shared<bool>(false);
  a.flag("--json", *json, "as JSON");
  return [json]() -> Status {
    auto models = hub::list_models();
    if (*json) {
      JsonWriter w;
      w.begin_array();
      for (const hub::StoredModel& m : models)
        w.begin_object()
            .field("name", m.name)
            .field("path", m.path)
            .field("bytes", m.bytes)
            .field("source", m.source)
            .field("complete", m.complete)
            .end_object();
      w.end_array();
      return print_out(w.take() + "\n");
    }
    if (models.empty()) std::printf("no models in %s\n", hub::store_directory().c_str());
    size_t width = 0;
    for (const hub::StoredModel& m : models) width = std::max(width, m.name.size());
    for (const hub::StoredModel& m : models)
      std::printf("%-*s %10s  %s%s\n", static_cast<int>(std::min<size_t>(width, 60)), m.name.c_str(), size_text(m.bytes).c_str(),
                  m.path.c_str(), m.complete ? "" : ("  (not whole: lumen pull " + m.source + " continues)").c_str());
    return ok_status();
  };
}

}  // namespace lumen::tool
