// Any checkpoint as the GGUF file that its architecture's declaration describes: each weight under its gguf name, with what the
// declaration does to that tensor undone (rows permuted back for rope_rows, constants taken away), configuration under the gguf keys.
#pragma once
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/library.h"

namespace lumen::engine {

// A key that no declaration knows of: the tokenizer's.
struct GgufKey {
  std::string key;
  std::variant<std::string, uint32_t, bool, std::vector<std::string_view>, std::vector<std::string>, std::vector<int32_t>, std::vector<float>> value;
};

// Tensors whose rows stay where they are keep pointing into `file`, which the view keeps. Formats with a GGUF number keep
// it; those without one get private numbers. Errors: a declaration without gguf
// names, or with ones that cannot be undone.
Result<Checkpoint> gguf_view(const sema::Library& lib, std::shared_ptr<const Checkpoint> file, const std::vector<GgufKey>& more);

}  // namespace lumen::engine
