// Re-encodes the weights of a model file in another format, tensor by tensor, so that no model is held in memory.
// Linear weights and embeddings (tensors of two and more axes) take the new format where their rows hold whole blocks of it;
// everything else stays as it is, and the report says why.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/library.h"

namespace lumen::convert {

struct QuantizeOptions {
  std::string format;            // a format's name, or a plain float type
  bool keep_embeddings = false;  // token_embd and output stay as they are
  int threads = 1;
  // The type of a tensor of the input.
  std::function<Result<ir::Type>(const CheckpointTensor&)> type_of;
  std::function<void(int64_t done, int64_t total)> progress;  // elements; may be empty
};

struct QuantizedTensor {
  std::string name, from, to;  // to: empty where it stays
  std::string why;             // it stays
  uint64_t bytes_before = 0, bytes_after = 0;
  double rms_error = 0;  // relative to the weights' own root mean square
};
struct QuantizeReport {
  std::vector<QuantizedTensor> tensors;
  uint32_t type_id = 0;  // of the new format; private where it declares none
};

// Writes `out` or nothing. Errors (usage): a format that is unknown, cannot be written or fits no tensor.
Result<QuantizeReport> quantize(const sema::Library& lib, const Checkpoint& in, const std::string& out, const QuantizeOptions& options);

}  // namespace lumen::convert
