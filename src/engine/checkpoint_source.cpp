// Containers told apart; metadata as static values.
#include "engine/checkpoint_source.h"

#include <filesystem>

#include "checkpoint/safetensors.h"
#include "engine/gguf_source.h"
#include "engine/hf_source.h"

namespace lumen::engine {

static bool is_gguf(const Checkpoint& file) { return file.container() == "gguf"; }

Result<Checkpoint> open_checkpoint(const std::string& path, const sema::Library& lib) {
  std::error_code ec;
  return std::filesystem::is_directory(path, ec) ? open_safetensors_directory(path) : open_gguf_checkpoint(path, lib);
}

Result<ir::Type> tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t) {
  return is_gguf(file) ? gguf_tensor_type(lib, file, t) : hf_tensor_type(lib, file, t);
}

// The key that says what the file is, and what it says: several names where a file gives a list.
static std::pair<std::string, std::vector<std::string>> architectures(const Checkpoint& file) {
  std::string key = is_gguf(file) ? "general.architecture" : "architectures";
  std::vector<std::string> names;
  if (auto list = file.get_strings(key)) names.assign(list->begin(), list->end());
  if (auto one = file.get_string(key)) names.emplace_back(*one);
  return {key, names};
}

std::string architecture_name(const Checkpoint& file) {
  auto names = architectures(file).second;
  return names.empty() ? "" : names.front();
}

Result<const ast::ModelDecl*> find_model(const sema::Library& lib, const Checkpoint& file) {
  auto [key, names] = architectures(file);
  if (names.empty()) return Error{file.path() + ": expected " + lumen::quoted(key) + " to say what model this is, found nothing"};
  std::vector<std::string> kinds = {file.container()};
  if (file.container() == "mlx") kinds.push_back("hf");
  for (const std::string& name : names)
    for (const std::string& kind : kinds)
      if (const ast::ModelDecl* decl = lib.model_for(kind, name)) return decl;
  std::string known;
  for (const std::string& n : lib.model_names()) known += (known.empty() ? "" : ", ") + n;
  return Error{file.path() + ": " + key + " is " + lumen::quoted(names.front()) + ", which no model declaration handles (known: " + known +
               "); a `model` with `arch " + kinds.back() + " \"" + names.front() + "\"` in a .lum file (--lum DIR) would teach it"};
}

std::optional<sema::StaticValue> CheckpointSource::config(const std::string& key) const {
  const MetaValue* v = file_.find(key);
  if (!v) return std::nullopt;
  if (v->type == MetaType::Array) {
    if (v->element == MetaType::Array) return std::nullopt;
    if (v->element == MetaType::String) {
      auto s = file_.get_strings(key);
      if (!s) return std::nullopt;
      return std::vector<std::string>(s->begin(), s->end());
    }
    if (v->element == MetaType::F32 || v->element == MetaType::F64) {
      auto f = file_.get_floats(key);
      return f ? std::optional<sema::StaticValue>(*f) : std::nullopt;
    }
    if (v->element == MetaType::Bool) {
      auto b = file_.get_bools(key);
      if (!b) return std::nullopt;
      return std::vector<int64_t>(b->begin(), b->end());
    }
    auto i = file_.get_ints(key);
    return i ? std::optional<sema::StaticValue>(*i) : std::nullopt;
  }
  MetaValue::Scalar s = v->scalar();
  if (auto* u = std::get_if<uint64_t>(&s))
    return *u <= INT64_MAX ? std::optional<sema::StaticValue>(static_cast<int64_t>(*u)) : std::nullopt;
  if (auto* i = std::get_if<int64_t>(&s)) return *i;
  if (auto* d = std::get_if<double>(&s)) return *d;
  if (auto* b = std::get_if<bool>(&s)) return *b;
  return std::string(std::get<std::string_view>(s));
}

Result<std::optional<sema::ModelSource::TensorInfo>> CheckpointSource::tensor(const std::string& name) const {
  const CheckpointTensor* t = file_.find_tensor(name);
  if (!t) return std::optional<TensorInfo>();
  LUMEN_TRY(type, tensor_type(lib_, file_, *t));
  return std::optional<TensorInfo>(TensorInfo{type});
}

}  // namespace lumen::engine
