// What Lumen knows of models by heart: short names and the order of preference among a repository's files. Data: models.json, built in;
// names.json in the store adds short names of the user's own, which come first.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hub/model_ref.h"

namespace lumen::hub {

struct ShortName {
  std::string name;
  ModelRef ref;
};
// All short names, the user's first. Error: names.json makes no sense.
Result<std::vector<ShortName>> short_names();
// The one of that name, or nothing.
Result<std::optional<ModelRef>> ref_of_short_name(const std::string& name);

// Globs by which GGUF files of a repository are told apart.
struct FilePreferences {
  std::vector<std::string> prefer;  // among files of about the same size, the earlier the better
  std::vector<std::string> plain;   // floats without quantisation: twice the memory and time, for what no answer shows
  std::vector<std::string> beside;  // no models by themselves
};
const FilePreferences& file_preferences();

}  // namespace lumen::hub
