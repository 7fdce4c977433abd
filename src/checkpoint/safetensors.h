// safetensors: a u64 length, that many bytes of JSON naming the tensors, then their data without gaps. Memory-mapped; the header is
// checked to the last entry before anything of it is believed, the data is only bounded.
// See https://github.com/huggingface/safetensors for the format.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace lumen {

// Bits of an element of a dtype as safetensors spells it ("BF16", "F8_E4M3"); 0: unknown.
int safetensors_bits(std::string_view dtype);

struct SafetensorsFile {
  struct Tensor {
    std::string_view name, dtype;
    std::vector<int64_t> dims;  // as in the file; empty for a single value
    uint64_t begin = 0, end = 0;  // bytes from the start of the file
  };
  JsonDocument header;  // what the views point into, beside the file itself
  std::vector<Tensor> tensors;  // in the order of their data
  const Json* metadata = nullptr;  // __metadata__, an object of strings; null: none
};

// `name` stands for the file in messages; `bytes` must outlive the result. A tensor of an unknown dtype is listed as it is.
Result<SafetensorsFile> parse_safetensors(std::span<const uint8_t> bytes, const std::string& name);

// A directory with a config.json and its weights in model.safetensors, in the shards that model.safetensors.index.json names, or in
// whatever *.safetensors lie there; "container" of the Checkpoint is "hf", or "mlx" where MLX quantised or wrote it. Metadata is
// config.json (json_metadata.h) and what the files' headers say, below "__metadata__.".
Result<Checkpoint> open_safetensors_directory(const std::string& path);

}  // namespace lumen
