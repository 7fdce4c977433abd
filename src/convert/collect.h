// Makes an importance matrix by running a model over a text.
#pragma once
#include <functional>
#include <vector>

#include "convert/imatrix.h"
#include "engine/model.h"

namespace lumen::convert {

struct CollectOptions {
  int64_t chunk = 512;       // tokens; each chunk is a sequence of its own
  int64_t chunks = 0;        // at most; 0: all
  int32_t first_token = -1;  // stands in place of each chunk's first token, where it is one (the tokenizer's begin of sequence)
  bool output = false;       // the weight that gives the logits, too
  std::function<void(int64_t done, int64_t total)> progress;  // chunks; may be empty
};

// Entries have the names that the weights' tensors have in the model's file. Error (usage): fewer tokens than a chunk.
Result<Imatrix> collect_imatrix(engine::Model& model, const std::vector<int32_t>& tokens, const CollectOptions& options);

}  // namespace lumen::convert
