// A model as a Hugging Face directory, whatever it came as: for those who write one.
#pragma once
#include <map>
#include <string>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/library.h"

namespace lumen::runtime {

// The tensors of a GGUF file under the names that its architecture's declaration gives a directory, and the small files that go with them:
// configuration, tokenizer, chat template. A directory is itself, and `texts` empty.
struct AsDirectory {
  Checkpoint tensors;
  std::map<std::string, std::string> texts;  // by file name
};
// Error: what of the file has no form in a directory.
Result<AsDirectory> open_as_directory(const std::string& path, const sema::Library& library);

}  // namespace lumen::runtime
