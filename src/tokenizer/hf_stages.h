// The stages of a tokenizer.json around its model, read into a Pipeline.
#pragma once
#include "base/json.h"
#include "tokenizer/pipeline.h"

namespace lumen::tok {

// `byte_level` becomes true where the stage turns text into GPT-2's byte alphabet.
Status read_normalizer(const Json* json, Pipeline& out);
Status read_pretokenizer(const Json* json, Pipeline& out, bool& byte_level);
Status read_post_processor(const Json* json, Pipeline& out);
// How ids become text, as far as it is not done token by token: spec.escape_spaces, add_space_prefix, and `byte_level`.
Status read_decoder(const Json* json, TokenizerSpec& spec, bool& byte_level);

// Fields of an object; `fallback` where absent or null.
bool bool_of(const Json& object, std::string_view key, bool fallback);
std::string string_of(const Json& object, std::string_view key, std::string_view fallback = "");
int64_t int_of(const Json& object, std::string_view key, int64_t fallback);

}  // namespace lumen::tok
