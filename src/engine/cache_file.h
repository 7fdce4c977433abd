// What the small files of the cache directory have in common (code_cache.h, start_cache.h): read whole, believed only where nobody but
// their user could have written them and their checksum is right, replaced in one step. They hold machine code.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/atomic_file.h"
#include "base/result.h"

namespace lumen::engine {

using CacheMagic = const char (&)[8];

// Identity of this program, as the linker wrote it, in hex; empty where it did not.
std::string build_id();
// A new file in the cache directory, which is made where there is none, for its user alone whatever the umask. Its checksums make flushing it
// to disk needless.
Result<AtomicFile> create_cache_file(const std::string& path);
// What write_cache_file was given; empty where the file does not count. One that counts is used now: prune_beside looks at that.
std::string read_cache_file(const std::string& path, CacheMagic magic);
// False: the disk would not have it, or it is larger than kLargestCacheFile.
bool write_cache_file(const std::string& path, CacheMagic magic, std::string_view body);
inline constexpr size_t kLargestCacheFile = size_t{32} << 20;  // bytes
// Of the other files beside `path` with its extension the `others` used last stay.
void prune_beside(const std::string& path, size_t others);

// Values one after the other, as they lie in memory.
class ByteWriter {
 public:
  template <class T>
  void put(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view s) {
    put<uint64_t>(s.size());
    bytes_.append(s);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Reads them again. Past the end everything is zero and fine() false.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : left_(bytes) {}
  template <class T>
  T get() {
    T value{};
    std::string_view from = take(sizeof value);
    if (!from.empty()) from.copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::string_view text() { return take(get<uint64_t>()); }
  // A number of things that take at least `least` bytes each; more than there can be is none.
  uint64_t count(size_t least = 1) {
    auto n = get<uint64_t>();
    if (n > left_.size() / least) fine_ = false;
    return fine_ ? n : 0;
  }
  bool fine() const { return fine_; }
  bool done() const { return fine_ && left_.empty(); }

 private:
  std::string_view take(uint64_t n) {
    if (n > left_.size()) fine_ = false;
    if (!fine_) return {};
    std::string_view s = left_.substr(0, n);
    left_.remove_prefix(n);
    return s;
  }
  std::string_view left_;
  bool fine_ = true;
};

}  // namespace lumen::engine
