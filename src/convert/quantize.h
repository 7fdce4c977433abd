// Re-encodes the weights of a model, one tensor in memory at a time beside what the input itself holds (a view does: declared_view.h). Which
// format a tensor takes is a recipe's choice (recipe.h); tensors of one axis, and those no rule or format fits, stay as they are, and the
// report says why.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/library.h"
#include "convert/imatrix.h"
#include "convert/recipe.h"

namespace lumen::convert {

struct QuantizeOptions {
  Recipe recipe;
  const Imatrix* imatrix = nullptr;
  int threads = 1;
  // The type of a tensor of the input.
  std::function<Result<ir::Type>(const CheckpointTensor&)> type_of;
  std::function<void(int64_t done, int64_t total)> progress;  // elements; may be empty
};

struct QuantizedTensor {
  std::string name, from, to;  // to: empty where it stays
  std::string why;             // it stays, or takes another format than the recipe chose
  uint64_t bytes_before = 0, bytes_after = 0;
  bool weighted = false;  // the importance matrix knows it
  double rms_error = 0;   // relative to the weights' own root mean square
};
struct QuantizeReport {
  std::vector<QuantizedTensor> tensors;
};

// A format that can be written, or a plain float type, by its name. `option` begins the message.
Result<ir::Type> target_element(const sema::Library& lib, const std::string& name, const std::string& option);

// What shall become of each tensor.
struct TensorPlan {
  const CheckpointTensor* tensor;
  ir::Type from, to;  // to == from: it stays
  Importance importance;
};
// Errors (usage): a format that is unknown or cannot be written; no tensor takes one. `report` gets a line for each tensor.
Result<std::vector<TensorPlan>> plan_tensors(const sema::Library& lib, const Checkpoint& in, const QuantizeOptions& options,
                                             QuantizeReport& report);

// Writes a GGUF file `out`, or nothing.
Result<QuantizeReport> quantize(const sema::Library& lib, const Checkpoint& in, const std::string& out, const QuantizeOptions& options);

}  // namespace lumen::convert
