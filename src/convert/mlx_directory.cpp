// Each weight is encoded as blocks and its fields are then taken apart into the tensors that the format declares for them.
#include "convert/mlx_directory.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

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

// A tensor of the input, and why it cannot change; empty: a recipe may choose.
struct Planned {
  const CheckpointTensor* tensor;
  ir::Type from;
  std::string why;
};

class Directory {
 public:
  Directory(const sema::Library& lib, const Checkpoint& in, const std::map<std::string, std::string>& texts, std::string out,
            const QuantizeOptions& o)
      : lib_(lib), in_(in), texts_(texts), out_(without_slash(std::move(out))), o_(o), team_(std::max(1, o.threads)) {}

  Result<QuantizeReport> write() {
    std::error_code ec;
    if (fs::exists(out_, ec)) return Error{out_ + ": it is there already; expected a new directory", true};
    LUMEN_CHECK(plan());
    part_ = out_ + ".part";
    if (fs::path parent = fs::path(part_).parent_path(); !parent.empty()) fs::create_directories(parent, ec);
    if (!fs::create_directory(part_, ec))  // made here and now, so that it may be removed again
      return Error{part_ + ": " + (ec ? ec.message() : "it is there already, of another run or of your own; expected no such directory"), true};
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
  // The format named so for a weight whose numbers are `scalar`: types among its parameters that the name leaves out become that.
  Result<ir::FormatRef> format_for(const std::string& text, DType scalar) const {
    const ast::FormatDecl* decl = mlx_declaration(lib_, text);
    if (!decl) return Error{text + ": expected a format that says what MLX calls it; a directory's tensors take such a one or stay", true};
    std::string params;
    if (size_t open = text.find('<'); open != std::string::npos) params = text.substr(open + 1, text.rfind('>') - open - 1);
    size_t given = params.empty() ? 0 : 1 + static_cast<size_t>(std::count(params.begin(), params.end(), ','));
    for (size_t i = given; i < decl->generics.size() && decl->generics[i].kind == "float"; ++i)
      params += (params.empty() ? "" : ", ") + std::string(lumen::name(scalar));
    LUMEN_TRY(element, target_element(lib_, params.empty() ? decl->name : decl->name + "<" + params + ">", "--format"));
    if (!element.format) return Error{"--format: expected a format of blocks, found " + decl->name, true};
    return element.format;
  }

  // The one that the recipe chose, or what it says for rows that this does not fit; null: nothing fits, and q says why.
  Result<ir::FormatRef> fitting(std::string format, const ir::Type& from, int64_t k, QuantizedTensor& q) const {
    DType scalar = from.format ? DType::F16 : from.scalar == DType::F64 ? DType::F32 : from.scalar;
    std::string first = format;
    std::set<std::string> tried;
    while (tried.insert(format).second) {
      auto found = format_for(format, scalar);
      if (!found) return Error{"tensor " + q.name + ": " + found.error().message, found.error().usage};
      if (k % (*found)->block == 0) return *found;
      if (q.why.empty())
        q.why = "its rows of " + std::to_string(k) + " are no multiple of the block of " + std::to_string((*found)->block) + " of " + first;
      auto next = o_.recipe.misfit.find(format);
      if (next == o_.recipe.misfit.end()) break;
      format = next->second;
    }
    return ir::FormatRef();
  }

  Status plan() {
    LUMEN_CHECK(read_config());
    LUMEN_TRY(main_format, format_for(o_.recipe.format, DType::F16));
    main_record_ = record(*main_format);
    std::set<std::string> fields;  // scales and the like of weights that are quantised already: they go with their weights
    for (const CheckpointTensor& t : in_.tensors()) {
      if (!t.name.ends_with(".weight")) continue;
      LUMEN_TRY(from, o_.type_of(t));
      if (!from.format) continue;
      for (const ir::FormatField& f : from.format->fields)
        if (!f.beside.empty()) fields.insert(engine::tensor_beside(t.name, f.beside));
    }
    RecipeModel model;
    std::vector<Planned> planned;
    for (const CheckpointTensor& t : in_.tensors()) {
      if (fields.count(std::string(t.name))) continue;
      LUMEN_TRY(from, o_.type_of(t));
      Planned p{&t, from, why_fixed(t, from)};
      if (p.why.empty()) model.tensors.emplace_back(t.name);
      planned.push_back(std::move(p));
    }
    describe(model);
    LUMEN_TRY(choices, choose_formats(o_.recipe, model));
    size_t next = 0;
    for (Planned& p : planned) {
      Choice choice;
      if (p.why.empty()) choice = choices[next++];
      else choice.why = p.why;
      LUMEN_CHECK(plan_tensor(*p.tensor, p.from, choice));
    }
    if (total_ == 0) return Error{in_.path() + ": no tensor takes the format " + o_.recipe.format, true};
    return ok_status();
  }

  // Why a tensor cannot change at all; empty: a recipe may choose.
  static std::string why_fixed(const CheckpointTensor& t, const ir::Type& from) {
    if (from.dims.size() < 2) return "one axis: norms and biases stay";
    bool numbers = from.format || is_float(from.scalar);
    return from.dims.size() > 2 || !t.name.ends_with(".weight") || !numbers ? "no weight of a linear layer or embedding" : "";
  }

  // What conditions of recipes ask about.
  void describe(RecipeModel& m) const {
    auto number = [&](const char* key, int64_t otherwise) {
      const Json* j = config_.root().find(key);
      return j && j->is(Json::Kind::Int) && j->as_int() > 0 ? j->as_int() : otherwise;
    };
    m.tied = !in_.find_tensor("lm_head.weight");
    int64_t heads = number("num_attention_heads", 1);
    m.gqa = heads / std::min(heads, number("num_key_value_heads", heads));
    m.experts = number("num_local_experts", number("num_experts", 0));
  }

  Status plan_tensor(const CheckpointTensor& t, ir::Type from, const Choice& choice) {
    std::vector<int64_t> dims;
    for (const ir::Dim& d : from.dims) dims.push_back(d.value);
    from.dims.clear();
    QuantizedTensor q{std::string(t.name), name_of(from), "", choice.why, t.bytes.value_or(0), t.bytes.value_or(0)};
    ir::FormatRef format;
    if (!choice.format.empty()) {
      LUMEN_TRY(found, fitting(choice.format, from, dims.back(), q));
      format = found;
    }
    if (!format) return plan_copy(t, from, std::move(q));
    q.to = format->name;
    q.bytes_after = static_cast<uint64_t>(dims[0] * ir::row_bytes(*format, dims[1]));
    total_ += dims[0] * dims[1];
    if (std::string said = record(*format); said != main_record_) records_.emplace_back(t.name.substr(0, t.name.rfind('.')), said);
    size_t number = report_.tensors.size();
    report_.tensors.push_back(std::move(q));
    plan_fields(t, from, format, dims, number);
    return ok_status();
  }

  Status plan_copy(const CheckpointTensor& t, const ir::Type& from, QuantizedTensor q) {
    if (from.format)
      return Error{in_.path() + ": tensor " + q.name + ": " + q.why + ", and it is in the format " + q.from + ", which cannot stay", true};
    std::string dtype = in_.container() == "gguf" ? spelt(from.scalar) : in_.type_name(t.type_id);
    if (dtype.empty()) return Error{in_.path() + ": tensor " + q.name + ": safetensors have no name for " + q.from};
    outputs_.push_back({q.name, std::move(dtype), t.dims, q.bytes_after, [this, &t](ByteSink& sink) -> Status {
                          LUMEN_TRY(data, in_.data(t));
                          return sink.write(data.bytes());
                        }});
    report_.tensors.push_back(std::move(q));
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

  Status read_config() {
    if (auto given = texts_.find("config.json"); given != texts_.end()) {
      config_text_ = given->second;
    } else {
      std::ifstream in(in_.path() + "/config.json", std::ios::binary);
      config_text_.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    auto parsed = JsonDocument::parse(config_text_);
    if (!parsed) return Error{in_.path() + "/config.json: " + parsed.error().message};
    config_ = parsed.take();
    return ok_status();
  }

  // What config.json says of weights in the format.
  std::string record(const ir::FormatType& f) const {
    std::string mode;
    for (const ast::FormatSource& s : mlx_declaration(lib_, f.name)->sources)
      if (s.kind == "mlx") mode = s.text;
    int64_t own = 0;
    for (const ir::FormatField& field : f.fields)
      if (field.beside.empty()) own += field.count * size_of(field.type);
    return "\"group_size\": " + std::to_string(f.block) + ", \"bits\": " + std::to_string(8 * own / f.block) +
           ", \"mode\": " + json_string(mode);
  }

  // The source's members, and what MLX wants to know of the weights: of all, and of the modules that differ. Modules that were kept need no
  // word: they have no scales.
  Status write_config() {
    std::string said = "{" + main_record_;
    for (const auto& [module, text] : records_) said += ", " + json_string(module) + ": {" + text + "}";
    said += "}";
    std::string out = "{\n";
    for (const JsonMember& m : config_.root().members()) {
      if (m.key == "quantization" || m.key == "quantization_config") continue;
      out += "  " + json_string(m.key) + ": " + json_text(m.value) + ",\n";
    }
    return write_text("config.json", out + "  \"quantization\": " + said + ",\n  \"quantization_config\": " + said + "\n}\n");
  }

  // Tokenizer, template and what else lies there, but weights and what was written already.
  Status copy_files() {
    std::error_code ec;
    for (const auto& [name, text] : texts_)
      if (!fs::exists(part_ + "/" + name, ec)) LUMEN_CHECK(write_text(name, text));
    if (!texts_.empty()) return ok_status();
    for (auto it = fs::directory_iterator(in_.path(), ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
      const fs::directory_entry& e = *it;
      std::string name = e.path().filename().string(), kind = e.path().extension().string();
      bool text = kind == ".json" || kind == ".jinja" || kind == ".txt" || kind == ".model" || kind == ".md";
      std::error_code wrong;
      if (!text || !e.is_regular_file(wrong) || fs::exists(part_ + "/" + name, wrong)) continue;
      fs::copy_file(e.path(), part_ + "/" + name, wrong);
      if (wrong) return Error{part_ + "/" + name + ": " + wrong.message()};
    }
    if (ec) return Error{in_.path() + ": its files cannot be listed: " + ec.message()};
    return ok_status();
  }

  const sema::Library& lib_;
  const Checkpoint& in_;
  const std::map<std::string, std::string>& texts_;
  std::string out_, part_;
  const QuantizeOptions& o_;
  ThreadTeam team_;
  std::string config_text_;
  JsonDocument config_;
  std::string main_record_;
  std::vector<std::pair<std::string, std::string>> records_;  // of modules in another format than most: name, what config.json says
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
  return Directory(lib, in, texts, out, o).write();
}

}  // namespace lumen::convert
