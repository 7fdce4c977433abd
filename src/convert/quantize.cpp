// Which tensor takes what, and the GGUF file that comes of it.
#include "convert/quantize.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "checkpoint/gguf_reader.h"
#include "checkpoint/gguf_writer.h"
#include "compiler/formats/encode.h"
#include "engine/field_tensors.h"

namespace lumen::convert {
namespace {

// general.file_type of a file whose weights are mostly of a GGUF type (llama.cpp's enumeration, llama.h: llama_ftype); a private
// type stands for itself.
uint32_t file_type_of(uint32_t type_id) {
  static const std::map<uint32_t, uint32_t> table = {{0, 0},   {1, 1},   {2, 2},   {3, 3},   {6, 8},   {7, 9},   {8, 7},   {10, 10},
                                                     {11, 12}, {12, 15}, {13, 17}, {14, 18}, {20, 25}, {23, 30}, {30, 32}, {39, 38}};
  auto it = table.find(type_id);
  return it == table.end() ? type_id : it->second;
}

// A number for each format of the output: the one its declaration gives; else a private one that nothing else in the file or at hand uses.
class TypeNumbers {
 public:
  TypeNumbers(const sema::Library& lib, const Checkpoint& in) : lib_(lib), in_(in) {}
  Result<uint32_t> of(const ir::Type& element) {
    std::string name = name_of(element);
    if (auto it = known_.find(name); it != known_.end()) return it->second;
    LUMEN_TRY(id, find(name, element));
    known_[name] = id;
    return id;
  }

 private:
  Result<uint32_t> find(const std::string& name, const ir::Type& element) const {
    if (element.format && engine::has_field_tensors(*element.format))
      return Error{"--format: " + name + " keeps fields in tensors of their own, which is not written as GGUF; expected another format", true};
    const ast::FormatDecl* decl = lib_.format_decl(name);
    if (decl && decl->gguf && decl->gguf->kind == ast::ExprKind::Int) return static_cast<uint32_t>(decl->gguf->ival);
    if (!element.format) return Error{"--format: no .lum file declares the GGUF type of " + name};
    for (uint32_t id = kFirstPrivateType;; ++id) {
      std::string key = std::string(kFormatKeyPrefix) + std::to_string(id) + ".name";
      if (in_.find(key)) {
        LUMEN_TRY(theirs, in_.get_string(key));
        if (theirs == name) return id;
        continue;
      }
      bool taken = std::any_of(known_.begin(), known_.end(), [&](auto& k) { return k.second == id; });
      if (!taken && !lib_.format_by_gguf_type(static_cast<int>(id))) return id;
    }
  }
  const sema::Library& lib_;
  const Checkpoint& in_;
  std::map<std::string, uint32_t> known_;
};

// Why a tensor cannot change at all; empty: a recipe may choose.
std::string why_fixed(const CheckpointTensor& t, const ir::Type& from) {
  if (t.dims.size() < 2) return "one axis: norms and biases stay";
  if (!from.format && !is_float(from.scalar)) return "not a weight: its elements are " + std::string(name(from.scalar));
  return "";
}

int64_t number(const Checkpoint& in, const std::string& key, int64_t otherwise) {
  auto arch = in.get_string("general.architecture");
  if (!arch) return otherwise;
  auto v = in.get_int(std::string(*arch) + "." + key, 1, INT32_MAX);
  return v ? *v : otherwise;
}

RecipeModel describe(const Checkpoint& in, std::vector<std::string> tensors) {
  RecipeModel m;
  m.tensors = std::move(tensors);
  m.tied = !in.find_tensor("output.weight") && !in.find_tensor("lm_head.weight");
  int64_t heads = number(in, "attention.head_count", 1);
  m.gqa = heads / std::min(heads, number(in, "attention.head_count_kv", heads));
  m.experts = number(in, "expert_count", 0);
  return m;
}

// The elements that formats stand for, each looked up and checked once.
class Targets {
 public:
  Targets(const sema::Library& lib, const Recipe& recipe) : lib_(lib), recipe_(recipe) {}
  // `format`, or what the recipe says for rows that it does not fit; nothing where nothing fits.
  Result<std::optional<ir::Type>> fitting(std::string format, int64_t k) {
    std::set<std::string> tried;
    while (tried.insert(format).second) {
      auto it = known_.find(format);
      if (it == known_.end()) {
        LUMEN_TRY(element, target_element(lib_, format, "--format"));
        it = known_.emplace(format, std::move(element)).first;
      }
      if (k % block_of(it->second) == 0) return std::optional<ir::Type>(it->second);
      auto next = recipe_.misfit.find(format);
      if (next == recipe_.misfit.end()) break;
      format = next->second;
    }
    return std::optional<ir::Type>();
  }
  int block(const std::string& format) const { return block_of(known_.at(format)); }

 private:
  const sema::Library& lib_;
  const Recipe& recipe_;
  std::map<std::string, ir::Type> known_;
};

Error nothing_fits(const Checkpoint& in, const Recipe& recipe, const QuantizeReport& report) {
  const QuantizedTensor* widest = nullptr;
  for (size_t i = 0; i < in.tensors().size(); ++i)
    if (in.tensors()[i].dims.size() >= 2) widest = &report.tensors[i];
  return Error{in.path() + ": no tensor takes the format " + recipe.format + (widest ? "; " + widest->name + ": " + widest->why : ""),
               true};
}

Status write_recoded(ThreadTeam& team, const Checkpoint& in, const TensorPlan& p, QuantizedTensor& q, ByteSink& sink,
                     const std::function<void(int64_t)>& progress) {
  const CheckpointTensor& t = *p.tensor;
  std::shared_ptr<Buffer> together;
  LUMEN_TRY(rows, engine::whole_rows(p.from, in, t, team, together));
  Recoder recoder(team, p.from, p.to);
  int64_t k = t.dims.back();
  LUMEN_CHECK(recoder.run(rows, t.element_count() / k, k, p.importance, in.path() + ": tensor " + q.name, sink, progress));
  q.rms_error = recoder.rms_error();
  in.release(t);
  return ok_status();
}

// A GGUF file would hold the fields of such a format in tensors beside the weight, and a view of a directory has put them into blocks.
bool cannot_stay(const ir::FormatType& f, const Checkpoint& in, const CheckpointTensor& t) {
  return engine::has_field_tensors(f) && !engine::fields_apart(f, in, t);
}

// Private types that the input names and no tensor of the output has.
void forget_private_types(const Checkpoint& in, const std::set<uint32_t>& used, GgufWriter& w) {
  auto is_used = [&](std::string_view key) {
    auto names = [&](uint32_t id) { return key.starts_with(std::string(kFormatKeyPrefix) + std::to_string(id) + "."); };
    return std::any_of(used.begin(), used.end(), names);
  };
  for (const MetaEntry& e : in.metadata())
    if (e.key.starts_with(kFormatKeyPrefix) && !is_used(e.key)) w.remove(e.key);
}

// Names of tensors whose numbers go into what becomes of the weights that they stand beside.
std::set<std::string> used_up(const std::vector<TensorPlan>& plans) {
  std::set<std::string> names;
  for (const TensorPlan& p : plans) {
    if (!p.from.format || name_of(p.to) == name_of(p.from)) continue;
    for (const ir::FormatField& f : p.from.format->fields)
      if (!f.beside.empty()) names.insert(engine::tensor_beside(p.tensor->name, f.beside));
  }
  return names;
}

}  // namespace

Result<ir::Type> target_element(const sema::Library& lib, const std::string& name, const std::string& option) {
  if (auto scalar = dtype_named(name)) {
    if (!is_float(*scalar) || *scalar == DType::F64)
      return Error{option + ": expected a format or f32, f16, bf16, found '" + name + "'", true};
    return ir::Type{*scalar, nullptr, {}};
  }
  auto format = lib.format(name);
  if (!format) return Error{option + ": " + format.error().message, format.error().usage};
  if ((*format)->row_planes)
    return Error{option + ": " + name + " keeps its fields in planes; a tensor of a file needs a format of blocks", true};
  if (std::string why = formats::why_not_encodable(**format); !why.empty())
    return Error{option + ": " + name + " cannot be written: " + why, true};
  return ir::Type{DType::F32, *format, {}};
}

Result<std::vector<TensorPlan>> plan_tensors(const sema::Library& lib, const Checkpoint& in, const QuantizeOptions& o,
                                             QuantizeReport& report) {
  std::vector<TensorPlan> plans;
  std::vector<std::string> names;
  std::vector<size_t> places;
  for (const CheckpointTensor& t : in.tensors()) {
    LUMEN_TRY(from, o.type_of(t));
    from.dims.clear();
    std::string why = why_fixed(t, from);
    if (why.empty()) {
      names.emplace_back(t.name);
      places.push_back(plans.size());
    }
    report.tensors.push_back({std::string(t.name), name_of(from), "", why, t.bytes.value_or(0), t.bytes.value_or(0)});
    plans.push_back({&t, from, from, {}});
  }
  LUMEN_TRY(choices, choose_formats(o.recipe, describe(in, names)));
  Targets targets(lib, o.recipe);
  bool any = false;
  for (size_t i = 0; i < places.size(); ++i) {
    TensorPlan& p = plans[places[i]];
    QuantizedTensor& q = report.tensors[places[i]];
    int64_t k = p.tensor->dims.back(), rows = p.tensor->element_count() / k;
    q.why = choices[i].why;
    if (choices[i].format.empty()) continue;
    LUMEN_TRY(to, targets.fitting(choices[i].format, k));
    if (!to || name_of(*to) != choices[i].format)
      q.why = "its rows of " + std::to_string(k) + " are no multiple of the block of " + std::to_string(targets.block(choices[i].format)) +
              (to ? " of " + choices[i].format : "");
    if (!to) continue;
    if (name_of(*to) == q.from) {
      q.why = "it has this format";
      continue;
    }
    p.to = *to;
    q.to = name_of(*to);
    q.bytes_after = static_cast<uint64_t>(rows * bytes_per_row(*to, k));
    any = true;
    if (!o.imatrix) continue;
    LUMEN_TRY(importance, o.imatrix->importance(q.name, p.tensor->dims.size() > 2 ? p.tensor->dims[0] : 1, k));
    p.importance = std::move(importance);
    q.weighted = !p.importance.weights.empty();
  }
  if (!any) return nothing_fits(in, o.recipe, report);
  for (size_t i = 0; i < plans.size(); ++i)
    if (const ir::FormatRef& f = plans[i].from.format; f && report.tensors[i].to.empty() && cannot_stay(*f, in, *plans[i].tensor))
      return Error{in.path() + ": tensor " + report.tensors[i].name + ": " + report.tensors[i].why + ", and it is in the format " + f->name +
                       ", which is not written as GGUF; expected another format for it (--tensor)",
                   true};
  return plans;
}

Result<QuantizeReport> quantize(const sema::Library& lib, const Checkpoint& in, const std::string& out, const QuantizeOptions& o) {
  std::error_code ec;
  if (std::filesystem::equivalent(in.path(), out, ec)) return Error{out + ": the output is the input; expected another file", true};
  QuantizeReport report;
  LUMEN_TRY(plans, plan_tensors(lib, in, o, report));
  TypeNumbers numbers(lib, in);
  GgufWriter w;
  w.copy_metadata(in);
  w.set("general.quantization_version", uint32_t{2});
  w.remove("general.alignment");  // the writer has its own
  LUMEN_TRY(main_format, target_element(lib, o.recipe.format, "--format"));
  LUMEN_TRY(main_id, numbers.of(main_format));
  w.set("general.file_type", o.recipe.file_type.value_or(file_type_of(main_id)));
  int64_t total = 0, done = 0;
  for (const TensorPlan& p : plans)
    if (name_of(p.to) != name_of(p.from)) total += p.tensor->element_count();
  std::set<std::string> gone = used_up(plans);
  ThreadTeam team(std::max(1, o.threads));
  std::set<uint32_t> used;
  for (size_t i = 0; i < plans.size(); ++i) {
    const TensorPlan& p = plans[i];
    const CheckpointTensor& t = *p.tensor;
    QuantizedTensor& q = report.tensors[i];
    if (gone.count(q.name)) continue;
    if (q.to.empty()) {
      used.insert(t.type_id);
      w.add_tensor(q.name, t.dims, t.type_id, q.bytes_after, [&in, &t](ByteSink& sink) -> Status {
        LUMEN_TRY(data, in.data(t));
        return sink.write(data.bytes());
      });
      continue;
    }
    LUMEN_TRY(id, numbers.of(p.to));
    used.insert(id);
    if (id >= kFirstPrivateType) {
      std::string key = std::string(kFormatKeyPrefix) + std::to_string(id);
      w.set(key + ".name", p.to.format->name);
      w.set(key + ".source", p.to.format->source);
    }
    w.add_tensor(q.name, t.dims, id, q.bytes_after, [&](ByteSink& sink) {
      return write_recoded(team, in, p, q, sink, [&](int64_t n) {
        done += n;
        if (o.progress) o.progress(done, total);
      });
    });
  }
  forget_private_types(in, used, w);
  LUMEN_CHECK(w.write(out));
  std::erase_if(report.tensors, [&](const QuantizedTensor& q) { return gone.count(q.name) != 0; });
  return report;
}

}  // namespace lumen::convert
