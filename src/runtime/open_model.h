// From a path or a name to everything that answers: checkpoint, tokenizer, chat template, compiled model.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/messages.h"
#include "engine/model.h"
#include "engine/sampler.h"
#include "tokenizer/tokenizer.h"

namespace lumen::runtime {

// The standard .lum files and those of the user's directories, in order.
Result<std::shared_ptr<const sema::Library>> load_library(const std::vector<std::string>& lum_directories);

struct OpenModel {
  std::string name;                                     // for people and for the API: the file's stem
  std::string path;
  std::shared_ptr<const sema::Library> library;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Tokenizer> tokenizer;                 // null where the file has none
  std::string tokenizer_problem;                        // why not
  std::optional<chat::ChatTemplate> chat_template;
  engine::SamplerOptions sampling;                      // as the model's makers suggest (generation_config.json), else the defaults
  std::unique_ptr<engine::Model> model;

  // Errors where there is no tokenizer or template.
  Result<std::vector<int32_t>> encode(std::string_view text, bool add_special = true, bool parse_special = true) const;
  Result<std::vector<int32_t>> encode_chat(const chat::Conversation& conversation) const;
};

// The file alone: no engine, for inspect, tokenize.
Result<OpenModel> open_file(const std::string& name_or_path, std::shared_ptr<const sema::Library> library);
// The file as a GGUF: itself, or a directory under the names that its architecture's declaration gives a GGUF file, tokenizer and chat
// template included where GGUF has a form for them.
Result<Checkpoint> open_as_gguf(const std::string& path, const sema::Library& library);
Result<OpenModel> open_model(const std::string& name_or_path, std::shared_ptr<const sema::Library> library, std::shared_ptr<Target> target,
                             const engine::ModelOptions& options);

}  // namespace lumen::runtime
