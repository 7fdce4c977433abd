// Metadata and tensor types of a GGUF file for the model declarations.
#include "engine/gguf_source.h"

namespace lumen::engine {

GeometryOf geometry_of(const sema::Library& lib) {
  return [&lib](uint32_t id) -> std::optional<BlockGeometry> {
    if (id > INT32_MAX) return std::nullopt;
    auto element = lib.element_by_gguf_type(static_cast<int>(id));
    if (!element || !*element) return std::nullopt;
    const ir::Type& t = **element;
    if (!t.format) return BlockGeometry{1, size_of(t.scalar)};
    if (t.format->row_planes) return std::nullopt;
    return BlockGeometry{t.format->block, t.format->block_bytes};
  };
}

Result<ir::Type> tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t) {
  std::optional<ir::Type> element;
  if (t.type_id <= INT32_MAX) {
    LUMEN_TRY(found, lib.element_by_gguf_type(static_cast<int>(t.type_id)));
    element = found;
  }
  if (!element)
    return Error{file.path() + ": tensor " + std::string(t.name) + ": no format at hand has GGUF type " + std::to_string(t.type_id) +
                 "; a declaration with `gguf " + std::to_string(t.type_id) + "` in a .lum file (--lum DIR) would teach it"};
  ir::Type type = *element;
  for (int64_t d : t.dims) type.dims.emplace_back(d);
  return type;
}

std::optional<sema::StaticValue> GgufSource::config(const std::string& key) const {
  const MetaValue* v = file_.find(key);
  if (!v) return std::nullopt;
  if (v->type == MetaType::Array) {
    if (v->element == MetaType::String || v->element == MetaType::Array) return std::nullopt;
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
  if (auto* u = std::get_if<uint64_t>(&s)) return *u <= INT64_MAX ? std::optional<sema::StaticValue>(static_cast<int64_t>(*u)) : std::nullopt;
  if (auto* i = std::get_if<int64_t>(&s)) return *i;
  if (auto* d = std::get_if<double>(&s)) return *d;
  if (auto* b = std::get_if<bool>(&s)) return *b;
  return std::string(std::get<std::string_view>(s));
}

Result<std::optional<sema::ModelSource::TensorInfo>> GgufSource::tensor(const std::string& name) const {
  const CheckpointTensor* t = file_.find_tensor(name);
  if (!t) return std::optional<TensorInfo>();
  LUMEN_TRY(type, tensor_type(lib_, file_, *t));
  return std::optional<TensorInfo>(TensorInfo{type});
}

}  // namespace lumen::engine
