// Writes a safetensors file: the header, then the tensors in the order they were added, without gaps. Data comes from producers, one
// tensor at a time. The file appears under its name only when it is complete.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_writer.h"

namespace lumen {

class SafetensorsWriter {
 public:
  void set_metadata(const std::string& key, const std::string& value) { metadata_[key] = value; }
  // dtype as safetensors spells it ("BF16"); `bytes`: the exact size of the data.
  void add_tensor(std::string name, std::string dtype, std::vector<int64_t> dims, uint64_t bytes, TensorProducer producer);
  // May be called once. An existing file is replaced.
  Status write(const std::string& path);

 private:
  struct Tensor {
    std::string name, dtype;
    std::vector<int64_t> dims;
    uint64_t bytes;
    TensorProducer producer;
  };
  std::string head() const;
  std::map<std::string, std::string> metadata_;
  std::vector<Tensor> tensors_;
};

}  // namespace lumen
