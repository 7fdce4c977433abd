// Pages for code: reserved without access, opened for writing, sealed for execution, closed again when the code is dropped.
#include "backend/cpu/code_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace lumen::cpu {
namespace {

constexpr size_t kChunk = size_t{1} << 20;

size_t page_size() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}
size_t whole_pages(size_t bytes) { return (bytes + page_size() - 1) / page_size() * page_size(); }

Error failed(const char* what) { return Error{std::string("memory for compiled code: ") + what + ": " + std::strerror(errno)}; }

}  // namespace

CodePages::CodePages(CodePages&& other) noexcept { *this = std::move(other); }

CodePages& CodePages::operator=(CodePages&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

CodePages::~CodePages() {
  if (owner_) owner_->release(data_, size_);
}

CodeMemory::~CodeMemory() {
  for (const Chunk& c : chunks_) munmap(c.data, c.size);
}

Result<CodePages> CodeMemory::install(std::span<const uint8_t> code) {
  size_t size = whole_pages(code.size());
  uint8_t* data = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (chunks_.empty() || chunks_.back().size - chunks_.back().used < size) {
      size_t reserve = std::max(kChunk, size);
      void* p = mmap(nullptr, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (p == MAP_FAILED) return failed("mmap");
      chunks_.push_back({static_cast<uint8_t*>(p), reserve, 0});
    }
    data = chunks_.back().data + chunks_.back().used;
    chunks_.back().used += size;
  }
  if (mprotect(data, size, PROT_READ | PROT_WRITE) != 0) return failed("mprotect to writable");
  std::memcpy(data, code.data(), code.size());
  std::memset(data + code.size(), 0xCC, size - code.size());  // int3
  if (mprotect(data, size, PROT_READ | PROT_EXEC) != 0) return failed("mprotect to executable");
  __builtin___clear_cache(reinterpret_cast<char*>(data), reinterpret_cast<char*>(data + size));
  CodePages pages;
  pages.owner_ = shared_from_this();
  pages.data_ = data;
  pages.size_ = code.size();
  return pages;
}

// The address range stays reserved, so that a stale pointer faults instead of running something else.
void CodeMemory::release(uint8_t* data, size_t size) {
  size = whole_pages(size);
  madvise(data, size, MADV_DONTNEED);
  mprotect(data, size, PROT_NONE);
}

}  // namespace lumen::cpu
