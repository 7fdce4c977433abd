// A GGUF checkpoint as sema's ModelSource: configuration keys are metadata keys, tensor types come from the formats at hand.
#pragma once
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_reader.h"
#include "compiler/sema/model.h"

namespace lumen::engine {

// The IR type of a file's tensor: plain floats as scalars, everything else through its format. Error: no format declares the type.
Result<ir::Type> tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t);
// Private types (kFirstPrivateType and above) are named in the file itself: lumen.format.<id>.name, beside the declaration's
// text in lumen.format.<id>.source. The format of that name must be at hand; the text in the file is never loaded by itself,
// but a declaration at hand that says something else is an Error, since values would be read wrongly.
Result<Checkpoint> open_checkpoint(const std::string& path, const sema::Library& lib);
// Adds the declarations that a file brings to `lib`: for users who said that they trust the file. Each must be one format.
Status add_embedded_formats(sema::Library& lib, const std::string& path);
std::string private_name_key(uint32_t type_id);
std::string private_source_key(uint32_t type_id);

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
