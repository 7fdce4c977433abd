// CodeCache: compiled kernels kept from one start to the next, for one machine level and one build of the program. The file is read
// whole; its checksum covers everything. Machine code is only taken from a file that nobody but its user could have written.
// Lies beside the packed weights (packed_cache.h says where, and how to turn both off).
#pragma once
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "compiler/plan/plan.h"

namespace lumen::engine {

class CodeCache : public plan::CodeStore {
 public:
  explicit CodeCache(const std::string& machine);  // Machine::name
  ~CodeCache() override;
  bool enabled() const { return !path_.empty(); }
  std::span<const uint8_t> find(const std::string& key) const override;
  void add(const std::string& key, std::vector<uint8_t> code) override;
  void save();  // what was added, on a thread of its own; a failure costs the speed-up alone

 private:
  using Key = std::pair<uint64_t, uint64_t>;
  void load();
  void write() const;
  std::string path_;
  mutable std::mutex mutex_;
  std::map<Key, std::vector<uint8_t>> code_;
  bool changed_ = false;
  std::thread saver_;
};

}  // namespace lumen::engine
