// The text of HTTP (RFC 9110, 9112).
#include "server/http_text.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ctime>

namespace lumen::server {

const char* reason_of(int status) {
  static constexpr std::pair<int, const char*> kReasons[] = {
      {200, "OK"}, {204, "No Content"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
      {405, "Method Not Allowed"}, {408, "Request Timeout"}, {413, "Content Too Large"}, {415, "Unsupported Media Type"},
      {417, "Expectation Failed"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
      {503, "Service Unavailable"}};
  for (auto& [code, text] : kReasons)
    if (code == status) return text;
  return "Unknown";
}

std::string response_head(const HttpResponse& r, Framing framing, size_t length, bool keep_alive) {
  char date[64];
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  std::string s = "HTTP/1.1 " + std::to_string(r.status) + " " + reason_of(r.status) + "\r\nServer: lumen\r\nDate: " + date + "\r\n";
  for (auto& [name, value] : r.headers) s += name + ": " + value + "\r\n";
  if (framing == Framing::Length && r.status != 204) s += "Content-Length: " + std::to_string(length) + "\r\n";
  if (framing == Framing::Chunked) s += "Transfer-Encoding: chunked\r\n";
  s += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return s;
}

std::string chunk_of(std::string_view data) {
  if (data.empty()) return {};
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + std::string(data) + "\r\n";
}

bool split_target(std::string_view t, HttpRequest& out) {
  constexpr std::string_view kScheme = "http://";
  if (t.substr(0, kScheme.size()) == kScheme) {
    t.remove_prefix(kScheme.size());
    size_t slash = std::min(t.find('/'), t.size());
    out.host = std::string(t.substr(0, slash));
    t = slash == t.size() ? std::string_view("/") : t.substr(slash);
    if (out.host.empty()) return false;
  }
  if (t.empty() || (t[0] != '/' && t != "*")) return false;
  size_t question = t.find('?');
  out.path = std::string(t.substr(0, question));
  out.query = question == std::string_view::npos ? std::string() : std::string(t.substr(question + 1));
  return true;
}

std::string host_name(std::string_view host) {
  if (!host.empty() && host[0] == '[') {
    size_t end = host.find(']');
    if (end == std::string_view::npos) return {};
    std::string_view rest = host.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return {};
    return std::string(host.substr(1, end - 1));
  }
  size_t colon = host.find(':');
  if (colon != std::string_view::npos) {
    std::string_view port = host.substr(colon + 1);
    if (!std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c); })) return {};
  }
  std::string name(host.substr(0, colon));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

bool percent_decode(std::string_view text, std::string& out) {
  auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return false;
    int high = digit(text[i + 1]), low = digit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

bool same_secret(std::string_view guess, std::string_view secret) {
  volatile unsigned char different = guess.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < guess.size(); ++i) {
    unsigned char s = secret.empty() ? 1 : static_cast<unsigned char>(secret[i % secret.size()]);
    different = static_cast<unsigned char>(different | (static_cast<unsigned char>(guess[i]) ^ s));
  }
  return different == 0;
}

}  // namespace lumen::server
