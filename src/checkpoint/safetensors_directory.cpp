// A model's directory: config.json, the index of shards, the shards.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "checkpoint/json_metadata.h"
#include "checkpoint/safetensors.h"

namespace lumen {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxShards = 4096;

// What the views of the Checkpoint point into.
struct Kept {
  MetaStorage strings;
  std::vector<JsonDocument> headers;
};

class Directory {
 public:
  explicit Directory(const std::string& path) : path_(path) {
    c_.path = path;
    c_.container = "hf";
    c_.storage = kept_;
  }

  Result<Checkpoint> open() {
    LUMEN_CHECK(read_config());
    LUMEN_TRY(names, shard_names());
    for (const std::string& name : names) LUMEN_CHECK(read_shard(name));
    LUMEN_CHECK(check_index());
    for (const MetaEntry& e : c_.metadata) {
      bool says_mlx = e.key == "__metadata__.format" && e.value.type == MetaType::String && std::get<std::string_view>(e.value.scalar()) == "mlx";
      if (says_mlx || e.key == "quantization.bits") c_.container = "mlx";
    }
    return Checkpoint(std::move(c_));
  }

 private:
  std::string at(const std::string& name) const { return (fs::path(path_) / name).string(); }

  Result<JsonDocument> read_json(const std::string& name, MappedFile& file) {
    LUMEN_TRY(opened, MappedFile::open(at(name)));
    file = std::move(opened);
    auto parsed = JsonDocument::parse({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, 32);
    if (!parsed) return Error{at(name) + ": " + parsed.error().message};
    if (!parsed->root().is_object()) return Error{at(name) + ": expected a JSON object"};
    return parsed;
  }

  Status read_config() {
    MappedFile file;
    LUMEN_TRY(config, read_json("config.json", file));
    Status s = append_metadata(config.root(), "", kept_->strings, c_.metadata);
    if (!s) return Error{at("config.json") + ": " + s.error().message};
    return ok_status();
  }

  // The files with weights, by the index where there is one.
  Result<std::vector<std::string>> shard_names() {
    std::error_code ec;
    if (fs::exists(at(kIndex), ec)) return indexed_names();
    if (fs::exists(at("model.safetensors"), ec)) return std::vector<std::string>{"model.safetensors"};
    std::vector<std::string> names;
    for (fs::directory_iterator e(path_, ec), end; !ec && e != end; e.increment(ec))
      if (e->path().extension() == ".safetensors") names.push_back(e->path().filename().string());
    if (ec) return Error{path_ + ": " + ec.message()};
    std::sort(names.begin(), names.end());
    if (names.empty())
      return Error{path_ + ": expected weights in model.safetensors or in the files that " + kIndex + " names, found neither"};
    if (names.size() > kMaxShards) return Error{path_ + ": expected at most " + std::to_string(kMaxShards) + " files of weights"};
    return names;
  }

  Result<std::vector<std::string>> indexed_names() {
    MappedFile file;
    LUMEN_TRY(index, read_json(kIndex, file));
    const Json* map = index.root().find("weight_map");
    if (!map || !map->is_object() || map->members().empty()) return Error{at(kIndex) + ": weight_map: expected an object that names a file for each tensor"};
    std::set<std::string> names;
    for (const JsonMember& m : map->members()) {
      std::string name(m.value.is_string() ? m.value.as_string() : std::string_view());
      bool plain = !name.empty() && name.find('/') == name.npos && name.find('\\') == name.npos && name.find('\0') == name.npos && name[0] != '.';
      if (!plain)
        return Error{at(kIndex) + ": weight_map: " + lumen::quoted(m.key) + ": expected the name of a file in this directory, found " + lumen::quoted(name)};
      names.insert(name);
      if (names.size() > kMaxShards) return Error{at(kIndex) + ": weight_map: expected at most " + std::to_string(kMaxShards) + " files"};
      indexed_[std::string(m.key)] = name;
    }
    return std::vector<std::string>(names.begin(), names.end());
  }

  // The number of a dtype: its place in the Checkpoint's list of names.
  uint32_t type_id(std::string_view dtype) {
    auto it = std::find(c_.type_names.begin(), c_.type_names.end(), dtype);
    if (it == c_.type_names.end()) it = c_.type_names.insert(it, std::string(dtype));
    return static_cast<uint32_t>(it - c_.type_names.begin());
  }

  Status read_shard(const std::string& name) {
    LUMEN_TRY(file, MappedFile::open(at(name)));
    LUMEN_TRY(parsed, parse_safetensors(file.bytes(), at(name)));
    for (const SafetensorsFile::Tensor& t : parsed.tensors) {
      // Where an index names another file for this tensor, that one counts.
      if (auto it = indexed_.find(std::string(t.name)); it != indexed_.end() && it->second != name) continue;
      if (t.begin == t.end) continue;  // no elements: nothing that a model could use
      auto [other, fresh] = found_in_.emplace(t.name, name);
      if (!fresh) return Error{at(name) + ": tensor " + lumen::quoted(t.name) + " is in " + other->second + ", too: expected it once"};
      CheckpointTensor c;
      c.name = t.name;
      c.dims = t.dims.empty() ? std::vector<int64_t>{1} : t.dims;
      c.type_id = type_id(t.dtype);
      c.offset = t.begin;
      if (safetensors_bits(t.dtype)) c.bytes = t.end - t.begin;
      c.room = t.end - t.begin;
      c.data = file.bytes().data() + t.begin;
      c_.tensors.push_back(std::move(c));
    }
    if (parsed.metadata && c_.files.empty()) {  // they repeat from shard to shard
      Status s = append_metadata(*parsed.metadata, "__metadata__.", kept_->strings, c_.metadata);
      if (!s) return Error{at(name) + ": __metadata__: " + s.error().message};
    }
    c_.file_size += file.bytes().size();
    kept_->headers.push_back(std::move(parsed.header));
    c_.files.push_back(std::move(file));
    return ok_status();
  }

  Status check_index() const {
    for (const auto& [tensor, file] : indexed_)
      if (!found_in_.count(tensor))
        return Error{at(kIndex) + ": weight_map: " + lumen::quoted(tensor) + ": expected it in " + file + ", which has no such tensor"};
    return ok_status();
  }

  static constexpr const char* kIndex = "model.safetensors.index.json";
  std::string path_;
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
  std::map<std::string, std::string> indexed_;              // tensor -> file
  std::map<std::string_view, std::string> found_in_;        // tensor -> file
  Checkpoint::Contents c_;
};

}  // namespace

Result<Checkpoint> open_safetensors_directory(const std::string& path) { return Directory(path).open(); }

}  // namespace lumen
