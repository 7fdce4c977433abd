// A tokenizer as a Hugging Face directory's files, the reverse of hf_spec.h, for those that GGUF files describe (gguf_spec.h): byte-level BPE,
// and SentencePiece's BPE with its pieces' scores turned into ranked merges.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace lumen {

struct HfTokenizerFiles {
  std::string tokenizer, tokenizer_config, generation_config;
};

// `spec` as it was before `made` was made of it. chat_template: empty where there is none. Error: what of this tokenizer has no form in a
// tokenizer.json that gives the same ids.
Result<HfTokenizerFiles> hf_tokenizer_files(const TokenizerSpec& spec, const Tokenizer& made, std::string_view chat_template);

}  // namespace lumen
