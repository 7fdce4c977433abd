// Small buffers come from the heap, large ones straight from the kernel (already zero, given back at once).
#include "tensor/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace lumen {
namespace {

constexpr size_t kMapFrom = size_t{1} << 20;  // bytes; below this a mapping of its own costs more than clearing

Error out_of_memory(size_t bytes) { return Error{"out of memory: cannot allocate " + std::to_string(bytes) + " bytes"}; }

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// `bytes` of fresh anonymous memory aligned to `alignment` (a multiple of the page size); null when there is none.
uint8_t* map_aligned(size_t bytes, size_t alignment) {
  size_t total = bytes + alignment;
  void* p = ::mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  uint8_t* start = static_cast<uint8_t*>(p);
  size_t head = (alignment - reinterpret_cast<uintptr_t>(p) % alignment) % alignment;
  if (head) ::munmap(start, head);
  if (total - head > bytes) ::munmap(start + head + bytes, total - head - bytes);
  return start + head;
}

}  // namespace

Result<Buffer> Buffer::allocate(size_t bytes, Pages pages) {
  Buffer b;
  if (bytes == 0) return b;
  if (bytes > SIZE_MAX / 2) return out_of_memory(bytes);
  if (pages == Pages::Normal && bytes < kMapFrom) {
    size_t rounded = round_up(bytes, kAlignment);
    b.data_ = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, rounded));
    if (!b.data_) return out_of_memory(bytes);
    std::memset(b.data_, 0, rounded);
  } else {
    size_t page = pages == Pages::Huge ? kHugePage : static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    b.mapped_ = round_up(bytes, page);
    b.data_ = map_aligned(b.mapped_, page);
    if (!b.data_) {
      b.mapped_ = 0;
      return out_of_memory(bytes);
    }
    if (pages == Pages::Huge) ::madvise(b.data_, b.mapped_, MADV_HUGEPAGE);
  }
  b.size_ = bytes;
  return b;
}

Buffer::Buffer(Buffer&& o) noexcept
    : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)), mapped_(std::exchange(o.mapped_, 0)) {}

Buffer& Buffer::operator=(Buffer&& o) noexcept {
  std::swap(data_, o.data_);
  std::swap(size_, o.size_);
  std::swap(mapped_, o.mapped_);
  return *this;
}

Buffer::~Buffer() {
  if (mapped_)
    ::munmap(data_, mapped_);
  else
    std::free(data_);
}

}  // namespace lumen
