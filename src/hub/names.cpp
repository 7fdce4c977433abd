// models.json and names.json, read by the same function.
#include "hub/names.h"

#include <filesystem>

#include "base/assert.h"
#include "base/embedded.h"
#include "base/json.h"
#include "base/mmap.h"
#include "hub/store.h"

namespace lumen::hub {

std::span<const EmbeddedFile> embedded_models();  // models.json

namespace {

// {"NAME": "hf:ORG/REPO:PATTERN", …}
Result<std::vector<ShortName>> read_names(const Json* table, const std::string& where) {
  if (!table || !table->is_object()) return Error{where + ": expected an object of names and hf:ORG/REPO[:PATTERN]"};
  std::vector<ShortName> out;
  for (const JsonMember& m : table->members()) {
    std::string name(m.key);
    if (name.empty() || name.find_first_of("/:@") != name.npos || !check_path(name))
      return Error{where + ": '" + printable(name) + "': expected a name without '/', ':' and '@'"};
    if (!m.value.is_string()) return Error{where + ": " + name + ": expected a string hf:ORG/REPO[:PATTERN]"};
    auto ref = parse_ref(std::string(m.value.as_string()));
    if (!ref) return Error{where + ": " + name + ": " + ref.error().message};
    out.push_back({name, ref.take()});
  }
  return out;
}

const JsonDocument& built_in() {
  static const JsonDocument doc = [] {
    auto parsed = JsonDocument::parse(embedded_models().front().text);
    LUMEN_ASSERT(parsed.ok());
    return parsed.take();
  }();
  return doc;
}

}  // namespace

Result<std::vector<ShortName>> short_names() {
  std::vector<ShortName> out;
  std::string path = store_directory() + "/names.json";
  std::error_code ec;
  if (std::filesystem::exists(path, ec)) {
    LUMEN_TRY(file, MappedFile::open(path));
    auto bytes = file.bytes();
    auto doc = JsonDocument::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, 8);
    if (!doc) return Error{path + ": " + doc.error().message};
    LUMEN_TRY(own, read_names(&doc->root(), path));
    out = std::move(own);
  }
  LUMEN_TRY(standard, read_names(built_in().root().find("names"), "models.json: names"));
  out.insert(out.end(), standard.begin(), standard.end());
  return out;
}

Result<std::optional<ModelRef>> ref_of_short_name(const std::string& name) {
  LUMEN_TRY(all, short_names());
  for (const ShortName& s : all)
    if (s.name == name) return std::optional<ModelRef>(s.ref);
  return std::optional<ModelRef>();
}

const FilePreferences& file_preferences() {
  static const FilePreferences preferences = [] {
    FilePreferences p;
    for (auto [key, into] :
         {std::pair<const char*, std::vector<std::string>*>{"prefer", &p.prefer}, {"plain", &p.plain}, {"beside", &p.beside}}) {
      const Json* list = built_in().root().find(key);
      LUMEN_ASSERT(list);
      for (const Json& glob : list->items()) into->push_back(std::string(glob.as_string()));
    }
    return p;
  }();
  return preferences;
}

}  // namespace lumen::hub
