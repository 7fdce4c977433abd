// The file's body: made_for, content, geometry of tensor types, shape, steps.
#include "engine/start_cache.h"

#define XXH_INLINE_ALL
#include <sys/stat.h>
#include <xxhash.h>

#include <cstdlib>
#include <filesystem>

#include "engine/cache_file.h"
#include "engine/checkpoint_source.h"
#include "engine/gguf_source.h"
#include "engine/model.h"
#include "engine/packed_cache.h"

namespace lumen::engine {
namespace {

constexpr char kMagic[8] = {'L', 'M', 'N', 'S', 'T', 'R', 'T', '1'};
constexpr size_t kOthers = 63;  // files of other models and options that may stay

class Digest {
 public:
  Digest() { XXH3_64bits_reset(&state_); }
  void bytes(const void* data, size_t n) { XXH3_64bits_update(&state_, data, n); }
  void number(uint64_t n) { bytes(&n, sizeof n); }
  void text(std::string_view s) {
    number(s.size());
    bytes(s.data(), s.size());
  }
  uint64_t value() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

std::string stamp(const struct stat& st) {
  return std::to_string(st.st_size) + " bytes, " + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec) + "\n";
}

// Everything that a plan may depend on: metadata, tensors' names, types and dimensions. Of arrays of strings (vocabularies) the length
// alone; the path's stamp stands for the rest, as it does for the tensors' values. Further files of a split model count by theirs.
uint64_t digest(const Checkpoint& file) {
  Digest d;
  for (const MetaEntry& e : file.metadata()) {
    d.text(e.key);
    d.number(static_cast<uint64_t>(e.value.type) << 32 | static_cast<uint64_t>(e.value.element));
    d.number(e.value.count);
    if (e.value.type != MetaType::Array || size_of(e.value.element) > 0) d.bytes(e.value.data, e.value.size);
  }
  for (const CheckpointTensor& t : file.tensors()) {
    d.text(t.name);
    d.number(t.type_id);
    d.number(t.offset);
    for (int64_t n : t.dims) d.number(static_cast<uint64_t>(n));
  }
  for (const MappedFile& part : file.files()) {
    struct stat st {};
    d.text(::stat(part.path().c_str(), &st) == 0 ? stamp(st) : "");
  }
  return d.value();
}

}  // namespace

StartCache::StartCache(const std::string& model_path, const sema::Library& lib, const Machine& machine, const ModelOptions& o)
    : model_(model_path) {
  std::string dir = PackedCache::directory(), id = build_id();
  struct stat st {};
  std::error_code ec;
  made_for_ = std::filesystem::canonical(model_path, ec).string() + "\n";
  if (dir.empty() || id.empty() || o.exact || machine.gpu) return;
  if (std::getenv("LUMEN_DUMP")) return;  // it shows what passes do: they must run
  if (ec || ::stat(model_path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return;
  made_for_ += id + "\n" + machine.name;
  for (int64_t n : {int64_t{machine.lanes}, int64_t{machine.vector_registers}, int64_t{machine.maddubs}, int64_t{machine.dot4}, machine.l1,
                    machine.l2, int64_t{machine.threads}, o.context, o.sequences, o.batch})
    made_for_ += " " + std::to_string(n);
  made_for_ += "\n" + o.quantize + "\n";
  for (const SourcePtr& s : lib.added()) made_for_ += s->path + "\n" + std::to_string(s->text.size()) + "\n" + s->text;
  char name[17];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(XXH3_64bits(made_for_.data(), made_for_.size())));
  path_ = dir + "/" + name + ".start";
  made_for_ += stamp(st);
  read();
}

StartCache::~StartCache() {
  if (saver_.joinable()) saver_.join();
}

void StartCache::read() {
  std::string all = read_cache_file(path_, kMagic);
  ByteReader in(all);
  if (in.text() != made_for_) return;
  content_ = in.get<uint64_t>();
  for (uint64_t n = in.count(); n > 0; --n) {
    auto type = in.get<uint32_t>();
    geometry_[type] = in.get<BlockGeometry>();
  }
  shape_.vocab = in.get<int64_t>();
  shape_.context = in.get<int64_t>();
  shape_.layers = in.get<int64_t>();
  for (uint64_t n = in.count(); n > 0; --n) {
    std::string name(in.text());
    shape_.states.push_back({name, in.get<int64_t>()});
  }
  for (uint64_t n = in.count(); n > 0; --n) {
    auto hint = in.get<int>();
    steps_[hint] = in.text();
  }
  found_ = in.done();
}

std::string StartCache::body() const {
  ByteWriter out;
  out.text(made_for_);
  out.put(content_);
  out.put<uint64_t>(geometry_.size());
  for (const auto& [type, g] : geometry_) {
    out.put(type);
    out.put(g);
  }
  for (int64_t n : {shape_.vocab, shape_.context, shape_.layers}) out.put(n);
  out.put<uint64_t>(shape_.states.size());
  for (const ModelShape::State& s : shape_.states) {
    out.text(s.name);
    out.put(s.bytes);
  }
  out.put<uint64_t>(steps_.size());
  for (const auto& [hint, step] : steps_) {
    out.put(hint);
    out.text(step);
  }
  return out.take();
}

Result<Checkpoint> StartCache::open(const sema::Library& lib) {
  if (found_) {
    auto file = open_gguf(model_, [this](uint32_t type) -> std::optional<BlockGeometry> {
      auto it = geometry_.find(type);
      return it == geometry_.end() || it->second.elements == 0 ? std::nullopt : std::optional<BlockGeometry>(it->second);
    });
    if (file && digest(*file) == content_) return file;
    found_ = false;
  }
  return open_checkpoint(model_, lib);
}

void StartCache::reset(const sema::Library& lib, const Checkpoint& file, const ModelShape& shape) {
  if (path_.empty()) return;
  content_ = digest(file);
  geometry_.clear();
  for (const CheckpointTensor& t : file.tensors())
    if (!geometry_.count(t.type_id)) geometry_[t.type_id] = gguf_geometry(lib, file, t.type_id).value_or(BlockGeometry{});
  shape_ = shape;
  steps_.clear();
  found_ = true;
}

void StartCache::add(int hint, std::string step) {
  if (path_.empty() || !found_ || step.empty()) return;
  std::string& kept = steps_[hint];
  if (kept == step) return;
  kept = std::move(step);
  if (saver_.joinable()) saver_.join();
  saver_ = std::thread([this, all = body()] {
    prune_beside(path_, kOthers);
    write_cache_file(path_, kMagic, all);
  });
}

}  // namespace lumen::engine
