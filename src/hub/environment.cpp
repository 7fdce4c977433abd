// Settings of the hub's client, by the names that Hugging Face's own client knows beside Lumen's.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "hub/client.h"

namespace lumen::hub {
namespace {

std::string env(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

bool is_true(std::string v) {
  for (char& c : v) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return v == "1" || v == "true" || v == "yes" || v == "on";
}

std::string trimmed(const std::string& s) {
  size_t begin = s.find_first_not_of(" \t\r\n"), end = s.find_last_not_of(" \t\r\n");
  return begin == s.npos ? "" : s.substr(begin, end - begin + 1);
}

std::string token_file() {
  if (std::string p = env("HF_TOKEN_PATH"); !p.empty()) return p;
  if (std::string p = env("HF_HOME"); !p.empty()) return p + "/token";
  if (std::string p = env("XDG_CACHE_HOME"); !p.empty()) return p + "/huggingface/token";
  return env("HOME") + "/.cache/huggingface/token";
}

Status read_token(HubSettings& s) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (s.token.empty()) s.token = trimmed(env(name)), s.token_from = name;
  if (s.token.empty()) {
    s.token_from = token_file();
    std::ifstream in(s.token_from);
    std::stringstream text;
    text << in.rdbuf();
    s.token = trimmed(text.str());
  }
  // It becomes part of a header: nothing in it may end one.
  if (std::any_of(s.token.begin(), s.token.end(), [](char c) { return c <= ' ' || c == 0x7f; }))
    return Error{"the token from " + s.token_from + ": expected one word, found spaces or control characters in it", true};
  if (s.token.size() > 4096) return Error{"the token from " + s.token_from + ": expected at most 4096 bytes", true};
  return ok_status();
}

}  // namespace

Result<HubSettings> settings_from_environment() {
  HubSettings s;
  for (const char* name : {"LUMEN_HUB_ENDPOINT", "HF_ENDPOINT"})
    if (s.endpoint.empty()) s.endpoint = trimmed(env(name));
  if (s.endpoint.empty()) s.endpoint = "https://huggingface.co";
  while (s.endpoint.size() > 1 && s.endpoint.back() == '/') s.endpoint.pop_back();
  for (const char* name : {"LUMEN_OFFLINE", "HF_HUB_OFFLINE"})
    if (s.offline.empty() && is_true(env(name))) s.offline = name;
  LUMEN_CHECK(read_token(s));
  return s;
}

}  // namespace lumen::hub
