// Checkpoint: what every model file comes down to, whatever container it came in: typed metadata and named tensors.
// Invariants: keys and tensor names are unique; a tensor's bytes, where known, lie inside the file and overlap no other's.
// Strings, metadata and tensor data are views into the mapped files, which the Checkpoint keeps open. It knows no format by name.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mmap.h"
#include "base/result.h"
#include "checkpoint/meta_value.h"
#include "tensor/buffer.h"

namespace lumen {

// How many elements of a row a storage format packs into how many bytes. Scalars are blocks of 1.
struct BlockGeometry {
  int elements = 0;
  int bytes = 0;
};
// Geometry of a container's numeric tensor type; nothing when no format declaration claims that number.
using GeometryOf = std::function<std::optional<BlockGeometry>(uint32_t type_id)>;

struct MetaEntry {
  std::string_view key;
  MetaValue value;
};

struct CheckpointTensor {
  std::string_view name;
  std::vector<int64_t> dims;      // outermost first: a weight [N, K] has dims {N, K}; never empty, each >= 1
  uint32_t type_id = 0;           // the container's number for the storage format
  uint64_t offset = 0;            // from the start of the file
  std::optional<uint64_t> bytes;  // nothing: no known format claims type_id
  uint64_t room = 0;              // bytes up to the next tensor, or the end of the file: the most it can be
  const uint8_t* data = nullptr;  // use Checkpoint::data(), which checks
  int64_t element_count() const;
};

class Checkpoint {
 public:
  // What readers fill in; `container` is "gguf", "hf" or "mlx". The views must live in `files`, or outlive the Checkpoint.
  struct Contents {
    std::string path, container;
    uint32_t version = 0;
    uint64_t alignment = 1, file_size = 0;
    std::vector<MetaEntry> metadata;        // file order, unique keys
    std::vector<CheckpointTensor> tensors;  // file order, unique names
    std::vector<MappedFile> files;
    std::vector<std::string> type_names;        // by type_id, in containers that name their types ("BF16")
    std::shared_ptr<const void> storage;        // whatever else the views point into
  };
  explicit Checkpoint(Contents contents);

  const std::string& path() const { return c_.path; }
  const std::vector<MappedFile>& files() const { return c_.files; }  // empty where it was read from memory
  const std::string& container() const { return c_.container; }
  uint32_t version() const { return c_.version; }
  uint64_t alignment() const { return c_.alignment; }
  uint64_t file_size() const { return c_.file_size; }  // of all files together
  // "type 12", or what the container calls it: "BF16".
  std::string type_name(uint32_t type_id) const {
    return type_id < c_.type_names.size() ? c_.type_names[type_id] : "type " + std::to_string(type_id);
  }

  const std::vector<MetaEntry>& metadata() const { return c_.metadata; }
  const MetaValue* find(std::string_view key) const;  // null: not there
  // Typed getters. An absent key, another type or a value outside [lo, hi] is an Error with file, key, found and expected.
  Result<int64_t> get_int(std::string_view key, int64_t lo = INT64_MIN, int64_t hi = INT64_MAX) const;  // any integer type
  Result<double> get_float(std::string_view key) const;                                                 // f32, f64, any integer type
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::vector<int64_t>> get_ints(std::string_view key) const;
  Result<std::vector<double>> get_floats(std::string_view key) const;
  Result<std::vector<bool>> get_bools(std::string_view key) const;
  Result<std::vector<std::string_view>> get_strings(std::string_view key) const;

  const std::vector<CheckpointTensor>& tensors() const { return c_.tensors; }
  const CheckpointTensor* find_tensor(std::string_view name) const;  // null: not there
  Result<BufferView> data(const CheckpointTensor& tensor) const;     // Error when the type is unknown
  Result<BufferView> data(std::string_view name) const;              // Error also when there is no such tensor
  // Tells the kernel that a tensor's pages, or those of some of its bytes, are not needed for now (the values were copied elsewhere).
  // Bytes that are no file's are left alone.
  void release(const CheckpointTensor& tensor) const;
  void release(const uint8_t* begin, const uint8_t* end) const;
  // The files that the views point into.
  std::vector<std::string> file_paths() const;

 private:
  Error key_error(std::string_view key, const MetaValue* found, std::string_view expected) const;
  Error element_error(std::string_view key, uint64_t i, std::string_view expected, std::string_view found) const;
  Result<const MetaValue*> array_of(std::string_view key, std::string_view expected, bool (*accepts)(MetaType)) const;

  Contents c_;
  std::unordered_map<std::string_view, uint32_t> key_index_, tensor_index_;
};

}  // namespace lumen
