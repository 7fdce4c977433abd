// What a model brings beside its weights: the small files of a Hugging Face directory (tokenizer, chat template, what its makers suggest), a
// GGUF file's metadata.
#pragma once
#include "runtime/open_model.h"
#include "tokenizer/spec.h"

namespace lumen::runtime {

// Fills in tokenizer (or why there is none), chat template and sampling of a model whose path is a directory.
Status read_directory_texts(OpenModel& m);
// The tokenizer that a GGUF file's metadata describes.
Result<TokenizerSpec> gguf_spec(const Checkpoint& file);
// Sets the tokenizer, or the reason that there is none.
void take_tokenizer(OpenModel& m, Result<TokenizerSpec> spec);

}  // namespace lumen::runtime
