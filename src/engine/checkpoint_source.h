// A model file or directory as sema's ModelSource: whatever the container, configuration keys are metadata keys, and tensors have the
// types that the formats at hand give them.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/model.h"

namespace lumen::engine {

// A GGUF file, or a directory with config.json and safetensors.
Result<Checkpoint> open_checkpoint(const std::string& path, const sema::Library& lib);
// The IR type of a file's tensor: plain floats as scalars, everything else through its format. Error: no format declares the type.
Result<ir::Type> tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t);
// The declaration for what the file says it is. Error: it says nothing, or nothing that a declaration handles.
Result<const ast::ModelDecl*> find_model(const sema::Library& lib, const Checkpoint& file);
// What the file calls its architecture, for people; empty: nothing.
std::string architecture_name(const Checkpoint& file);

class CheckpointSource : public sema::ModelSource {
 public:
  CheckpointSource(const sema::Library& lib, const Checkpoint& file) : lib_(lib), file_(file) {}
  std::string kind() const override { return file_.container(); }
  // MLX directories are Hugging Face directories with other weights.
  bool takes(const std::string& source) const override { return source == kind() || (kind() == "mlx" && source == "hf"); }
  std::string path() const override { return file_.path(); }
  std::optional<sema::StaticValue> config(const std::string& key) const override;
  Result<std::optional<TensorInfo>> tensor(const std::string& name) const override;

 private:
  const sema::Library& lib_;
  const Checkpoint& file_;
};

}  // namespace lumen::engine
