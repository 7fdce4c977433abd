// Names to paths.
#include "hub/store.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace lumen::hub {
namespace fs = std::filesystem;

std::string store_directory() {
  auto env = [](const char* name) { const char* v = std::getenv(name); return std::string(v ? v : ""); };
  if (std::string d = env("LUMEN_MODELS"); !d.empty()) return d;
  if (std::string d = env("XDG_DATA_HOME"); !d.empty()) return d + "/lumen/models";
  return env("HOME") + "/.local/share/lumen/models";
}

Result<std::string> resolve_model(const std::string& name) {
  std::error_code ec;
  if (name.empty()) return Error{"expected a model: a path or the name of a fetched one, found nothing", true};
  if (fs::exists(name, ec)) return name;
  bool plain = name.find('/') == std::string::npos && name != "." && name != "..";
  if (plain) {
    for (const std::string& suffix : {std::string(".gguf"), std::string()}) {
      std::string path = store_directory() + "/" + name + suffix;
      if (fs::exists(path, ec)) return path;
    }
    return Error{name + ": no such file, and no model of that name in " + store_directory()};
  }
  return Error{name + ": no such file"};
}

std::vector<StoredModel> list_models() {
  std::vector<StoredModel> out;
  std::error_code ec;
  for (const auto& e : fs::directory_iterator(store_directory(), ec))
    if (e.is_regular_file(ec) && e.path().extension() == ".gguf") out.push_back({e.path().stem().string(), e.path().string(), e.file_size(ec)});
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return out;
}

}  // namespace lumen::hub
