// Any checkpoint as a file of another kind, as its architecture's declaration describes it: each weight under the name that the kind
// gives it, with what the declaration does to that tensor undone (rows permuted back for rope_rows, constants taken away),
// configuration under the kind's keys.
#pragma once
#include <memory>
#include <string>
#include <utility>
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

// Tensors whose rows stay where they are keep pointing into `file`, which the view keeps; all others are made now and held with it. Formats
// with a GGUF number keep it; those without one, or with fields in tensors beside the weight, get private numbers: their blocks are whole
// here. Errors: a declaration without names of that kind, or with ones that cannot be undone.
Result<Checkpoint> gguf_view(const sema::Library& lib, std::shared_ptr<const Checkpoint> file, const std::vector<GgufKey>& more);

// What stands in a Hugging Face directory: the tensors by their names there (their types still GGUF's, by number), and the members of its
// config.json that the declaration knows, with "architectures"; a nested member's key has dots in it.
struct HfView {
  Checkpoint tensors;
  std::vector<std::pair<std::string, sema::StaticValue>> config;
};
Result<HfView> hf_view(const sema::Library& lib, std::shared_ptr<const Checkpoint> file);

}  // namespace lumen::engine
