// OpenSSL's EVP functions over a SharedLibrary.
#include "hub/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "hub/shared_library.h"

namespace lumen::hub {
namespace {

struct Crypto {
  decltype(&EVP_MD_CTX_new) MD_CTX_new;
  decltype(&EVP_MD_CTX_free) MD_CTX_free;
  decltype(&EVP_DigestInit_ex) DigestInit_ex;
  decltype(&EVP_DigestUpdate) DigestUpdate;
  decltype(&EVP_DigestFinal_ex) DigestFinal_ex;
  decltype(&EVP_sha256) sha256;
  decltype(&EVP_sha1) sha1;

  static Result<Crypto> open() {
    LUMEN_TRY(lib, SharedLibrary::open("libcrypto.so.3", "libssl3"));
    Crypto c;
#define FIND(name) LUMEN_CHECK(lib.find("EVP_" #name, c.name))
    FIND(MD_CTX_new);
    FIND(MD_CTX_free);
    FIND(DigestInit_ex);
    FIND(DigestUpdate);
    FIND(DigestFinal_ex);
    FIND(sha256);
    FIND(sha1);
#undef FIND
    return c;
  }
};

const Result<Crypto>& crypto() {
  static const Result<Crypto> c = Crypto::open();
  return c;
}

EVP_MD_CTX* context_of(const std::shared_ptr<void>& p) { return static_cast<EVP_MD_CTX*>(p.get()); }

}  // namespace

bool is_digest(Digest::Kind kind, std::string_view hex) {
  return hex.size() == (kind == Digest::Sha256 ? 64u : 40u) && hex.find_first_not_of("0123456789abcdef") == hex.npos;
}

Result<Hasher> Hasher::create(Digest::Kind kind, uint64_t size) {
  if (!crypto()) return crypto().error();
  const Crypto& c = *crypto();
  Hasher h;
  h.kind_ = kind;
  h.context_ = std::shared_ptr<void>(c.MD_CTX_new(), [&c](void* p) { c.MD_CTX_free(static_cast<EVP_MD_CTX*>(p)); });
  LUMEN_ASSERT(h.context_);
  LUMEN_ASSERT(c.DigestInit_ex(context_of(h.context_), kind == Digest::Sha256 ? c.sha256() : c.sha1(), nullptr) == 1);
  if (kind == Digest::GitBlob) {
    std::string head = "blob " + std::to_string(size);
    h.update({reinterpret_cast<const uint8_t*>(head.c_str()), head.size() + 1});
  }
  return h;
}

void Hasher::update(std::span<const uint8_t> bytes) {
  LUMEN_ASSERT((*crypto()).DigestUpdate(context_of(context_), bytes.data(), bytes.size()) == 1);
}

Digest Hasher::finish() {
  uint8_t raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  LUMEN_ASSERT((*crypto()).DigestFinal_ex(context_of(context_), raw, &size) == 1);
  Digest d{kind_, ""};
  for (unsigned i = 0; i < size; ++i) {
    d.hex += "0123456789abcdef"[raw[i] >> 4];
    d.hex += "0123456789abcdef"[raw[i] & 15];
  }
  return d;
}

Status hash_file(int fd, const std::string& path, uint64_t size, Hasher& hasher, const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<uint8_t> buffer(size_t{1} << 20);
  for (uint64_t done = 0; done < size;) {
    ssize_t n = ::pread(fd, buffer.data(), std::min<uint64_t>(buffer.size(), size - done), static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{path + ": cannot read: " + std::strerror(errno)};
    if (n == 0) return Error{path + ": expected " + std::to_string(size) + " bytes, found " + std::to_string(done)};
    hasher.update({buffer.data(), static_cast<size_t>(n)});
    done += static_cast<uint64_t>(n);
    if (progress) progress(static_cast<int64_t>(done), static_cast<int64_t>(size));
  }
  return ok_status();
}

}  // namespace lumen::hub
