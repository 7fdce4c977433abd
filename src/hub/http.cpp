// libcurl over a SharedLibrary.
#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "hub/shared_library.h"

namespace lumen::hub {
namespace {

// clang-format off
#define LUMEN_CURL_FUNCTIONS(X)                                                                                       \
  X(global_init) X(easy_init) X(easy_setopt) X(easy_perform) X(easy_getinfo) X(easy_reset) X(easy_cleanup) X(easy_strerror) \
  X(slist_append) X(slist_free_all) X(url) X(url_set) X(url_get) X(url_cleanup) X(free) X(getdate)
// clang-format on

struct Curl {
#define X(name) decltype(&curl_##name) name = nullptr;
  LUMEN_CURL_FUNCTIONS(X)
#undef X
  static Result<Curl> open() {
    LUMEN_TRY(lib, SharedLibrary::open("libcurl.so.4", "libcurl4"));
    Curl c;
#define X(name) LUMEN_CHECK(lib.find("curl_" #name, c.name));
    LUMEN_CURL_FUNCTIONS(X)
#undef X
    if (c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return Error{"libcurl could not be initialised"};
    return c;
  }
};

const Result<Curl>& curl() {
  static const Result<Curl> c = Curl::open();
  return c;
}

constexpr size_t kMostHeaders = size_t{256} << 10;  // bytes of an answer's head
constexpr size_t kMostErrorBody = size_t{64} << 10;

struct Transfer {
  const HttpRequest& request;
  HttpOutcome& out;
  size_t header_bytes = 0;
  bool head_done = false;

  bool good() const { return out.answer.status >= 200 && out.answer.status < 300; }
  bool refuse(Error e) {
    out.refused = std::move(e);
    return false;
  }

  bool take_header(std::string_view line) {
    if (head_done) return true;  // trailers
    if ((header_bytes += line.size()) > kMostHeaders)
      return refuse({"the answer's head is longer than " + std::to_string(kMostHeaders) + " bytes"});
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.rfind("HTTP/", 0) == 0) {
      size_t space = line.find(' ');
      out.answer.headers.clear();
      out.answer.status = space == line.npos ? 0 : std::strtol(std::string(line.substr(space, 5)).c_str(), nullptr, 10);
      return true;
    }
    if (line.empty()) return out.answer.status / 100 == 1 || end_head();
    size_t colon = line.find(':');
    if (colon == line.npos) return true;
    std::string name(line.substr(0, colon)), value(line.substr(colon + 1));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    value.erase(0, std::min(value.find_first_not_of(" \t"), value.size()));
    value.erase(value.find_last_not_of(" \t") + 1);
    out.answer.headers.emplace_back(std::move(name), std::move(value));
    return true;
  }

  bool end_head() {
    head_done = true;
    if (!good() || !request.on_head) return true;
    Status s = request.on_head(out.answer);
    return s.ok() || refuse(s.error());
  }

  bool take_body(std::string_view piece) {
    if (good() && request.on_body) {
      Status s = request.on_body({reinterpret_cast<const uint8_t*>(piece.data()), piece.size()});
      return s.ok() || refuse(s.error());
    }
    std::string& body = out.answer.body;
    if (!good()) {  // only read for what it says of the failure
      body.append(piece.substr(0, kMostErrorBody - std::min(kMostErrorBody, body.size())));
      return true;
    }
    if (body.size() + piece.size() > request.most_body)
      return refuse({"expected an answer of at most " + std::to_string(request.most_body) + " bytes, found more"});
    body.append(piece);
    return true;
  }
};

size_t on_header(char* data, size_t, size_t n, void* user) { return static_cast<Transfer*>(user)->take_header({data, n}) ? n : 0; }
size_t on_piece(char* data, size_t, size_t n, void* user) { return static_cast<Transfer*>(user)->take_body({data, n}) ? n : 0; }

// A part of a parsed URL; empty where it has none.
std::string part_of(const Curl& c, CURLU* u, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  std::string out;
  if (c.url_get(u, part, &text, flags) == CURLUE_OK && text) out = text;
  c.free(text);
  return out;
}

}  // namespace

const std::string* HttpAnswer::find(std::string_view name) const {
  for (size_t i = headers.size(); i-- > 0;)
    if (headers[i].first == name) return &headers[i].second;
  return nullptr;
}

Result<std::unique_ptr<Http>> Http::create() {
  if (!curl()) return curl().error();
  CURL* easy = (*curl()).easy_init();
  if (!easy) return Error{"libcurl could not be initialised"};
  return std::unique_ptr<Http>(new Http(easy));
}

Http::~Http() { (*curl()).easy_cleanup(easy_); }

HttpOutcome Http::get(const HttpRequest& r) {
  const Curl& c = *curl();
  HttpOutcome out;
  Transfer transfer{r, out};
  char why[CURL_ERROR_SIZE] = "";
  curl_slist* headers = nullptr;
  for (const std::string& h : r.headers) headers = c.slist_append(headers, h.c_str());
  std::string range = std::to_string(r.from) + "-";
  auto set = [&](CURLoption option, auto value) { c.easy_setopt(easy_, option, value); };
  c.easy_reset(easy_);  // keeps connections
  set(CURLOPT_URL, r.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_USERAGENT, "lumen");
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_CONNECTTIMEOUT, 20L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // a minute without a byte is a broken connection
  set(CURLOPT_LOW_SPEED_TIME, 60L);
  set(CURLOPT_BUFFERSIZE, 512L << 10);
  set(CURLOPT_ERRORBUFFER, why);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &on_piece);
  set(CURLOPT_WRITEDATA, &transfer);
  if (r.from > 0) set(CURLOPT_RANGE, range.c_str());
  if (const char* ca = std::getenv("SSL_CERT_FILE")) set(CURLOPT_CAINFO, ca);
  CURLcode code = c.easy_perform(easy_);
  c.slist_free_all(headers);
  if (code != CURLE_OK && !out.refused) out.broken = *why ? why : c.easy_strerror(code);
  return out;
}

Result<Url> Http::parse(const std::string& url) const {
  const Curl& c = *curl();
  CURLU* u = c.url();
  bool ok = c.url_set(u, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  Url out{part_of(c, u, CURLUPART_SCHEME), part_of(c, u, CURLUPART_HOST), part_of(c, u, CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  ok = ok && part_of(c, u, CURLUPART_USER).empty() && part_of(c, u, CURLUPART_PASSWORD).empty();
  c.url_cleanup(u);
  for (char& ch : out.host) ch = static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
  if (!ok || (out.scheme != "http" && out.scheme != "https") || out.host.empty())
    return Error{"expected a URL such as https://host/path, without a user's name in it"};
  return out;
}

Result<std::string> Http::resolve(const std::string& base, const std::string& location) const {
  const Curl& c = *curl();
  CURLU* u = c.url();
  bool ok = c.url_set(u, CURLUPART_URL, base.c_str(), 0) == CURLUE_OK && c.url_set(u, CURLUPART_URL, location.c_str(), 0) == CURLUE_OK;
  std::string out = ok ? part_of(c, u, CURLUPART_URL) : "";
  c.url_cleanup(u);
  if (out.empty()) return Error{"expected a URL, found something else"};
  return out;
}

std::optional<int64_t> Http::date(const std::string& text) const {
  time_t t = (*curl()).getdate(text.c_str(), nullptr);
  if (t < 0) return std::nullopt;
  return static_cast<int64_t>(t);
}

}  // namespace lumen::hub
