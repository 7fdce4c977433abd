// AtomicFile: a file that appears under its name only when commit() succeeds. Until then it has no name at all where the
// file system can do that (a killed process leaves nothing), else a temporary one beside the target, removed on destruction.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace lumen {

class AtomicFile {
 public:
  // `mode`: who may read and write it, less the umask. nameless = false: the way of file systems that know no nameless files.
  static Result<AtomicFile> create(const std::string& path, int mode = 0666, bool nameless = true);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const uint8_t> bytes);
  // Flush to disk, then rename onto the target. Not durable: without the flush; a machine that stops may leave anything under the name.
  Status commit(bool durable = true);

 private:
  explicit AtomicFile(std::string path) : path_(std::move(path)) {}
  Status flush();
  Status give_name();
  std::string descriptor_path() const;
  Error failed(const std::string& doing) const;  // from errno

  std::string path_, temporary_;  // temporary_: empty while the file has no name
  int fd_ = -1;
  std::vector<uint8_t> pending_;
};

}  // namespace lumen
