// Http: one GET at a time over libcurl, with the connection kept for the next. Redirects are reported, not followed: who asks decides
// where credentials may go. Only http and https; certificates are checked.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace lumen::hub {

struct HttpAnswer {
  long status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;                                          // where nobody took it
  const std::string* find(std::string_view name) const;      // the last of that name; null: none
};

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  uint64_t from = 0;                 // ask for the bytes from here on
  // Of an answer of status 2xx: its head before any of its body; then the body in pieces. An Error ends the transfer.
  std::function<Status(const HttpAnswer& head)> on_head;
  std::function<Status(std::span<const uint8_t> piece)> on_body;  // empty: the body goes into the answer
  size_t most_body = size_t{64} << 20;                            // of a body that goes into the answer
};

struct HttpOutcome {
  HttpAnswer answer;
  std::optional<std::string> broken;  // the connection failed, or ended early: worth another try
  std::optional<Error> refused;       // on_head or on_body did not want it, or the body is too long
};

struct Url {
  std::string scheme, host, port;  // lower case; the scheme's port where none is given
  bool same_origin(const Url& o) const { return scheme == o.scheme && host == o.host && port == o.port; }
  bool loopback() const { return host == "localhost" || host == "[::1]" || host.rfind("127.", 0) == 0; }
};

class Http {
 public:
  static Result<std::unique_ptr<Http>> create();
  ~Http();
  HttpOutcome get(const HttpRequest& request);
  // Error: not a URL of http or https.
  Result<Url> parse(const std::string& url) const;
  // `location` as seen from `base`; may be relative.
  Result<std::string> resolve(const std::string& base, const std::string& location) const;
  // An HTTP date in seconds since 1970; nothing where it is none.
  std::optional<int64_t> date(const std::string& text) const;

 private:
  explicit Http(void* easy) : easy_(easy) {}
  void* easy_;
};

}  // namespace lumen::hub
