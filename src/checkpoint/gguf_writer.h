// Writes GGUF version 3, alignment 32. Tensor data comes from producers, one tensor at a time, so no model is held in memory.
// The file appears under its name only when it is complete; on any error nothing is left and an older file stays untouched.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace lumen {

// Where a producer puts a tensor's bytes, in order, in as many pieces as it likes.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(std::span<const uint8_t> bytes) = 0;
};
// Called once, during write(). Must put exactly the byte size that was announced, or return its own Error.
using TensorProducer = std::function<Status(ByteSink&)>;

class GgufWriter {
 public:
  // Sets a key; an earlier value under the same key is replaced in place. T: bool, float, double, an integer of 8 to 64 bits.
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  void set(std::string_view key, T value) {
    put(key, type_of<T>(), packed(&value, 1));
  }
  void set(std::string_view key, std::string_view text);
  void set(std::string_view key, const char* text) { set(key, std::string_view(text)); }
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> && !std::is_same_v<T, bool>>>
  void set_array(std::string_view key, std::span<const T> values) {
    put_array(key, type_of<T>(), values.size(), packed(values.data(), values.size()));
  }
  void set_array(std::string_view key, std::span<const std::string_view> texts);
  void set_array(std::string_view key, const std::vector<bool>& values);

  // Every key that is not set already, in order, values as they are; keys set later still replace them.
  void copy_metadata(const Checkpoint& from);
  void remove(std::string_view key);

  // dims: outermost first. `bytes`: the exact size of the data.
  void add_tensor(std::string name, std::vector<int64_t> dims, uint32_t type_id, uint64_t bytes, TensorProducer producer);

  // Writes everything. An existing file at `path` is replaced, a directory is an Error. May be called once.
  Status write(const std::string& path);

 private:
  struct Key {
    std::string name;
    MetaType type;
    std::string value;  // packed as in the file
  };
  struct Tensor {
    std::string name;
    std::vector<int64_t> dims;
    uint32_t type_id;
    uint64_t bytes;
    TensorProducer producer;
  };
  template <class T>
  static constexpr MetaType type_of() {
    if constexpr (std::is_same_v<T, bool>)
      return MetaType::Bool;
    else if constexpr (std::is_floating_point_v<T>)
      return sizeof(T) == 4 ? MetaType::F32 : MetaType::F64;
    else if constexpr (sizeof(T) == 1)
      return std::is_signed_v<T> ? MetaType::I8 : MetaType::U8;
    else if constexpr (sizeof(T) == 2)
      return std::is_signed_v<T> ? MetaType::I16 : MetaType::U16;
    else if constexpr (sizeof(T) == 4)
      return std::is_signed_v<T> ? MetaType::I32 : MetaType::U32;
    else
      return std::is_signed_v<T> ? MetaType::I64 : MetaType::U64;
  }
  template <class T>
  static std::string packed(const T* values, size_t count) {
    static_assert(sizeof(T) <= 8);
    return {reinterpret_cast<const char*>(values), count * sizeof(T)};
  }
  void put(std::string_view key, MetaType type, std::string value);
  void put_array(std::string_view key, MetaType element, uint64_t count, std::string_view values);
  Status check(const std::string& path) const;
  std::string head() const;  // everything before the tensor data, padded

  std::vector<Key> keys_;
  std::unordered_map<std::string, size_t> key_index_;
  std::vector<Tensor> tensors_;
};

}  // namespace lumen
