// CodeMemory: where compiled kernels live. Anonymous pages, reserved in chunks; a kernel's pages are written while writable,
// then made executable once. Invariants: no page is ever writable and executable at once; pages of live code never change.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"

namespace lumen::cpu {

class CodeMemory;

// One kernel's code; gives its pages back when destroyed. Movable.
class CodePages {
 public:
  CodePages() = default;
  CodePages(CodePages&& other) noexcept;
  CodePages& operator=(CodePages&& other) noexcept;
  ~CodePages();
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }  // bytes of code

 private:
  friend class CodeMemory;
  std::shared_ptr<CodeMemory> owner_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

class CodeMemory : public std::enable_shared_from_this<CodeMemory> {
 public:
  static std::shared_ptr<CodeMemory> create() { return std::shared_ptr<CodeMemory>(new CodeMemory); }
  ~CodeMemory();
  // Copies position-independent code to fresh pages and makes them executable. Any thread may call it.
  Result<CodePages> install(std::span<const uint8_t> code);

 private:
  friend class CodePages;
  struct Chunk {
    uint8_t* data;
    size_t size, used;
  };
  CodeMemory() = default;
  void release(uint8_t* data, size_t size);
  std::mutex mutex_;
  std::vector<Chunk> chunks_;
};

}  // namespace lumen::cpu
