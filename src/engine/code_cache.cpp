// The file: magic, checksum of the rest, number of kernels, then (key, size, bytes) of each.
#include "engine/code_cache.h"

#define XXH_INLINE_ALL
#include <elf.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/atomic_file.h"
#include "engine/packed_cache.h"

namespace lumen::engine {
namespace {
namespace fs = std::filesystem;

constexpr char kMagic[8] = {'L', 'M', 'N', 'C', 'O', 'D', 'E', '1'};
constexpr size_t kLargest = size_t{32} << 20;  // bytes; a file that outgrows it starts afresh

struct Head {
  char magic[8];
  uint64_t checksum, kernels;
};
struct Entry {
  uint64_t key[2], size;
};

// Identity of this program, as the linker wrote it; empty where it did not.
std::string build_id() {
  std::string id;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& p = info->dlpi_phdr[i];
          if (p.p_type != PT_NOTE) continue;
          const char *at = reinterpret_cast<const char*>(info->dlpi_addr + p.p_vaddr), *end = at + p.p_memsz;
          while (at + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) n;
            std::memcpy(&n, at, sizeof n);
            const char* name = at + sizeof n;
            const char* value = name + (n.n_namesz + 3) / 4 * 4;
            if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
              static const char kHex[] = "0123456789abcdef";
              for (uint32_t b = 0; b < n.n_descsz; ++b) {
                static_cast<std::string*>(out)->push_back(kHex[static_cast<unsigned char>(value[b]) >> 4]);
                static_cast<std::string*>(out)->push_back(kHex[static_cast<unsigned char>(value[b]) & 15]);
              }
            }
            at = value + (n.n_descsz + 3) / 4 * 4;
          }
        }
        return 1;  // the first object is the program itself
      },
      &id);
  return id;
}

bool only_ours(const std::string& path) {
  struct stat file {}, dir {};
  return ::stat(path.c_str(), &file) == 0 && ::stat(fs::path(path).parent_path().c_str(), &dir) == 0 && S_ISREG(file.st_mode) &&
         file.st_uid == ::geteuid() && dir.st_uid == ::geteuid() && !(file.st_mode & (S_IWGRP | S_IWOTH)) && !(dir.st_mode & (S_IWGRP | S_IWOTH));
}

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
  if (!only_ours(path_)) return;
  std::ifstream in(path_, std::ios::binary);
  std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Head h;
  if (all.size() < sizeof h || all.size() > kLargest) return;
  std::memcpy(&h, all.data(), sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0) return;
  size_t covered = offsetof(Head, kernels);
  if (XXH3_64bits(all.data() + covered, all.size() - covered) != h.checksum) return;
  size_t at = sizeof h;
  for (uint64_t i = 0; i < h.kernels; ++i) {
    Entry e;
    if (all.size() - at < sizeof e) return code_.clear();
    std::memcpy(&e, all.data() + at, sizeof e);
    at += sizeof e;
    if (e.size > all.size() - at) return code_.clear();
    code_[{e.key[0], e.key[1]}].assign(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(at + e.size));
    at += e.size;
  }
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
  std::string all(sizeof(Head), '\0');
  Head h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, code] : code_) {
      if (all.size() + code.size() > kLargest) break;
      Entry e{{key.first, key.second}, code.size()};
      all.append(reinterpret_cast<const char*>(&e), sizeof e);
      all.append(reinterpret_cast<const char*>(code.data()), code.size());
      ++h.kernels;
    }
  }
  std::memcpy(all.data(), &h, sizeof h);
  size_t covered = offsetof(Head, kernels);
  h.checksum = XXH3_64bits(all.data() + covered, all.size() - covered);
  std::memcpy(all.data(), &h, sizeof h);
  std::error_code ec;
  fs::path dir = fs::path(path_).parent_path();
  if (fs::create_directories(dir, ec)) fs::permissions(dir, fs::perms::owner_all, ec);
  // Code of other builds is of no use to this one; that of the builds before last goes.
  std::vector<std::pair<fs::file_time_type, fs::path>> old;
  for (const auto& f : fs::directory_iterator(dir, ec))
    if (f.path().extension() == ".code" && f.path() != path_) old.push_back({f.last_write_time(ec), f.path()});
  std::sort(old.rbegin(), old.rend());
  for (size_t i = 4; i < old.size(); ++i) fs::remove(old[i].second, ec);
  auto out = AtomicFile::create(path_);
  if (out && out->write({reinterpret_cast<const uint8_t*>(all.data()), all.size()})) (void)out->commit();
}

}  // namespace lumen::engine
