// A GGUF checkpoint as sema's ModelSource: configuration keys are metadata keys, tensor types come from the formats at hand.
#pragma once
#include <string>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/model.h"

namespace lumen::engine {

// The IR type of a file's tensor: plain floats as scalars, everything else through its format. Error: no format declares the type.
Result<ir::Type> tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t);
// Geometry of GGUF types by the formats at hand, for the reader.
GeometryOf geometry_of(const sema::Library& lib);

class GgufSource : public sema::ModelSource {
 public:
  GgufSource(const sema::Library& lib, const Checkpoint& file) : lib_(lib), file_(file) {}
  std::string kind() const override { return "gguf"; }
  std::string path() const override { return file_.path(); }
  std::optional<sema::StaticValue> config(const std::string& key) const override;
  Result<std::optional<TensorInfo>> tensor(const std::string& name) const override;

 private:
  const sema::Library& lib_;
  const Checkpoint& file_;
};

}  // namespace lumen::engine
