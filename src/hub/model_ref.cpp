// References, globs and paths.
#include "hub/model_ref.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdio>

namespace lumen::hub {
namespace {

constexpr size_t kMostName = 96;        // of ORG and of REPO, the hub's own rule
constexpr size_t kMostComponent = 240;  // of a path: file systems take 255, and ".part.json" comes behind it
constexpr size_t kMostPath = 1024;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool is_name(const std::string& s) {
  auto edge = [](char c) { return c == '.' || c == '-'; };
  return !s.empty() && s.size() <= kMostName && std::all_of(s.begin(), s.end(), is_word) && !edge(s.front()) && !edge(s.back()) &&
         s.find("..") == s.npos && s.find("--") == s.npos;
}

// Words and slashes as git takes them for branches, tags and commits.
bool is_revision(const std::string& s) {
  return !s.empty() && s.size() <= 200 && std::all_of(s.begin(), s.end(), [](char c) { return is_word(c) || c == '/' || c == '+'; }) &&
         s.find("..") == s.npos && s.front() != '/' && s.front() != '-' && s.back() != '/';
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

std::string ModelRef::directory() const { return "hf/" + org + "/" + repo + (revision.empty() ? "" : "@" + url_encoded(revision, false)); }

Result<ModelRef> parse_ref(const std::string& text) {
  auto wrong = [&](const std::string& what) {
    return Error{"'" + printable(text) + "': expected hf:ORG/REPO[@REVISION][:PATTERN]" + what, true};
  };
  ModelRef r;
  std::string rest = text.rfind("hf:", 0) == 0 ? text.substr(3) : text;
  if (size_t colon = rest.find(':'); colon != rest.npos) {
    r.pattern = rest.substr(colon + 1);
    rest.resize(colon);
    if (r.pattern.empty()) return wrong(", found nothing behind the last ':'");
    if (r.pattern.size() > 300 || std::any_of(r.pattern.begin(), r.pattern.end(), is_control)) return wrong(", found no such PATTERN");
  }
  if (size_t at = rest.find('@'); at != rest.npos) {
    r.revision = rest.substr(at + 1);
    rest.resize(at);
    if (!is_revision(r.revision)) return wrong(", found no branch, tag or commit behind '@'");
  }
  if (r.revision == "main") r.revision.clear();
  size_t slash = rest.find('/');
  if (slash == rest.npos) return wrong("");
  r.org = rest.substr(0, slash);
  r.repo = rest.substr(slash + 1);
  if (!is_name(r.org) || !is_name(r.repo)) return wrong("; names are letters, digits, '_', '-' and '.'");
  return r;
}

bool looks_like_ref(const std::string& text) {
  if (text.rfind("hf:", 0) == 0) return true;
  auto ref = parse_ref(text);
  return ref && (ref->repo.size() < 5 || ref->repo.compare(ref->repo.size() - 5, 5, ".gguf") != 0);  // rather a path that is not there
}

bool matches(const std::string& pattern, const std::string& path) {
  std::string last = path.substr(path.rfind('/') + 1);
  auto glob = [](const std::string& p, const std::string& s) { return fnmatch(p.c_str(), s.c_str(), FNM_CASEFOLD) == 0; };
  if (glob(pattern, path) || glob(pattern, last)) return true;
  return pattern.find_first_of("*?[") == pattern.npos && glob("*" + pattern + "*", last);
}

Status check_path(std::string_view path) {
  auto wrong = [&](const std::string& what) { return Error{"refused the file name '" + printable(path, 100) + "': " + what}; };
  if (path.empty()) return Error{"refused a file without a name"};
  if (std::any_of(path.begin(), path.end(), is_control)) return wrong("it has control characters");
  if (path.front() == '/') return wrong("expected a path inside the repository, found an absolute one");
  if (path.size() > kMostPath)
    return wrong("expected at most " + std::to_string(kMostPath) + " bytes, found " + std::to_string(path.size()));
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..")
      return wrong("expected a path inside the repository, found '" + std::string(part) + "' in it");
    if (part.size() > kMostComponent)
      return wrong("expected at most " + std::to_string(kMostComponent) + " bytes between slashes, found " + std::to_string(part.size()));
    if (begin == 0 && part == ".lumen") return wrong("that name is Lumen's own");
    begin = end + 1;
  }
  return ok_status();
}

std::string printable(std::string_view text, size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out)
    if (is_control(c)) c = '?';
  return text.size() > most ? out + "…" : out;
}

std::string url_encoded(std::string_view text, bool slashes) {
  std::string out;
  for (char c : text) {
    char hex[4];
    if (is_word(c) || c == '~' || (c == '/' && slashes)) {
      out += c;
    } else {
      std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned char>(c));
      out += hex;
    }
  }
  return out;
}

}  // namespace lumen::hub
