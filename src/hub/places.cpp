// lstat before every step; O_NOFOLLOW at the end of the way.
#include "hub/places.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace lumen::hub {
namespace {

std::string kind_of(mode_t mode) {
  return S_ISLNK(mode) ? "symbolic link" : S_ISDIR(mode) ? "directory" : S_ISREG(mode) ? "file" : "special file";
}

Error expected(const std::string& path, const char* what, mode_t found) {
  return Error{path + ": expected a " + what + ", found a " + kind_of(found) + "; the store is left alone until that is removed"};
}

// Calls step(path) for root/a, root/a/b, …
template <class Step>
Status each_step(const std::string& root, const std::string& relative, Step step) {
  for (size_t at = 0; at <= relative.size();) {
    at = std::min(relative.find('/', at), relative.size());
    LUMEN_CHECK(step(root + "/" + relative.substr(0, at), at == relative.size()));
    ++at;
  }
  return ok_status();
}

}  // namespace

Status make_directories(const std::string& root, const std::string& relative) {
  std::error_code ec;
  std::filesystem::create_directories(root, ec);
  if (!std::filesystem::is_directory(root, ec)) return Error{root + ": cannot make this directory" + (ec ? ": " + ec.message() : "")};
  return each_step(root, relative, [](const std::string& path, bool) -> Status {
    if (::mkdir(path.c_str(), 0777) == 0) return ok_status();
    if (errno != EEXIST) return Error{path + ": cannot make this directory: " + std::strerror(errno)};
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return Error{path + ": " + std::strerror(errno)};
    return S_ISDIR(st.st_mode) ? ok_status() : Status(expected(path, "directory", st.st_mode));
  });
}

Status check_place(const std::string& root, const std::string& relative) {
  return each_step(root, relative, [](const std::string& path, bool last) -> Status {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return errno == ENOENT ? ok_status() : Status(Error{path + ": " + std::strerror(errno)});
    if (last ? !S_ISREG(st.st_mode) : !S_ISDIR(st.st_mode)) return expected(path, last ? "file" : "directory", st.st_mode);
    return ok_status();
  });
}

void sync_directory(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

uint64_t free_bytes(const std::string& directory) {
  struct statvfs v {};
  if (::statvfs(directory.c_str(), &v) != 0) return UINT64_MAX;
  return static_cast<uint64_t>(v.f_bavail) * v.f_frsize;
}

std::string lock_path_of(const std::string& directory) {
  size_t slash = directory.rfind('/');
  return directory.substr(0, slash + 1) + "." + directory.substr(slash + 1) + ".lock";
}

Result<StoreLock> StoreLock::take(const std::string& path, const std::string& what, const Say& say) {
  for (bool said = false;;) {
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return Error{path + ": cannot open: " + std::strerror(errno)};
    StoreLock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Error{path + ": cannot lock: " + std::strerror(errno)};
      if (!say) return Error{what + " is being pulled or removed by another process"};
      if (!said) say("another process is pulling or removing " + what + ": waiting for it");
      said = true;
      while (::flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) return Error{path + ": cannot lock: " + std::strerror(errno)};
    }
    // Whoever held it may have removed the file: then this lock is of nothing, and the next process would make a new one.
    struct stat mine {
    }, there{};
    if (::fstat(fd, &mine) == 0 && ::lstat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
      return lock;
  }
}

StoreLock::~StoreLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace lumen::hub
