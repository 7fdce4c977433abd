// Which files of a repository make the model: one GGUF file (or the parts of one) that fits this machine, or the files of a safetensors
// directory, or what a pattern says.
#pragma once
#include <string>
#include <vector>

#include "hub/listing.h"
#include "hub/model_ref.h"

namespace lumen::hub {

// A GGUF file, or all parts of a split one (NAME-00001-of-00003.gguf) in order.
struct GgufGroup {
  std::string name;  // the first part's path: what opens the model
  std::vector<RemoteFile> files;
  uint64_t bytes = 0;
  size_t parts = 1;  // that its name speaks of
};
std::vector<GgufGroup> gguf_groups(const std::vector<RemoteFile>& files);
// "dir/x-00002-of-00003.gguf" -> "dir/x-00001-of-00003.gguf"; other names stay.
std::string first_part(const std::string& path);

// Bytes of memory that a model of so many bytes takes: its weights, and room for keys, values and scratch.
uint64_t memory_needed(uint64_t file_bytes);

struct Choice {
  std::vector<RemoteFile> files;
  std::vector<std::string> why;  // lines for people
};
// `memory`: bytes free. `all`: everything that matches the pattern.
Result<Choice> choose_files(const ModelRef& ref, const std::vector<RemoteFile>& files, uint64_t memory, bool all);

}  // namespace lumen::hub
