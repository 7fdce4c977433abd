// Names to paths, over the records that pulls leave behind.
#include "hub/store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "hub/choose.h"
#include "hub/download.h"
#include "hub/names.h"
#include "hub/places.h"

namespace lumen::hub {
namespace fs = std::filesystem;

namespace {

bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}
std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string stem_of(const std::string& path) { return fs::path(path).stem().string(); }

// Files and directories put into the store by hand, or by scripts/fetch_model.sh.
void add_local(const fs::directory_entry& e, std::vector<StoredModel>& out) {
  std::error_code ec;
  StoredModel m{e.path().filename().string(), e.path().string(), 0};
  if (e.is_regular_file(ec) && e.path().extension() == ".gguf") {
    m.name = e.path().stem().string();
    m.bytes = e.file_size(ec);
    out.push_back(std::move(m));
  } else if (e.is_directory(ec) && fs::exists(e.path() / "config.json", ec)) {
    for (const auto& f : fs::directory_iterator(e.path(), ec))
      if (f.is_regular_file(ec)) m.bytes += f.file_size(ec);
    out.push_back(std::move(m));
  }
}

// The models of one pulled repository: its GGUF files, its directory.
void add_pulled(const std::string& directory, const Record& r, std::vector<StoredModel>& out) {
  StoredModel like;
  like.source = "hf:" + r.name;
  like.endpoint = r.endpoint;
  like.directory = directory;
  const std::string root = store_directory() + "/" + directory;
  std::vector<StoredModel> models;
  std::vector<RemoteFile> all(r.files.begin(), r.files.end());
  for (const std::string& path : r.pending) all.push_back({path, 0, {}});
  auto add = [&](StoredModel& m, const RemoteFile& f) {
    m.bytes += f.bytes;
    m.complete = m.complete && !r.is_pending(f.path);
    if (const StoredFile* stored = r.find(f.path)) m.files.push_back(*stored);
  };
  for (const GgufGroup& g : gguf_groups(all)) {
    StoredModel m = like;
    m.path = root + "/" + g.name;
    m.complete = g.files.size() == g.parts;
    for (const RemoteFile& f : g.files) add(m, f);
    m.name = g.name;
    models.push_back(std::move(m));
  }
  StoredModel dir = like;
  dir.path = root;
  bool weights = false;
  for (const RemoteFile& f : all)
    if (!ends_with(f.path, ".gguf")) add(dir, f), weights = weights || ends_with(f.path, ".safetensors");
  if (weights) models.push_back(std::move(dir));
  for (StoredModel& m : models) {
    m.name = models.size() == 1 || m.name.empty() ? r.name : r.name + ":" + m.name;
    out.push_back(std::move(m));
  }
}

bool plain_directory(const fs::directory_entry& e) {
  std::error_code ec;
  return e.is_directory(ec) && !e.is_symlink(ec) && e.path().filename().string()[0] != '.';
}

std::string names_of(const std::vector<StoredModel>& models) {
  std::string out;
  for (const StoredModel& m : models) out += (out.empty() ? "" : ", ") + m.name;
  return out;
}

// Those that a reference means: of its repository, and of its pattern where it has one.
std::vector<StoredModel> models_of(const ModelRef& ref, const std::vector<StoredModel>& all) {
  std::vector<StoredModel> out;
  for (const StoredModel& m : all) {
    auto fits = [&](const StoredFile& f) { return matches(ref.pattern, f.path); };
    bool meant =
        ref.pattern.empty() || (m.files.empty() ? matches(ref.pattern, m.path) : std::any_of(m.files.begin(), m.files.end(), fits));
    if (m.source == "hf:" + ref.name() && meant) out.push_back(m);
  }
  return out;
}

Result<StoredModel> one_of(std::vector<StoredModel> models, const std::string& name) {
  if (models.size() == 1) return std::move(models[0]);
  return Error{name + ": " + std::to_string(models.size()) + " models are meant by that: name one of " + names_of(models), true};
}

void remove_empty_directories(const fs::path& from, const fs::path& up_to) {
  std::error_code ec;
  for (fs::path p = from; p != up_to && p.has_relative_path(); p = p.parent_path())
    if (!fs::remove(p, ec)) return;  // not empty
}

}  // namespace

std::string store_directory() {
  auto env = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  if (std::string d = env("LUMEN_MODELS"); !d.empty()) return d;
  if (std::string d = env("XDG_DATA_HOME"); !d.empty()) return d + "/lumen/models";
  return env("HOME") + "/.local/share/lumen/models";
}

std::vector<StoredModel> list_models() {
  std::vector<StoredModel> out;
  std::error_code ec;
  const std::string root = store_directory();
  for (const auto& e : fs::directory_iterator(root, ec)) add_local(e, out);
  for (const auto& org : fs::directory_iterator(root + "/hf", ec)) {
    if (!plain_directory(org)) continue;
    for (const auto& repo : fs::directory_iterator(org.path(), ec)) {
      if (!plain_directory(repo)) continue;
      auto record = read_record(repo.path().string());
      if (record && *record) add_pulled("hf/" + last_of(org.path().string()) + "/" + last_of(repo.path().string()), **record, out);
    }
  }
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return out;
}

Result<StoredModel> find_model(const std::string& name) {
  std::vector<StoredModel> all = list_models(), found;
  for (const StoredModel& m : all)
    if (m.name == name || (m.source.empty() && last_of(m.path) == name)) return m;
  LUMEN_TRY(by_short_name, ref_of_short_name(name));
  if (by_short_name || looks_like_ref(name)) {
    ModelRef ref;
    if (by_short_name) {
      ref = *by_short_name;
    } else {
      LUMEN_TRY(parsed, parse_ref(name));
      ref = std::move(parsed);
    }
    found = models_of(ref, all);
    if (!found.empty()) return one_of(std::move(found), name);
    return Error{name + ": not in " + store_directory() + "; lumen pull " + name + " fetches it" +
                 (by_short_name ? " (" + ref.text() + ")" : "")};
  }
  for (const StoredModel& m : all)
    if (!m.source.empty() && (last_of(m.path) == name || (ends_with(m.path, ".gguf") && stem_of(m.path) == name))) found.push_back(m);
  if (!found.empty()) return one_of(std::move(found), name);
  return Error{name + ": no such model in " + store_directory() + " (lumen list shows those that are there)"};
}

Result<std::string> resolve_model(const std::string& name) {
  std::error_code ec;
  if (name.empty()) return Error{"expected a model: a path or the name of a fetched one, found nothing", true};
  if (fs::exists(name, ec)) return name;
  auto model = find_model(name);
  if (model && model->complete) return model->path;
  if (model) return Error{model->name + ": its pull did not come to the end; lumen pull " + model->source + " continues it"};
  bool path = name.find('/') != name.npos && name.rfind("hf:", 0) != 0;
  if (path && !looks_like_ref(name)) return Error{name + ": no such file"};
  return Error{(path ? name + ": no such file, and " : "") + model.error().message, model.error().usage};
}

Status remove_model(const StoredModel& m) {
  std::error_code ec;
  if (m.source.empty()) {
    fs::remove_all(m.path, ec);
    return ec ? Status(Error{m.path + ": cannot remove: " + ec.message()}) : ok_status();
  }
  const std::string store = store_directory(), root = store + "/" + m.directory, lock_path = store + "/" + lock_path_of(m.directory);
  LUMEN_TRY(lock, StoreLock::take(lock_path, m.name, {}));
  LUMEN_TRY(record, read_record(root));
  if (!record) return Error{m.name + ": it was removed meanwhile"};
  std::vector<std::string> paths;
  bool directory = m.path == root;
  for (const StoredFile& f : record->files) paths.push_back(f.path);
  for (const std::string& p : record->pending) paths.push_back(p);
  for (const std::string& p : paths) {
    bool ours = directory ? !ends_with(p, ".gguf") : first_part(root + "/" + p) == m.path;
    if (!ours) continue;
    for (const std::string& file : {m.directory + "/" + p, part_path(m.directory, p), part_note_path(m.directory, p)}) {
      LUMEN_CHECK(check_place(store, file));
      if (::unlink((store + "/" + file).c_str()) != 0 && errno != ENOENT)
        return Error{store + "/" + file + ": cannot remove: " + std::strerror(errno)};
      remove_empty_directories(fs::path(store + "/" + file).parent_path(), root);
    }
    record->erase(p);
  }
  if (!record->files.empty() || !record->pending.empty()) return write_record(root, *record);
  fs::remove_all(root + "/.lumen", ec);
  ::unlink(lock_path.c_str());
  remove_empty_directories(root, store);
  return ok_status();
}

}  // namespace lumen::hub
