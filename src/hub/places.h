// Directories of the store, without following links that lie in it, and a lock between processes.
#pragma once
#include <string>

#include "base/result.h"
#include "hub/client.h"

namespace lumen::hub {

// Makes `root`/`relative`, directory by directory. Below `root`, which may be a link, a link is refused.
Status make_directories(const std::string& root, const std::string& relative);
// What is at `root`/`relative` is a file, or nothing; no part of the way is a link. Error: what it is.
Status check_place(const std::string& root, const std::string& relative);
// Makes what was renamed or removed in a directory last.
void sync_directory(const std::string& path);
uint64_t free_bytes(const std::string& directory);  // for this user; UINT64_MAX where the system does not tell

// "hf/ORG/REPO" -> "hf/ORG/.REPO.lock"
std::string lock_path_of(const std::string& directory);

// Held while it lives; gone with the process whatever ends it.
class StoreLock {
 public:
  // Waits for another process that has it, after saying so; with `say` empty an Error instead.
  static Result<StoreLock> take(const std::string& path, const std::string& what, const Say& say);
  StoreLock(StoreLock&& o) noexcept : fd_(o.fd_) { o.fd_ = -1; }
  StoreLock& operator=(StoreLock&&) = delete;
  ~StoreLock();

 private:
  explicit StoreLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace lumen::hub
