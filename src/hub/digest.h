// What a hub says of a file's content: the SHA-256 of a large file, or git's own name for a small one (SHA-1 of "blob SIZE\0" and the
// content). Computed piece by piece, by OpenSSL.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace lumen::hub {

struct Digest {
  enum Kind { Sha256, GitBlob };
  Kind kind = Sha256;
  std::string hex;  // lower case
  bool operator==(const Digest&) const = default;
  const char* name() const { return kind == Sha256 ? "sha256" : "git_sha1"; }
};
// 64 or 40 hexadecimal digits, by kind.
bool is_digest(Digest::Kind kind, std::string_view hex);

class Hasher {
 public:
  static Result<Hasher> create(Digest::Kind kind, uint64_t size);  // `size` of the whole content: git's name begins with it
  void update(std::span<const uint8_t> bytes);
  Digest finish();

 private:
  Hasher() = default;
  Digest::Kind kind_ = Digest::Sha256;
  std::shared_ptr<void> context_;
};

// Adds bytes [0, size) of the open file `fd` to the hasher; `path` for messages. Error: it cannot be read, or ends before.
Status hash_file(int fd, const std::string& path, uint64_t size, Hasher& hasher,
                 const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace lumen::hub
