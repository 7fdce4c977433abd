// PackedCache: a model's weights in derived layouts, kept in a file from one start to the next, so that a start neither packs nor
// copies: the file is mapped and read in place. A cache is never trusted: its entries carry checksums, its header says which
// files (path, size, time of change) it was made from; whatever does not fit is made again. Not being able to read or
// write it costs the speed-up and nothing else.
//
// $LUMEN_CACHE names the directory ("off": no cache); default: $XDG_CACHE_HOME/lumen or ~/.cache/lumen. All these files together
// stay below $LUMEN_CACHE_BYTES (default: a quarter of what the disk would have free without them): the ones unused the longest go first, and a model
// larger than that is not kept.
#pragma once
#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mmap.h"
#include "base/result.h"

namespace lumen::engine {

class PackedCache {
 public:
  struct Entry {
    std::string key;  // everything that the bytes depend on but for the model's files
    std::span<const uint8_t> bytes;
  };

  // The cache of the model whose weights lie in `files`; empty where there is none that fits. `way`: what is done to them beyond packing
  // (quantised at load); each way of one model has a cache of its own.
  explicit PackedCache(const std::vector<std::string>& files, const std::string& way = "");
  PackedCache() = default;  // always empty, never written

  // Reads everything once, on a thread of its own, beside whatever the caller does meanwhile; check() lends a hand and returns when all is read.
  void check_ahead();
  void check();
  // Bytes kept under `key` if there are `size` of them and check() found them intact; null otherwise.
  const uint8_t* find(const std::string& key, uint64_t size) const;
  // Whether a file of entries of these sizes may be kept.
  bool fits(const std::vector<uint64_t>& sizes) const { return !path_.empty() && place(sizes).back() + kTail <= limit(); }
  // Replaces the file. True when it was written; false: off, too large, or the disk would not have it.
  // `written` counts the entries' bytes meanwhile.
  bool write(const std::vector<Entry>& entries, std::atomic<int64_t>* written = nullptr) const;
  bool enabled() const { return !path_.empty(); }

  static std::string directory();  // empty: off
  static uint64_t limit();         // bytes

 private:
  struct Place {
    uint64_t offset = 0, size = 0, checksum = 0;
    bool intact = false;
  };
  static constexpr uint64_t kTail = 4096;  // kernels may read a little beyond a weight
  // Where entries of these sizes begin, and where the last one ends.
  std::vector<uint64_t> place(const std::vector<uint64_t>& sizes) const;
  void open();
  void check_some();
  std::string path_, identity_;
  std::unique_ptr<MappedFile> file_;
  std::map<uint64_t, Place> index_;  // by hash of the key
  std::vector<Place*> unchecked_;
  std::atomic<size_t> next_ = 0;     // of unchecked_, to be claimed
  std::future<void> ahead_;          // goes first: it uses all the others
};

}  // namespace lumen::engine
