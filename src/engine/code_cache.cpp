// The file's body: number of kernels, then (key, size, bytes) of each.
#include "engine/code_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/cache_file.h"
#include "engine/packed_cache.h"

namespace lumen::engine {
namespace {

constexpr char kMagic[8] = {'L', 'M', 'N', 'C', 'O', 'D', 'E', '2'};

std::pair<uint64_t, uint64_t> hash(const std::string& key) {
  XXH128_hash_t h = XXH3_128bits(key.data(), key.size());
  return {h.low64, h.high64};
}

}  // namespace

CodeCache::CodeCache(const std::string& machine) {
  std::string dir = PackedCache::directory(), id = build_id();
  if (dir.empty() || id.empty()) return;
  path_ = dir + "/" + machine + "-" + id.substr(0, 16) + ".code";
  load();
}

CodeCache::~CodeCache() {
  if (saver_.joinable()) saver_.join();
}

void CodeCache::load() {
  std::string body = read_cache_file(path_, kMagic);
  if (body.empty()) return;
  ByteReader in(body);
  for (uint64_t n = in.count(sizeof(Key)); n > 0; --n) {
    Key key = in.get<Key>();
    std::string_view code = in.text();
    code_[key].assign(code.begin(), code.end());
  }
  if (!in.done()) code_.clear();
}

std::span<const uint8_t> CodeCache::find(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto it = code_.find(hash(key));
  return it == code_.end() ? std::span<const uint8_t>() : std::span<const uint8_t>(it->second);
}

void CodeCache::add(const std::string& key, std::vector<uint8_t> code) {
  if (path_.empty() || code.empty()) return;
  std::lock_guard lock(mutex_);
  changed_ |= code_.emplace(hash(key), std::move(code)).second;
}

void CodeCache::save() {
  if (path_.empty() || !changed_) return;
  if (saver_.joinable()) saver_.join();
  changed_ = false;
  saver_ = std::thread([this] { write(); });
}

void CodeCache::write() const {
  ByteWriter out;
  {
    std::lock_guard lock(mutex_);
    size_t kept = 0, bytes = 0;
    for (const auto& [key, code] : code_) {
      bytes += sizeof key + sizeof(uint64_t) + code.size();
      if (bytes > kLargestCacheFile / 2) break;  // the rest is compiled again
      ++kept;
    }
    out.put<uint64_t>(kept);
    for (auto it = code_.begin(); kept > 0; ++it, --kept) {
      out.put(it->first);
      out.text({reinterpret_cast<const char*>(it->second.data()), it->second.size()});
    }
  }
  prune_beside(path_, 4);  // code of other builds is of no use to this one
  write_cache_file(path_, kMagic, out.take());
}

}  // namespace lumen::engine
