// The local model store: where models lie and how a name becomes a path. docs/models.md describes the layout.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/record.h"

namespace lumen::hub {

std::string store_directory();  // $LUMEN_MODELS, else $XDG_DATA_HOME/lumen/models, else ~/.local/share/lumen/models

struct StoredModel {
  std::string name, path;  // path: what opens it, a file or a directory
  uint64_t bytes = 0;
  bool complete = true;  // false: a pull of it did not come to its end
  // Of pulled ones; empty for files put into the store by hand.
  std::string source;  // "hf:ORG/REPO[@REVISION]"
  std::string endpoint;
  std::string directory;          // of the repository, below the store: "hf/ORG/REPO"
  std::vector<StoredFile> files;  // what it consists of
};
std::vector<StoredModel> list_models();  // by name

// A model of the store: by its name in the list, a short name, ORG/REPO[@REVISION][:PATTERN] with or without "hf:", or the name of its
// file with or without ".gguf". Error: no such model, and what would fetch it; or several, and their names.
Result<StoredModel> find_model(const std::string& name);
// A path that exists, or a complete model of the store.
Result<std::string> resolve_model(const std::string& name_or_path);

// Removes the model's files, and what lies there of unfinished pulls of them. Error: another process is pulling it.
Status remove_model(const StoredModel& model);

}  // namespace lumen::hub
