// lumen inspect: metadata, tensors with their formats and sizes, and what becomes of each.
#include "inspect.h"

#include <set>

#include "checkpoint/gguf_reader.h"
#include "command.h"
#include "common.h"
#include "compiler/formats/describe.h"
#include "compiler/formats/layout.h"
#include "engine/checkpoint_source.h"
#include "engine/field_tensors.h"
#include "hub/store.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string file;
  bool json = false;
};

void names_in(const sema::WeightExpr& e, std::set<std::string>& out) {
  if (e.kind == sema::WeightExpr::Tensor) out.insert(e.name);
  for (const sema::WeightExpr& a : e.args) names_in(a, out);
}

// Which of the model's weights each tensor serves; `problem` says why that is not known.
std::map<std::string, std::string> uses_of(const sema::Library& lib, const Checkpoint& file, std::string& problem) {
  std::map<std::string, std::string> uses;
  auto decl = engine::find_model(lib, file);
  if (!decl) {
    problem = decl.error().message;
    return uses;
  }
  auto instance = sema::instantiate(lib, **decl, engine::CheckpointSource(lib, file));
  if (!instance) {
    problem = instance.error().message;
    return uses;
  }
  for (const sema::Weight& w : instance->weights) {
    std::set<std::string> names;
    names_in(w.from, names);
    for (const std::string& n : names) {
      uses[n] += (uses[n].empty() ? "" : ", ") + w.param;
      if (!w.type.format) continue;
      for (const ir::FormatField& f : w.type.format->fields)  // scales and the like in tensors of their own
        if (!f.beside.empty()) uses[engine::tensor_beside(n, f.beside)] = f.name + " of " + w.param;
    }
  }
  return uses;
}

TensorReport report_on(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t) {
  TensorReport r{&t, file.type_name(t.type_id), "", ""};
  auto type = engine::tensor_type(lib, file, t);
  if (!type) {
    r.treatment = "unknown type: " + type.error().message;
    return r;
  }
  r.format = type->format ? type->format->name : std::string(name(type->scalar));
  if (t.dims.size() < 2)
    r.treatment = "read as f32";
  else if (formats::has_integer_layout(*type))
    r.treatment = "integer dot products";
  else if (type->format && type->format->form)
    r.treatment = "f32 dot products: rows of " + std::to_string(t.dims.back()) + " do not fit the integer layout";
  else
    r.treatment = "f32 dot products";
  return r;
}

void write_meta(JsonWriter& w, const MetaValue& v) {
  if (v.type == MetaType::Array) {
    w.begin_object().field("type", v.type_name()).field("count", v.count).key("first").begin_array();
    for (const MetaValue& e : v.elements(4)) write_meta(w, e);
    w.end_array().end_object();
    return;
  }
  std::visit([&](auto s) { w.value(s); }, v.scalar());
}

std::string dims_text(const std::vector<int64_t>& dims) {
  std::string out;
  for (int64_t d : dims) out += (out.empty() ? "[" : ", ") + std::to_string(d);
  return out + "]";
}

void print_text(const Inspection& r) {
  std::printf("%s: %s version %u, %s, %zu metadata keys, %zu tensors\n\nmetadata\n", r.path.c_str(), r.file.container().c_str(),
              r.file.version(), size_text(r.file.file_size()).c_str(), r.file.metadata().size(), r.file.tensors().size());
  for (const MetaEntry& e : r.file.metadata()) std::printf("  %-44s %s\n", visible(e.key).c_str(), e.value.render().c_str());
  std::printf("\ntensors\n");
  for (const TensorReport& t : r.tensors) {
    std::string bytes = t.tensor->bytes ? size_text(*t.tensor->bytes) : "? bytes";
    std::printf("  %-32s %-18s %-8s %10s  %s%s\n", visible(t.tensor->name).c_str(), dims_text(t.tensor->dims).c_str(), t.format.c_str(),
                bytes.c_str(), t.treatment.c_str(),
                t.used_as.empty() ? (r.model_problem.empty() ? "; no weight of the model uses it" : "") : ("; " + t.used_as).c_str());
  }
  std::printf("\nformats\n");
  print_formats(r);
  if (!r.model_problem.empty()) std::printf("\nthis file cannot run: %s\n", r.model_problem.c_str());
}

}  // namespace

Result<Inspection> inspect_file(const Arguments& a, const std::string& name) {
  LUMEN_TRY(library, library_for(a, name));
  LUMEN_TRY(path, hub::resolve_model(name));
  LUMEN_TRY(file, engine::open_checkpoint(path, *library));
  Inspection r{path, std::move(file), {}, {}, ""};
  auto uses = uses_of(*library, r.file, r.model_problem);
  for (const CheckpointTensor& t : r.file.tensors()) {
    TensorReport tr = report_on(*library, r.file, t);
    if (auto it = uses.find(std::string(t.name)); it != uses.end()) tr.used_as = it->second;
    r.tensors.push_back(tr);
    auto type = engine::tensor_type(*library, r.file, t);
    if (type && type->format) r.formats[tr.format] = formats::describe(*type->format);
  }
  return r;
}

void write_json(JsonWriter& w, const Inspection& r) {
  w.begin_object().field("path", r.path).field("container", r.file.container()).field("version", static_cast<uint64_t>(r.file.version()));
  w.field("file_bytes", r.file.file_size()).key("metadata").begin_object();
  for (const MetaEntry& e : r.file.metadata()) {
    w.key(e.key);
    write_meta(w, e.value);
  }
  w.end_object().key("tensors").begin_array();
  for (const TensorReport& t : r.tensors) {
    w.begin_object().field("name", t.tensor->name).key("dims").begin_array();
    for (int64_t d : t.tensor->dims) w.value(d);
    w.end_array().field("type_id", static_cast<uint64_t>(t.tensor->type_id)).field("format", t.format).key("bytes");
    if (t.tensor->bytes)
      w.value(*t.tensor->bytes);
    else
      w.null();
    w.field("treatment", t.treatment).field("used_as", t.used_as).end_object();
  }
  w.end_array().key("formats").begin_object();
  for (auto& [name, text] : r.formats) w.field(name, text);
  w.end_object();
  if (r.model_problem.empty())
    w.key("model_problem").null();
  else
    w.field("model_problem", r.model_problem);
  w.end_object();
}

void print_formats(const Inspection& r) {
  std::map<std::string, std::pair<size_t, uint64_t>> totals;
  for (const TensorReport& t : r.tensors) {
    auto& [n, sum] = totals[t.format];
    ++n;
    sum += t.tensor->bytes.value_or(0);
  }
  for (auto& [name, total] : totals) {
    auto d = r.formats.find(name);
    std::printf("  %-8s %5zu tensors %10s  %s\n", name.c_str(), total.first, size_text(total.second).c_str(),
                d == r.formats.end() ? "" : d->second.c_str());
  }
}

Action declare_inspect(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("FILE", o->file, "a model file, or the name of a fetched model", true);
  a.flag("--json", o->json, "everything as JSON; of arrays the first elements");
  return [&a, o]() -> Status {
    LUMEN_TRY(r, inspect_file(a, o->file));
    if (!o->json) return print_text(r), ok_status();
    JsonWriter w;
    write_json(w, r);
    return print_out(w.take() + "\n");
  };
}

}  // namespace lumen::tool
