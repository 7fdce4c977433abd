// config.json out of what the declaration names there, the tokenizer's files out of the metadata.
#include "runtime/as_directory.h"

#include <charconv>
#include <set>

#include "base/json_text.h"
#include "engine/checkpoint_source.h"
#include "engine/declared_view.h"
#include "runtime/directory.h"
#include "tokenizer/hf_writer.h"

namespace lumen::runtime {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;  // key, JSON

// Keys with dots become objects in objects.
std::string object(const Members& members, const std::string& indent = "") {
  std::string out = "{";
  std::set<std::string> done;
  for (const auto& [key, json] : members) {
    size_t dot = key.find('.');
    std::string name = key.substr(0, dot), value = json;
    if (!done.insert(name).second) continue;
    if (dot != key.npos) {
      Members inside;
      for (const auto& [k, j] : members)
        if (k.starts_with(name + ".")) inside.emplace_back(k.substr(dot + 1), j);
      value = object(inside, indent + "  ");
    }
    out += (out.size() > 1 ? ",\n" : "\n") + indent + "  " + json_string(name) + ": " + value;
  }
  return out + "\n" + indent + "}";
}

std::string json_of(double d) {
  char text[64];
  float f = static_cast<float>(d);  // a GGUF file's numbers are floats: as short as they can be
  std::string out(text, (f == d ? std::to_chars(text, text + sizeof text, f) : std::to_chars(text, text + sizeof text, d)).ptr);
  return out.find_first_of(".en") == out.npos ? out + ".0" : out;
}
std::string json_of(int64_t i) { return std::to_string(i); }
std::string json_of(bool b) { return b ? "true" : "false"; }
std::string json_of(const std::string& s) { return json_string(s); }
std::string json_of(const ir::FormatRef&) { return "null"; }
template <class T>
std::string json_of(const std::vector<T>& list) {
  std::string out = "[";
  for (const T& v : list) out += (out.size() > 1 ? ", " : "") + json_of(v);
  return out + "]";
}

// What the weights are computed in: the type of plain matrices, else that of most formats' scales.
Result<std::string> torch_dtype(const sema::Library& lib, const Checkpoint& file) {
  for (const CheckpointTensor& t : file.tensors()) {
    if (t.dims.size() < 2) continue;
    LUMEN_TRY(type, engine::tensor_type(lib, file, t));
    if (!type.format && type.scalar == DType::BF16) return std::string("bfloat16");
    if (!type.format && type.scalar == DType::F32) return std::string("float32");
    break;
  }
  return std::string("float16");
}

}  // namespace

Result<AsDirectory> open_as_directory(const std::string& path, const sema::Library& library) {
  LUMEN_TRY(opened, engine::open_checkpoint(path, library));
  if (opened.container() != "gguf") return AsDirectory{std::move(opened), {}};
  auto file = std::make_shared<const Checkpoint>(std::move(opened));
  LUMEN_TRY(view, engine::hf_view(library, file));
  Members config;
  for (const auto& [key, value] : view.config) config.emplace_back(key, std::visit([](const auto& v) { return json_of(v); }, value));
  LUMEN_TRY(dtype, torch_dtype(library, view.tensors));
  config.emplace_back("torch_dtype", json_string(dtype));
  std::map<std::string, std::string> texts;
  if (file->find("tokenizer.ggml.model")) {
    LUMEN_TRY(spec, gguf_spec(*file));
    auto made = Tokenizer::create(spec);
    if (!made) return Error{path + ": " + made.error().message};
    std::string_view chat_template;
    if (file->find("tokenizer.chat_template")) {
      LUMEN_TRY(text, file->get_string("tokenizer.chat_template"));
      chat_template = text;
    }
    auto files = hf_tokenizer_files(spec, *made, chat_template);
    if (!files) return Error{path + ": " + files.error().message};
    for (auto [key, id] : {std::pair<const char*, int32_t>{"bos_token_id", spec.bos}, {"eos_token_id", spec.eos}})
      if (id >= 0) config.emplace_back(key, std::to_string(id));
    texts = {{"tokenizer.json", std::move(files->tokenizer)},
             {"tokenizer_config.json", std::move(files->tokenizer_config)},
             {"generation_config.json", std::move(files->generation_config)}};
  }
  texts["config.json"] = object(config) + "\n";
  return AsDirectory{std::move(view.tensors), std::move(texts)};
}

}  // namespace lumen::runtime
