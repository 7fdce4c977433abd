// The small JSON files of the store.
#include "hub/record.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/mmap.h"
#include "hub/model_ref.h"

namespace lumen::hub {
namespace {

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;  // no text that comes here has any
  }
  return out + "\"";
}

Status write_text(const std::string& path, const std::string& text) {
  LUMEN_TRY(file, AtomicFile::create(path));
  LUMEN_CHECK(file.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  return file.commit();
}

struct Text {
  MappedFile file;
  JsonDocument json;
};
Result<Text> read_text(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::is_symlink(path, ec)) return Error{path + ": expected a file, found a symbolic link"};
  LUMEN_TRY(file, MappedFile::open(path));
  auto bytes = file.bytes();
  auto json = JsonDocument::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, 8);
  if (!json) return Error{path + ": " + json.error().message};
  return Text{std::move(file), json.take()};
}

std::string text_of(const Json& j, const char* key) {
  const Json* v = j.find(key);
  return v && v->is_string() ? std::string(v->as_string()) : "";
}

// "bytes", and "sha256" or "git_sha1".
std::optional<std::pair<uint64_t, Digest>> content_of(const Json& j) {
  const Json* bytes = j.find("bytes");
  if (!bytes || !bytes->is(Json::Kind::Int) || bytes->as_int() < 0) return std::nullopt;
  for (Digest::Kind kind : {Digest::Sha256, Digest::GitBlob}) {
    Digest d{kind, ""};
    d.hex = text_of(j, d.name());
    if (is_digest(kind, d.hex)) return std::pair{static_cast<uint64_t>(bytes->as_int()), d};
  }
  return std::nullopt;
}

std::string content_text(uint64_t bytes, const Digest& d) {
  return quoted("bytes") + ": " + std::to_string(bytes) + ", " + quoted(d.name()) + ": " + quoted(d.hex);
}

std::string record_path(const std::string& directory) { return directory + "/.lumen/record.json"; }

}  // namespace

const StoredFile* Record::find(const std::string& path) const {
  auto it = std::find_if(files.begin(), files.end(), [&](const StoredFile& f) { return f.path == path; });
  return it == files.end() ? nullptr : &*it;
}
bool Record::is_pending(const std::string& path) const { return std::find(pending.begin(), pending.end(), path) != pending.end(); }
void Record::erase(const std::string& path) {
  std::erase_if(files, [&](const StoredFile& f) { return f.path == path; });
  std::erase(pending, path);
}
void Record::put(StoredFile file) {
  erase(file.path);
  auto at = std::find_if(files.begin(), files.end(), [&](const StoredFile& f) { return f.path > file.path; });
  files.insert(at, std::move(file));
}

Result<std::optional<Record>> read_record(const std::string& directory) {
  std::string path = record_path(directory);
  std::error_code ec;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ec))) return std::optional<Record>();
  LUMEN_TRY(text, read_text(path));
  const Json& root = text.json.root();
  Record r{text_of(root, "name"), text_of(root, "endpoint"), {}, {}};
  if (!parse_ref(r.name)) return Error{path + ": name: expected ORG/REPO"};
  const Json *files = root.find("files"), *pending = root.find("pending");
  if (!files || !files->is_array() || !pending || !pending->is_array()) return Error{path + ": expected the arrays files and pending"};
  for (const Json& j : files->items()) {
    StoredFile f;
    f.path = text_of(j, "path");
    auto content = content_of(j);
    if (!check_path(f.path) || !content) return Error{path + ": files: expected path, bytes and digest, found something else"};
    std::tie(f.bytes, f.digest) = *content;
    f.commit = text_of(j, "commit");
    f.pulled = text_of(j, "pulled");
    r.put(std::move(f));
  }
  for (const Json& j : pending->items()) {
    if (!j.is_string() || !check_path(j.as_string())) return Error{path + ": pending: expected paths"};
    r.pending.push_back(std::string(j.as_string()));
  }
  return std::optional<Record>(std::move(r));
}

Status write_record(const std::string& directory, const Record& r) {
  std::string out = "{\n  \"name\": " + quoted(r.name) + ",\n  \"endpoint\": " + quoted(r.endpoint) + ",\n  \"files\": [";
  for (size_t i = 0; i < r.files.size(); ++i) {
    const StoredFile& f = r.files[i];
    out += std::string(i ? "," : "") + "\n    {\"path\": " + quoted(f.path) + ", " + content_text(f.bytes, f.digest) +
           ", \"commit\": " + quoted(f.commit) + ", \"pulled\": " + quoted(f.pulled) + "}";
  }
  out += std::string(r.files.empty() ? "" : "\n  ") + "],\n  \"pending\": [";
  for (size_t i = 0; i < r.pending.size(); ++i) out += (i ? ", " : "") + quoted(r.pending[i]);
  return write_text(record_path(directory), out + "]\n}\n");
}

std::optional<PartNote> read_part_note(const std::string& path) {
  auto text = read_text(path);
  if (!text) return std::nullopt;
  const Json& root = text->json.root();
  auto content = content_of(root);
  if (!content) return std::nullopt;
  return PartNote{text_of(root, "commit"), text_of(root, "endpoint"), text_of(root, "etag"), content->first, content->second};
}

Status write_part_note(const std::string& path, const PartNote& n) {
  return write_text(path, "{" + content_text(n.bytes, n.digest) + ", \"commit\": " + quoted(n.commit) +
                              ", \"endpoint\": " + quoted(n.endpoint) + ",\n \"etag\": " + quoted(n.etag) + "}\n");
}

std::string now_utc() {
  std::time_t t = std::time(nullptr);
  std::tm tm{};
  gmtime_r(&t, &tm);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
  return text;
}

}  // namespace lumen::hub
