// Weights that the file keeps as plain floats, encoded in a format while they are loaded.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "compiler/sema/model.h"
#include "tensor/buffer.h"

namespace lumen::engine {

// The format of that name; an Error (usage) where it does not exist or cannot be written.
Result<ir::FormatRef> format_to_write(const sema::Library& lib, const std::string& name);

// A source whose float matrices are said to have `format`, where their rows hold whole blocks of it.
class QuantizingSource : public sema::ModelSource {
 public:
  QuantizingSource(const sema::ModelSource& of, ir::FormatRef format) : of_(of), format_(std::move(format)) {}
  std::string kind() const override { return of_.kind(); }
  bool takes(const std::string& source) const override { return of_.takes(source); }
  std::string path() const override { return of_.path(); }
  std::optional<sema::StaticValue> config(const std::string& key) const override { return of_.config(key); }
  Result<std::optional<TensorInfo>> tensor(const std::string& name) const override;

 private:
  const sema::ModelSource& of_;
  ir::FormatRef format_;
};

// Rows of k plain floats of `scalar`, encoded one behind the other.
Result<std::shared_ptr<Buffer>> encode_rows(const ir::FormatRef& format, DType scalar, const std::vector<const uint8_t*>& rows, int64_t k,
                                            ThreadTeam& team);

}  // namespace lumen::engine
