// The tokenizer that a Hugging Face directory's files describe: tokenizer.json (whole pipeline), tokenizer_config.json (bos, eos,
// chat template), generation_config.json (what ends a generation).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tokenizer/spec.h"

namespace lumen {

// The files' texts; empty where a file is missing. They must live as long as `keep`, which the spec holds.
struct HfTokenizerTexts {
  std::string_view tokenizer, tokenizer_config, generation_config, config;
  std::shared_ptr<const void> keep;
};

// Errors name the file's part and what was expected; stages that are not known are refused by name.
Result<TokenizerSpec> spec_from_hf(const HfTokenizerTexts& texts);

// The chat template of a tokenizer_config.json: a string, or of a list of named ones "default" (else the first). nullopt: none.
std::optional<std::string> chat_template_of(const Json& tokenizer_config);

}  // namespace lumen
