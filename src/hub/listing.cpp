// The hub's answers, field by field.
#include "hub/listing.h"

#include <charconv>

#include "base/json.h"
#include "hub/model_ref.h"

namespace lumen::hub {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 50;  // of a file: a petabyte

std::string kind_of(const Json* j) {
  static constexpr const char* kNames[] = {"null", "a bool", "an integer", "a number", "a string", "an array", "an object"};
  return j ? kNames[static_cast<int>(j->kind())] : "nothing";
}

Error unexpected(const std::string& field, const std::string& expected, const Json* found) {
  std::string text = found && found->is_string() ? "'" + printable(found->as_string(), 80) + "'" : kind_of(found);
  return Error{field + ": expected " + expected + ", found " + text};
}

Result<JsonDocument> parse(std::string_view json) {
  auto doc = JsonDocument::parse(json, 32);
  if (!doc) return Error{"expected JSON: " + doc.error().message};
  return doc;
}

Result<uint64_t> size_of(const Json& entry, const std::string& where) {
  const Json* v = entry.find("size");
  if (!v || !v->is(Json::Kind::Int) || v->as_int() < 0 || static_cast<uint64_t>(v->as_int()) > kMostBytes)
    return unexpected(where + ": size", "a file's size", v);
  return static_cast<uint64_t>(v->as_int());
}

// "oid", of the file itself or of its "lfs" object.
Result<Digest> digest_of(const Json& entry, Digest::Kind kind, const std::string& where) {
  const Json* v = entry.find("oid");
  std::string_view hex = v && v->is_string() ? v->as_string() : "";
  if (hex.rfind("sha256:", 0) == 0) hex.remove_prefix(7);
  if (!is_digest(kind, hex)) return unexpected(where + ": oid", kind == Digest::Sha256 ? "a sha256" : "git's name of the content", v);
  return Digest{kind, std::string(hex)};
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t v = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return v;
}

}  // namespace

Result<std::string> parse_commit(std::string_view json) {
  LUMEN_TRY(doc, parse(json));
  const Json* sha = doc.root().find("sha");
  if (!sha || !sha->is_string() || !is_digest(Digest::GitBlob, sha->as_string()))
    return unexpected("sha", "a commit's 40 hexadecimal digits", sha);
  return std::string(sha->as_string());
}

Status parse_tree(std::string_view json, std::vector<RemoteFile>& files) {
  LUMEN_TRY(doc, parse(json));
  if (!doc.root().is_array()) return unexpected("the list of files", "an array", &doc.root());
  size_t i = 0;
  for (const Json& e : doc.root().items()) {
    std::string where = "file " + std::to_string(i++);
    const Json *type = e.find("type"), *path = e.find("path");
    if (!type || !type->is_string()) return unexpected(where + ": type", "\"file\" or \"directory\"", type);
    if (type->as_string() != "file") continue;
    if (!path || !path->is_string()) return unexpected(where + ": path", "a string", path);
    LUMEN_CHECK(check_path(path->as_string()));
    RemoteFile f{std::string(path->as_string()), 0, {}};
    where = "'" + f.path + "'";
    const Json* lfs = e.find("lfs");
    bool large = lfs && lfs->is_object();
    LUMEN_TRY(bytes, size_of(large ? *lfs : e, where));
    LUMEN_TRY(digest, digest_of(large ? *lfs : e, large ? Digest::Sha256 : Digest::GitBlob, where));
    f.bytes = bytes;
    f.digest = std::move(digest);
    files.push_back(std::move(f));
  }
  return ok_status();
}

std::string next_page(std::string_view link) {
  // <https://…?cursor=x>; rel="next", <…>; rel="last"
  for (size_t at = 0; (at = link.find('<', at)) != link.npos;) {
    size_t end = link.find('>', at);
    if (end == link.npos) return "";
    size_t stop = std::min(link.find('<', end), link.size());
    std::string_view parameters = link.substr(end + 1, stop - end - 1);
    if (parameters.find("rel=\"next\"") != parameters.npos || parameters.find("rel=next") != parameters.npos)
      return std::string(link.substr(at + 1, end - at - 1));
    at = stop;
  }
  return "";
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (text.rfind("bytes ", 0) != 0) return std::nullopt;
  text.remove_prefix(6);
  size_t dash = text.find('-'), slash = text.find('/');
  if (dash == text.npos || slash == text.npos || slash < dash) return std::nullopt;
  auto first = number(text.substr(0, dash)), last = number(text.substr(dash + 1, slash - dash - 1));
  std::string_view all = text.substr(slash + 1);
  auto total = number(all);
  if (!first || !last || *last < *first || (!total && all != "*")) return std::nullopt;
  return ContentRange{*first, total};
}

}  // namespace lumen::hub
