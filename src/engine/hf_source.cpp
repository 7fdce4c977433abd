// See hf_source.h.
#include "engine/hf_source.h"

#include <algorithm>
#include <map>

#include "engine/field_tensors.h"

namespace lumen::engine {
namespace {

// safetensors' names of scalar types.
std::optional<DType> plain_dtype(const std::string& name) {
  static const std::map<std::string, DType> table = {{"F32", DType::F32}, {"F16", DType::F16}, {"BF16", DType::BF16}, {"F64", DType::F64},
                                                     {"BOOL", DType::Bool}, {"U8", DType::U8},  {"I8", DType::I8},     {"U16", DType::U16},
                                                     {"I16", DType::I16}, {"U32", DType::U32}, {"I32", DType::I32},   {"U64", DType::U64},
                                                     {"I64", DType::I64}};
  auto it = table.find(name);
  return it == table.end() ? std::nullopt : std::optional<DType>(it->second);
}

// What MLX says about a quantised module: config.json's "quantization", or the module's own entry in it.
struct MlxRecord {
  std::string mode = "affine";
  std::map<std::string, int64_t> numbers;  // bits, group_size
};

MlxRecord mlx_record(const Checkpoint& file, const std::string& module) {
  MlxRecord r;
  for (const std::string& prefix : {std::string("quantization."), "quantization." + module + "."})
    for (const char* key : {"bits", "group_size"})
      if (auto v = file.get_int(prefix + key, 1, 1 << 16)) r.numbers[key] = *v;
  for (const std::string& prefix : {std::string("quantization."), "quantization." + module + "."})
    if (auto mode = file.get_string(prefix + "mode")) r.mode = *mode;
  return r;
}

std::string format_name(const ast::FormatDecl& d, const std::vector<std::string>& params) {
  std::string name = d.name;
  for (size_t i = 0; i < params.size(); ++i) name += (i ? ", " : "<") + params[i];
  return params.empty() ? name : name + ">";
}

// A declaration with its parameters as this tensor needs them: integers by their name in `numbers`, float types by the dtype of the
// first field's tensor that has the type. nullopt: some field's tensor is missing, the declaration is for others.
Result<std::optional<std::string>> with_parameters(const ast::FormatDecl& d, const Checkpoint& file, const CheckpointTensor& t,
                                                   const std::map<std::string, int64_t>& numbers) {
  for (const ast::FormatField& field : d.fields)
    if (!field.beside.empty() && !file.find_tensor(tensor_beside(t.name, field.beside))) return std::optional<std::string>();
  std::vector<std::string> params;
  for (const ast::GenericParam& g : d.generics) {
    std::string where = file.path() + ": tensor " + std::string(t.name) + ": the parameter '" + g.name + "' of the format " + d.name;
    if (g.kind != "float") {
      auto it = numbers.find(g.name);
      if (it == numbers.end()) return Error{where + ": config.json does not say it"};
      params.push_back(std::to_string(it->second));
      continue;
    }
    for (const ast::FormatField& field : d.fields) {
      if (field.type.name != g.name || field.beside.empty()) continue;
      const CheckpointTensor* s = file.find_tensor(tensor_beside(t.name, field.beside));
      auto dtype = plain_dtype(file.type_name(s->type_id));
      if (!dtype || !is_float(*dtype) || *dtype == DType::F64)
        return Error{where + ": expected " + std::string(s->name) + " in F32, F16 or BF16, found " + file.type_name(s->type_id)};
      params.push_back(std::string(name(*dtype)));
      break;
    }
  }
  return std::optional<std::string>(format_name(d, params));
}

// The format of a tensor that `source` calls `text`, of all that declare it; those with more tensors beside go first.
Result<ir::FormatRef> find_format(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t, const std::string& source,
                                  const std::string& text, const std::map<std::string, int64_t>& numbers) {
  auto all = lib.formats_for(source, text);
  auto beside = [](const ast::FormatDecl* d) {
    return std::count_if(d->fields.begin(), d->fields.end(), [](const ast::FormatField& f) { return !f.beside.empty(); });
  };
  std::stable_sort(all.begin(), all.end(), [&](auto* a, auto* b) { return beside(a) > beside(b); });
  std::string why;
  for (const ast::FormatDecl* d : all) {
    LUMEN_TRY(name, with_parameters(*d, file, t, numbers));
    if (!name) continue;
    LUMEN_TRY(format, lib.format(*name));
    if (!format || format->row_planes) return Error{"the format " + *name + " declares `" + source + " \"" + text + "\"`: expected blocks"};
    auto dims = field_tensor_dims(*format, file, t);
    if (dims) return format;
    why = dims.error().message;
  }
  if (!why.empty()) return Error{why};
  return Error{file.path() + ": tensor " + std::string(t.name) + ": no format at hand reads it; a declaration with `" + source + " \"" + text +
               "\"` and with fields in the tensors beside it, in a .lum file (--lum DIR), would teach it"};
}

}  // namespace

Result<ir::Type> hf_tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t) {
  std::string dtype = file.type_name(t.type_id);
  auto scalar = plain_dtype(dtype);
  ir::Type type;
  size_t dot = t.name.rfind('.');
  std::string module(t.name.substr(0, dot == t.name.npos ? 0 : dot));
  bool mlx_codes = scalar == DType::U32 && file.container() == "mlx" && t.name.substr(dot + 1) == "weight";
  if (mlx_codes || !scalar) {
    MlxRecord record = mlx_codes ? mlx_record(file, module) : MlxRecord{};
    LUMEN_TRY(format, find_format(lib, file, t, mlx_codes ? "mlx" : "hf", mlx_codes ? record.mode : dtype, record.numbers));
    LUMEN_TRY(dims, field_tensor_dims(*format, file, t));
    type.format = format;
    for (int64_t d : dims) type.dims.emplace_back(d);
    return type;
  }
  type.scalar = *scalar;
  for (int64_t d : t.dims) type.dims.emplace_back(d);
  return type;
}

}  // namespace lumen::engine
