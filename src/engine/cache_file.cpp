// The file: magic, checksum of the rest, body.
#include "engine/cache_file.h"

#define XXH_INLINE_ALL
#include <elf.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/mmap.h"

namespace lumen::engine {
namespace {
namespace fs = std::filesystem;

struct Head {
  char magic[8];
  uint64_t checksum;
};

bool only_ours(const std::string& path) {
  struct stat file {}, dir {};
  return ::stat(path.c_str(), &file) == 0 && ::stat(fs::path(path).parent_path().c_str(), &dir) == 0 && S_ISREG(file.st_mode) &&
         file.st_uid == ::geteuid() && dir.st_uid == ::geteuid() && !((file.st_mode | dir.st_mode) & (S_IWGRP | S_IWOTH));
}

}  // namespace

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

std::string read_cache_file(const std::string& path, CacheMagic magic) {
  if (path.empty() || !only_ours(path)) return {};
  auto file = MappedFile::open(path);
  if (!file) return {};
  std::string_view all(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  Head h;
  if (all.size() < sizeof h || all.size() > kLargestCacheFile) return {};
  std::memcpy(&h, all.data(), sizeof h);
  all.remove_prefix(sizeof h);
  if (std::memcmp(h.magic, magic, sizeof h.magic) != 0 || XXH3_64bits(all.data(), all.size()) != h.checksum) return {};
  ::utime(path.c_str(), nullptr);
  return std::string(all);
}

Result<AtomicFile> create_cache_file(const std::string& path) {
  std::error_code ec;
  fs::path dir = fs::path(path).parent_path();
  if (fs::create_directories(dir, ec)) fs::permissions(dir, fs::perms::owner_all, ec);
  return AtomicFile::create(path, 0600);
}

bool write_cache_file(const std::string& path, CacheMagic magic, std::string_view body) {
  Head h{{}, XXH3_64bits(body.data(), body.size())};
  std::memcpy(h.magic, magic, sizeof h.magic);
  if (body.size() + sizeof h > kLargestCacheFile) return false;
  auto out = create_cache_file(path);
  return out && out->write({reinterpret_cast<const uint8_t*>(&h), sizeof h}) &&
         out->write({reinterpret_cast<const uint8_t*>(body.data()), body.size()}) && out->commit(false);
}

void prune_beside(const std::string& path, size_t others) {
  std::error_code ec;
  std::vector<std::pair<fs::file_time_type, fs::path>> old;
  for (const auto& f : fs::directory_iterator(fs::path(path).parent_path(), ec))
    if (f.path().extension() == fs::path(path).extension() && f.path() != path) old.push_back({f.last_write_time(ec), f.path()});
  std::sort(old.rbegin(), old.rend());
  for (size_t i = others; i < old.size(); ++i) fs::remove(old[i].second, ec);
}

}  // namespace lumen::engine
