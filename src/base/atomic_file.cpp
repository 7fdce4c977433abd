// O_TMPFILE where it works (ext4, xfs, btrfs, tmpfs), a uniquely named temporary file elsewhere.
#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace lumen {
namespace {

constexpr size_t kPending = size_t{1} << 20;  // bytes gathered before a system call

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// Beside the target (rename must not cross file systems), unique among processes and within this one.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> next{0};
  return path + ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(next++);
}

}  // namespace

std::string AtomicFile::descriptor_path() const { return "/proc/self/fd/" + std::to_string(fd_); }

Error AtomicFile::failed(const std::string& doing) const { return Error{path_ + ": cannot " + doing + ": " + std::strerror(errno)}; }

Result<AtomicFile> AtomicFile::create(const std::string& path, int mode, bool nameless) {
  AtomicFile f(path);
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode))
    return Error{path + ": expected a file to write, found a " + (S_ISDIR(st.st_mode) ? "directory" : "special file")};
#ifdef O_TMPFILE
  if (nameless) f.fd_ = ::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  if (f.fd_ >= 0) {
    if (::access(f.descriptor_path().c_str(), F_OK) == 0) return f;  // without /proc it could never get a name
    ::close(f.fd_);
  }
#endif
  f.temporary_ = temporary_name(path);
  f.fd_ = ::open(f.temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
  if (f.fd_ >= 0) return f;
  f.temporary_.clear();
  return f.failed("create");
}

AtomicFile::AtomicFile(AtomicFile&& o) noexcept
    : path_(std::move(o.path_)),
      temporary_(std::exchange(o.temporary_, {})),
      fd_(std::exchange(o.fd_, -1)),
      pending_(std::move(o.pending_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    if (pending_.capacity() < kPending) pending_.reserve(kPending);
    size_t n = std::min(bytes.size(), kPending - pending_.size());
    pending_.insert(pending_.end(), bytes.begin(), bytes.begin() + n);
    bytes = bytes.subspan(n);
    if (pending_.size() == kPending) LUMEN_CHECK(flush());
  }
  return ok_status();
}

Status AtomicFile::flush() {
  size_t done = 0;
  while (done < pending_.size()) {
    ssize_t n = ::write(fd_, pending_.data() + done, pending_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write");
    done += n;
  }
  pending_.clear();
  return ok_status();
}

// A nameless file gets a temporary name first: linking cannot replace an existing target, renaming can.
Status AtomicFile::give_name() {
  if (!temporary_.empty()) return ok_status();
  std::string name = temporary_name(path_);
  if (::linkat(AT_FDCWD, descriptor_path().c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
    return failed("name the finished file");
  temporary_ = name;
  return ok_status();
}

Status AtomicFile::commit(bool durable) {
  LUMEN_CHECK(flush());
  if (durable && ::fsync(fd_) != 0) return failed("flush to disk");
  LUMEN_CHECK(give_name());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed("rename the finished file");
  temporary_.clear();
  return ok_status();
}

}  // namespace lumen
