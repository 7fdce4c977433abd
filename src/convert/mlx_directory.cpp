// Each weight is encoded as blocks and its fields are then taken apart into the tensors that the format declares for them.
#include "convert/mlx_directory.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "base/json_text.h"
#include "base/atomic_file.h"
#include "checkpoint/safetensors_writer.h"
#include "engine/field_tensors.h"

namespace lumen::convert {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kShardBytes = 5ull << 30;

std::string spelt(DType t) {
  static const std::map<DType, std::string> table = {{DType::F32, "F32"}, {DType::F16, "F16"}, {DType::BF16, "BF16"}, {DType::U8, "U8"}};
  auto it = table.find(t);
  return it == table.end() ? "" : it->second;
}

// One tensor of the output. The fields of one weight share what was encoded; the last of them lets it go.
struct Output {
  std::string name, dtype;
  std::vector<int64_t> dims;
  uint64_t bytes;
  TensorProducer producer;
};

// "a/b/" -> "a/b": names are made by appending to it.
std::string without_slash(std::string path) {
  path = fs::path(path).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

class MemorySink : public ByteSink {
 public:
  explicit MemorySink(size_t bytes) { out.reserve(bytes); }
  Status write(std::span<const uint8_t> bytes) override {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return ok_status();
  }
  std::vector<uint8_t> out;
};

class Directory {
 public:
  Directory(const sema::Library& lib, const Checkpoint& in, const std::map<std::string, std::string>& texts, std::string out,
            const QuantizeOptions& o, const ast::FormatDecl& decl)
      : lib_(lib), in_(in), texts_(texts), out_(without_slash(std::move(out))), o_(o), decl_(decl), team_(std::max(1, o.threads)) {}

  Result<QuantizeReport> write() {
    std::error_code ec;
    if (fs::exists(out_, ec)) return Error{out_ + ": it is there already; expected a new directory", true};
    LUMEN_CHECK(plan());
    part_ = out_ + ".part";
    if (fs::path parent = fs::path(part_).parent_path(); !parent.empty()) fs::create_directories(parent, ec);
    if (!fs::create_directory(part_, ec))  // made here and now, so that it may be removed again
      return Error{part_ + ": " + (ec ? ec.message() : "it is there already, of an interrupted run or a running one; expected no such directory"), true};
    Status done = fill();
    if (done) {
      fs::rename(part_, out_, ec);
      if (!ec) return std::move(report_);
      done = Error{out_ + ": " + ec.message()};
    }
    fs::remove_all(part_, ec);
    return done.error();
  }

 private:
  // The format for a weight whose numbers are `scalar`: types among its parameters become that.
  Result<ir::FormatRef> format_for(DType scalar) const {
    std::string name = o_.recipe.format.substr(0, o_.recipe.format.find('<'));
    std::string params;
    if (size_t open = o_.recipe.format.find('<'); open != std::string::npos)
      params = o_.recipe.format.substr(open + 1, o_.recipe.format.rfind('>') - open - 1);
    size_t given = params.empty() ? 0 : 1 + static_cast<size_t>(std::count(params.begin(), params.end(), ','));
    for (size_t i = given; i < decl_.generics.size() && decl_.generics[i].kind == "float"; ++i)
      params += (params.empty() ? "" : ", ") + std::string(lumen::name(scalar));
    LUMEN_TRY(element, target_element(lib_, params.empty() ? name : name + "<" + params + ">", "--format"));
    if (!element.format) return Error{"--format: expected a format of blocks, found " + name, true};
    return element.format;
  }

  Status plan() {
    std::vector<std::string> names;
    std::vector<const CheckpointTensor*> tensors;
    for (const CheckpointTensor& t : in_.tensors()) {
      if (is_field(t)) continue;  // goes with its weight
      names.emplace_back(t.name);
      tensors.push_back(&t);
    }
    RecipeModel model;
    model.tensors = names;
    LUMEN_TRY(choices, choose_formats(o_.recipe, model));
    for (size_t i = 0; i < tensors.size(); ++i) LUMEN_CHECK(plan_tensor(*tensors[i], choices[i]));
    if (total_ == 0) return Error{in_.path() + ": no tensor takes the format " + o_.recipe.format, true};
    return ok_status();
  }

  // Scales and the like of a weight that is quantised already.
  bool is_field(const CheckpointTensor& t) const {
    if (in_.container() != "mlx") return false;
    size_t dot = t.name.rfind('.');
    std::string_view last = t.name.substr(dot == t.name.npos ? 0 : dot + 1);
    if (last != "scales" && last != "biases") return false;
    const CheckpointTensor* w = in_.find_tensor(std::string(t.name.substr(0, dot + 1)) + "weight");
    return w && in_.type_name(w->type_id) == "U32";
  }

  Status plan_tensor(const CheckpointTensor& t, const Choice& choice) {
    LUMEN_TRY(from, o_.type_of(t));
    std::vector<int64_t> dims;
    for (const ir::Dim& d : from.dims) dims.push_back(d.value);
    from.dims.clear();
    QuantizedTensor q{std::string(t.name), name_of(from), "", choice.why, t.bytes.value_or(0), t.bytes.value_or(0)};
    LUMEN_TRY(format, format_for(from.format ? DType::F16 : from.scalar));
    bool weight = t.name.size() > 7 && t.name.substr(t.name.size() - 7) == ".weight";
    if (dims.size() < 2)
      q.why = "one axis: norms and biases stay";
    else if (q.why.empty() && (dims.size() > 2 || !weight || (!from.format && !is_float(from.scalar))))
      q.why = "no weight of a linear layer or embedding";
    else if (q.why.empty() && dims.back() % format->block != 0)
      q.why = "its rows of " + std::to_string(dims.back()) + " are no multiple of the block of " + std::to_string(format->block);
    if (!q.why.empty()) {
      if (from.format)
        return Error{in_.path() + ": tensor " + q.name + ": " + q.why + ", and it is in the format " + q.from + ", which cannot stay",
                     true};
      std::string dtype = in_.container() == "gguf" ? spelt(from.scalar) : in_.type_name(t.type_id);
      if (dtype.empty()) return Error{in_.path() + ": tensor " + q.name + ": safetensors have no name for " + q.from};
      outputs_.push_back({q.name, std::move(dtype), t.dims, q.bytes_after, [this, &t](ByteSink& sink) -> Status {
                            LUMEN_TRY(data, in_.data(t));
                            return sink.write(data.bytes());
                          }});
      report_.tensors.push_back(std::move(q));
      return ok_status();
    }
    q.to = format->name;
    q.bytes_after = static_cast<uint64_t>(dims[0] * ir::row_bytes(*format, dims[1]));
    total_ += dims[0] * dims[1];
    format_ = format;
    size_t number = report_.tensors.size();
    report_.tensors.push_back(std::move(q));
    plan_fields(t, from, format, dims, number);
    return ok_status();
  }

  // The weight's own fields stand together in one tensor of 32-bit words; each other field is a tensor beside it.
  void plan_fields(const CheckpointTensor& t, const ir::Type& from, const ir::FormatRef& format, const std::vector<int64_t>& dims,
                   size_t number) {
    int64_t n = dims[0], blocks = dims[1] / format->block, own = 0;
    for (const ir::FormatField& f : format->fields)
      if (f.beside.empty()) own += f.count * size_of(f.type);
    auto encoded = std::make_shared<std::vector<uint8_t>>();
    outputs_.push_back({std::string(t.name),
                        "U32",
                        {n, blocks * own / 4},
                        static_cast<uint64_t>(n * blocks * own),
                        [=, this, &t](ByteSink& sink) -> Status {
                          LUMEN_TRY(bytes, encode(t, from, format, dims, number));
                          *encoded = std::move(bytes);
                          std::vector<uint8_t> part;
                          for (int64_t b = 0; b < n * blocks; ++b)
                            for (const ir::FormatField& f : format->fields)
                              if (f.beside.empty()) append(part, *encoded, b * format->block_bytes + f.offset, f.count * size_of(f.type));
                          return sink.write(part);
                        }});
    for (const ir::FormatField& f : format->fields) {
      if (f.beside.empty()) continue;
      int64_t size = f.count * size_of(f.type);
      bool last = &f == &format->fields.back();
      outputs_.push_back({engine::tensor_beside(t.name, f.beside),
                          spelt(f.type),
                          {n, blocks * f.count},
                          static_cast<uint64_t>(n * blocks * size),
                          [=, offset = f.offset](ByteSink& sink) -> Status {
                            std::vector<uint8_t> part;
                            for (int64_t b = 0; b < n * blocks; ++b) append(part, *encoded, b * format->block_bytes + offset, size);
                            if (last) *encoded = {};
                            return sink.write(part);
                          }});
    }
  }

  static void append(std::vector<uint8_t>& to, const std::vector<uint8_t>& from, int64_t at, int64_t size) {
    to.insert(to.end(), from.begin() + at, from.begin() + at + size);
  }

  Result<std::vector<uint8_t>> encode(const CheckpointTensor& t, const ir::Type& from, const ir::FormatRef& format,
                                      const std::vector<int64_t>& dims, size_t number) {
    std::shared_ptr<Buffer> together;
    LUMEN_TRY(data, engine::whole_rows(from, in_, t, team_, together));
    Recoder recoder(team_, from, ir::Type{DType::F32, format, {}});
    MemorySink sink(static_cast<size_t>(dims[0] * ir::row_bytes(*format, dims[1])));
    LUMEN_CHECK(recoder.run(data, dims[0], dims[1], {}, in_.path() + ": tensor " + std::string(t.name), sink, [&](int64_t n) {
      done_ += n;
      if (o_.progress) o_.progress(done_, total_);
    }));
    report_.tensors[number].rms_error = recoder.rms_error();
    in_.release(t);
    return std::move(sink.out);
  }

  Status fill() {
    std::vector<std::pair<size_t, size_t>> shards;  // of outputs_; the fields of a weight stay together
    uint64_t bytes = 0, all = 0;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (shards.empty() || (bytes + outputs_[i].bytes > kShardBytes && outputs_[i].dtype == "U32")) {
        shards.emplace_back(i, i);
        bytes = 0;
      }
      shards.back().second = i + 1;
      bytes += outputs_[i].bytes;
      all += outputs_[i].bytes;
    }
    std::string index = "{\n  \"metadata\": {\"total_size\": " + std::to_string(all) + "},\n  \"weight_map\": {";
    for (size_t s = 0; s < shards.size(); ++s) {
      char number[64];
      std::snprintf(number, sizeof number, "model-%05zu-of-%05zu.safetensors", s + 1, shards.size());
      std::string file = shards.size() == 1 ? "model.safetensors" : number;
      SafetensorsWriter w;
      w.set_metadata("format", "mlx");
      for (size_t i = shards[s].first; i < shards[s].second; ++i) {
        Output& o = outputs_[i];
        index += (i ? ",\n    " : "\n    ") + json_string(o.name) + ": " + json_string(file);
        w.add_tensor(o.name, o.dtype, o.dims, o.bytes, std::move(o.producer));
      }
      LUMEN_CHECK(w.write(part_ + "/" + file));
    }
    LUMEN_CHECK(write_text("model.safetensors.index.json", index + "\n  }\n}\n"));
    LUMEN_CHECK(write_config());
    return copy_files();
  }

  Status write_text(const std::string& name, const std::string& text) {
    LUMEN_TRY(file, AtomicFile::create(part_ + "/" + name));
    LUMEN_CHECK(file.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
    return file.commit();
  }

  // The source's members, and what MLX wants to know of the weights; modules that were kept need no word: they have no scales.
  Status write_config() {
    std::string text;
    if (auto given = texts_.find("config.json"); given != texts_.end()) {
      text = given->second;
    } else {
      std::ifstream in(in_.path() + "/config.json", std::ios::binary);
      text.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    auto config = JsonDocument::parse(text);
    if (!config) return Error{in_.path() + "/config.json: " + config.error().message};
    std::string mode;
    for (const ast::FormatSource& s : decl_.sources)
      if (s.kind == "mlx") mode = s.text;
    int64_t own = 0;
    for (const ir::FormatField& f : format_->fields)
      if (f.beside.empty()) own += f.count * size_of(f.type);
    std::string said = "{\"group_size\": " + std::to_string(format_->block) + ", \"bits\": " + std::to_string(8 * own / format_->block) +
                       ", \"mode\": " + json_string(mode) + "}";
    std::string out = "{\n";
    for (const JsonMember& m : config->root().members()) {
      if (m.key == "quantization" || m.key == "quantization_config") continue;
      out += "  " + json_string(m.key) + ": " + dump(m.value) + ",\n";
    }
    return write_text("config.json", out + "  \"quantization\": " + said + ",\n  \"quantization_config\": " + said + "\n}\n");
  }

  static std::string dump(const Json& j) {
    std::string out, comma;
    switch (j.kind()) {
      case Json::Kind::Null:
        return "null";
      case Json::Kind::Bool:
        return j.as_bool() ? "true" : "false";
      case Json::Kind::Int:
        return std::to_string(j.as_int());
      case Json::Kind::Float: {
        char text[64];
        auto end = std::to_chars(text, text + sizeof text, j.as_double()).ptr;
        out.assign(text, end);
        return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
      }
      case Json::Kind::String:
        return json_string(j.as_string());
      case Json::Kind::Array:
        for (const Json& item : j.items()) out += std::exchange(comma, ", ") + dump(item);
        return "[" + out + "]";
      case Json::Kind::Object:
        for (const JsonMember& m : j.members()) out += std::exchange(comma, ", ") + json_string(m.key) + ": " + dump(m.value);
        return "{" + out + "}";
    }
    return out;
  }

  // Tokenizer, template and what else lies there, but weights and what was written already.
  Status copy_files() {
    std::error_code ec;
    for (const auto& [name, text] : texts_)
      if (!fs::exists(part_ + "/" + name, ec)) LUMEN_CHECK(write_text(name, text));
    if (!texts_.empty()) return ok_status();
    for (const fs::directory_entry& e : fs::directory_iterator(in_.path(), ec)) {
      std::string name = e.path().filename().string(), kind = e.path().extension().string();
      bool text = kind == ".json" || kind == ".jinja" || kind == ".txt" || kind == ".model" || kind == ".md";
      if (!e.is_regular_file() || !text || fs::exists(part_ + "/" + name, ec)) continue;
      fs::copy_file(e.path(), part_ + "/" + name, ec);
      if (ec) return Error{part_ + "/" + name + ": " + ec.message()};
    }
    return ok_status();
  }

  const sema::Library& lib_;
  const Checkpoint& in_;
  const std::map<std::string, std::string>& texts_;
  std::string out_, part_;
  const QuantizeOptions& o_;
  const ast::FormatDecl& decl_;
  ThreadTeam team_;
  ir::FormatRef format_;
  std::vector<Output> outputs_;
  QuantizeReport report_;
  int64_t total_ = 0, done_ = 0;
};

}  // namespace

const ast::FormatDecl* mlx_declaration(const sema::Library& lib, const std::string& format) {
  const ast::FormatDecl* decl = lib.format_decl(format.substr(0, format.find('<')));
  if (!decl) return nullptr;
  bool mlx = std::any_of(decl->sources.begin(), decl->sources.end(), [](const ast::FormatSource& s) { return s.kind == "mlx"; });
  return mlx ? decl : nullptr;
}

Result<QuantizeReport> quantize_directory(const sema::Library& lib, const Checkpoint& in, const std::map<std::string, std::string>& texts,
                                          const std::string& out, const QuantizeOptions& o) {
  const ast::FormatDecl* decl = mlx_declaration(lib, o.recipe.format);
  if (!decl) return Error{"--format: " + o.recipe.format + " does not say what MLX calls it", true};
  return Directory(lib, in, texts, out, o, *decl).write();
}

}  // namespace lumen::convert
