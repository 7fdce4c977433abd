// Buffer: host memory that a tensor lives in. Owned, zeroed, 64-byte aligned, move-only; or a BufferView of someone else's.
// Invariant: the bytes from size() up to the next multiple of 64 may be read (vector loads of a tail), never relied upon.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace lumen {

// Not owned: a part of a mapped file or of a Buffer, which must outlive the view.
struct BufferView {
  const uint8_t* data = nullptr;
  size_t size = 0;  // bytes
  std::span<const uint8_t> bytes() const { return {data, size}; }
};

enum class Pages : uint8_t {
  Normal,
  Huge,  // 2 MB aligned, and the kernel is asked for 2 MB pages; it may decline, the memory is as good
};

class Buffer {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kHugePage = size_t{2} << 20;

  // Zeroed. Fails only when the system has no such amount of memory. 0 bytes is an empty buffer.
  static Result<Buffer> allocate(size_t bytes, Pages pages = Pages::Normal);

  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<uint8_t> bytes() { return {data_, size_}; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  BufferView view() const { return {data_, size_}; }
  // The first size() / sizeof(T) values; T must be a plain scalar.
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_), size_ / sizeof(T)};
  }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;  // bytes to unmap; 0: the memory came from the heap
};

}  // namespace lumen
