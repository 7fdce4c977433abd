// The local model store: where models lie and how a name becomes a path.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace lumen::hub {

std::string store_directory();  // $LUMEN_MODELS, else $XDG_DATA_HOME/lumen/models, else ~/.local/share/lumen/models
// A path that exists, or the name of a model in the store (with or without ".gguf"). Error: both places that were looked at.
Result<std::string> resolve_model(const std::string& name_or_path);
struct StoredModel {
  std::string name, path;
  uint64_t bytes;
};
std::vector<StoredModel> list_models();  // by name

}  // namespace lumen::hub
