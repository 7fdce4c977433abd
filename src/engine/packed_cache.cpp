// The file: magic, version, checksum of the rest of the head; identity; the index; entries at multiples of 4096 bytes.
#include "engine/packed_cache.h"

#define XXH_INLINE_ALL
#include <sys/stat.h>
#include <utime.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/timeline.h"
#include "engine/cache_file.h"

namespace lumen::engine {
namespace fs = std::filesystem;

namespace {

constexpr char kMagic[8] = {'L', 'M', 'N', 'P', 'A', 'C', 'K', '\n'};
constexpr uint32_t kVersion = 1;  // of this file's layout and of what packing writes
constexpr uint64_t kPage = 4096;

struct Head {
  char magic[8];
  uint32_t version, identity_bytes;
  uint64_t entries, file_bytes, checksum;  // checksum: of identity and index
};
struct IndexEntry {
  uint64_t key, offset, size, checksum;
};

uint64_t hash(const void* data, size_t n) { return XXH3_64bits(data, n); }
uint64_t hash(const std::string& s) { return hash(s.data(), s.size()); }
uint64_t up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

std::string env(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

struct Kept {
  fs::path path;
  uint64_t bytes;
  fs::file_time_type used;
};
std::vector<Kept> kept_files(const std::string& directory) {
  std::vector<Kept> out;
  std::error_code ec;
  for (const auto& e : fs::directory_iterator(directory, ec))
    if (e.path().extension() == ".packed" && e.is_regular_file(ec)) out.push_back({e.path(), e.file_size(ec), e.last_write_time(ec)});
  std::sort(out.begin(), out.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  return out;
}

}  // namespace

std::string PackedCache::directory() {
  std::string given = env("LUMEN_CACHE");
  if (given == "off") return "";
  if (!given.empty()) return given;
  if (std::string d = env("XDG_CACHE_HOME"); !d.empty()) return d + "/lumen";
  std::string home = env("HOME");
  return home.empty() ? "" : home + "/.cache/lumen";
}

uint64_t PackedCache::limit() {
  std::string given = env("LUMEN_CACHE_BYTES");
  uint64_t n = 0;
  auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), n);
  if (!given.empty() && error == std::errc() && end == given.data() + given.size()) return n;
  uint64_t there = 0;
  for (const Kept& k : kept_files(directory())) there += k.bytes;
  fs::path disk = directory();
  std::error_code ec;
  while (!fs::exists(disk, ec) && disk.has_relative_path()) disk = disk.parent_path();
  fs::space_info space = fs::space(disk, ec);
  return ec ? 0 : (space.available + there) / 4;
}

PackedCache::PackedCache(const std::vector<std::string>& files, const std::string& way) {
  std::string dir = directory(), names = way;
  if (dir.empty() || files.empty()) return;
  identity_ = way;
  for (const std::string& file : files) {
    struct stat st {};
    std::error_code ec;
    fs::path full = fs::canonical(file, ec);
    if (ec || ::stat(full.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return;
    names += "\n" + full.string();
    identity_ += "\n" + full.string() + "\n" + std::to_string(st.st_size) + "\n" + std::to_string(st.st_mtim.tv_sec) + "." +
                 std::to_string(st.st_mtim.tv_nsec);
  }
  char name[17];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(hash(names)));
  path_ = dir + "/" + name + ".packed";
  open();
}

void PackedCache::open() {
  auto mapped = MappedFile::open(path_);
  if (!mapped) return;
  auto file = std::make_unique<MappedFile>(mapped.take());
  Head h;
  if (file->bytes().size() < sizeof h) return;
  std::memcpy(&h, file->bytes().data(), sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0 || h.version != kVersion || h.file_bytes != file->bytes().size()) return;
  if (h.identity_bytes != identity_.size() || h.entries > file->bytes().size() / sizeof(IndexEntry)) return;
  uint64_t rest = h.identity_bytes + h.entries * sizeof(IndexEntry);
  if (rest > file->bytes().size() - sizeof h) return;
  const uint8_t* at = file->bytes().data() + sizeof h;
  if (hash(at, rest) != h.checksum || std::memcmp(at, identity_.data(), identity_.size()) != 0) return;
  at += h.identity_bytes;
  for (uint64_t i = 0; i < h.entries; ++i) {
    IndexEntry e;
    std::memcpy(&e, at + i * sizeof e, sizeof e);
    if (e.offset > file->bytes().size() || e.size > file->bytes().size() - e.offset || file->bytes().size() - e.offset - e.size < kTail) return index_.clear();
    index_[e.key] = {e.offset, e.size, e.checksum};
  }
  file_ = std::move(file);
  for (auto& [key, place] : index_) unchecked_.push_back(&place);
  ::utime(path_.c_str(), nullptr);  // used now
}

const uint8_t* PackedCache::find(const std::string& key, uint64_t size) const {
  auto it = index_.find(hash(key));
  return it == index_.end() || it->second.size != size || !it->second.intact ? nullptr : file_->bytes().data() + it->second.offset;
}

void PackedCache::check_some() {
  TimedSpan span("checksums of packed weights");
  for (size_t i; (i = next_++) < unchecked_.size();) {
    Place& p = *unchecked_[i];
    p.intact = hash(file_->bytes().data() + p.offset, p.size) == p.checksum;
  }
}

void PackedCache::check_ahead() {
  if (!unchecked_.empty() && !ahead_.valid()) ahead_ = std::async(std::launch::async, [this] { check_some(); });
}

void PackedCache::check() {
  check_some();
  if (ahead_.valid()) ahead_.wait();
}

std::vector<uint64_t> PackedCache::place(const std::vector<uint64_t>& sizes) const {
  std::vector<uint64_t> at = {up(sizeof(Head) + identity_.size() + sizes.size() * sizeof(IndexEntry), kPage)};
  for (uint64_t n : sizes) at.push_back(up(at.back() + n, kPage));
  return at;
}

bool PackedCache::write(const std::vector<Entry>& entries, std::atomic<int64_t>* done) const {
  std::vector<uint64_t> sizes;
  for (const Entry& e : entries) sizes.push_back(e.bytes.size());
  if (!fits(sizes)) return false;
  std::vector<uint64_t> at = place(sizes);
  uint64_t total = at.back() + kTail;
  std::vector<IndexEntry> index;
  for (size_t i = 0; i < entries.size(); ++i)
    index.push_back({hash(entries[i].key), at[i], sizes[i], hash(entries[i].bytes.data(), sizes[i])});
  std::error_code ec;
  uint64_t there = 0;
  std::vector<Kept> files = kept_files(fs::path(path_).parent_path().string());
  for (const Kept& k : files) there += k.path == path_ ? 0 : k.bytes;
  for (const Kept& k : files) {
    if (there + total <= limit()) break;
    if (k.path == path_) continue;
    fs::remove(k.path, ec);
    there -= k.bytes;
  }
  auto out = create_cache_file(path_);
  if (!out) return false;
  std::string head(sizeof(Head), '\0');
  head += identity_;
  head.append(reinterpret_cast<const char*>(index.data()), index.size() * sizeof(IndexEntry));
  Head h{{}, kVersion, static_cast<uint32_t>(identity_.size()), index.size(), total, hash(head.data() + sizeof h, head.size() - sizeof h)};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  std::memcpy(head.data(), &h, sizeof h);
  uint64_t written = 0;
  auto put = [&](const void* data, uint64_t n) {
    written += n;
    return static_cast<bool>(out->write({static_cast<const uint8_t*>(data), n}));
  };
  auto pad_to = [&](uint64_t offset) {
    static const uint8_t zeros[kPage] = {};
    while (written < offset)
      if (!put(zeros, std::min(kPage, offset - written))) return false;
    return true;
  };
  if (!put(head.data(), head.size())) return false;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!pad_to(index[i].offset) || !put(entries[i].bytes.data(), entries[i].bytes.size())) return false;
    if (done) *done += static_cast<int64_t>(entries[i].bytes.size());
  }
  return pad_to(total) && out->commit(false);
}

}  // namespace lumen::engine
