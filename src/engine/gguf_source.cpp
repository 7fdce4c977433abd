// Tensor types of a GGUF file, and the formats that it brings.
#include "engine/gguf_source.h"

#include <algorithm>
#include <map>

#include "compiler/syntax/parser.h"
#include "engine/field_tensors.h"

namespace lumen::engine {

std::string private_name_key(uint32_t id) { return std::string(kFormatKeyPrefix) + std::to_string(id) + ".name"; }
std::string private_source_key(uint32_t id) { return std::string(kFormatKeyPrefix) + std::to_string(id) + ".source"; }

namespace {

std::optional<BlockGeometry> geometry(const ir::Type& element) {
  if (!element.format) return BlockGeometry{1, size_of(element.scalar)};
  if (element.format->row_planes) return std::nullopt;
  return BlockGeometry{element.format->block, element.format->block_bytes};
}

// The declaration without what means nothing: comments and white space.
std::string bare(std::string_view text) {
  std::string out;
  bool comment = false;
  for (char c : text) {
    if (c == '\n')
      comment = false;
    else if (c == '#')
      comment = true;
    if (!comment && c != ' ' && c != '\t' && c != '\n' && c != '\r') out += c;
  }
  return out;
}

// The element type of a private type id; nullopt: the file does not name it.
Result<std::optional<ir::Type>> private_element(const sema::Library& lib, const Checkpoint& file, uint32_t id) {
  if (!file.find(private_name_key(id))) return std::optional<ir::Type>();
  LUMEN_TRY(text, file.get_string(private_name_key(id)));
  std::string name(text), kind = file.path() + ": tensors of type " + std::to_string(id) + " are in the format " + lumen::quoted(name);
  if (!lib.format_decl(name.substr(0, name.find('<'))))
    return Error{
        kind +
        ", which no .lum file at hand declares; --lum DIR adds your own, --trust-embedded-formats takes the declaration in the file"};
  LUMEN_TRY(format, lib.format(name));
  if (!format || format->row_planes) return Error{kind + ", expected a format of blocks"};
  if (file.find(private_source_key(id))) {
    LUMEN_TRY(source, file.get_string(private_source_key(id)));
    if (bare(source) != bare(format->source))
      return Error{kind +
                   ", written with another declaration of that name than the one at hand; --trust-embedded-formats takes the declaration "
                   "in the file"};
  }
  return std::optional<ir::Type>(ir::Type{DType::F32, format, {}});
}

Result<std::optional<ir::Type>> element_type(const sema::Library& lib, const Checkpoint& file, uint32_t id) {
  if (id >= kFirstPrivateType) {
    LUMEN_TRY(named, private_element(lib, file, id));
    if (named) return named;
  }
  if (id > INT32_MAX) return std::optional<ir::Type>();
  return lib.element_by_gguf_type(static_cast<int>(id));
}

// A format of the tensor's type with fields in tensors beside it that are all there; null: none.
Result<ir::FormatRef> format_beside(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t) {
  for (const std::string& name : lib.format_names()) {
    const ast::FormatDecl* d = lib.format_decl(name);
    if (!d->gguf || d->gguf->kind != ast::ExprKind::Int || d->gguf->ival != t.type_id || !d->generics.empty()) continue;
    auto missing = [&](const ast::FormatField& f) { return !f.beside.empty() && !file.find_tensor(tensor_beside(t.name, f.beside)); };
    auto own = [](const ast::FormatField& f) { return f.beside.empty(); };
    if (std::all_of(d->fields.begin(), d->fields.end(), own) || std::any_of(d->fields.begin(), d->fields.end(), missing)) continue;
    LUMEN_TRY(format, lib.format(name));
    LUMEN_CHECK(field_tensor_dims(*format, file, t));
    return format;
  }
  return ir::FormatRef();
}

// llama.cpp multiplies a product with `x.weight` by `x.scale` where that is there: one number, or one for each matrix of a stack of experts.
// A format that does not read it would give other values without a word.
const CheckpointTensor* scale_of(const Checkpoint& file, const CheckpointTensor& t) {
  if (!t.name.ends_with(".weight")) return nullptr;
  const CheckpointTensor* s = file.find_tensor(tensor_beside(t.name, "scale"));
  bool matrices = t.dims.size() > 2 && s && s->element_count() == t.dims[0];
  return s && (s->element_count() == 1 || matrices) ? s : nullptr;
}

}  // namespace

std::optional<BlockGeometry> gguf_geometry(const sema::Library& lib, const Checkpoint& file, uint32_t type_id) {
  auto element = element_type(lib, file, type_id);
  return element && *element ? geometry(**element) : std::nullopt;
}

Result<Checkpoint> open_gguf_checkpoint(const std::string& path, const sema::Library& lib) {
  auto by_number = [&lib](uint32_t id) -> std::optional<BlockGeometry> {
    if (id > INT32_MAX) return std::nullopt;
    auto element = lib.element_by_gguf_type(static_cast<int>(id));
    return element && *element ? geometry(**element) : std::nullopt;
  };
  LUMEN_TRY(file, open_gguf(path, by_number));
  // What the private types are stands in the metadata that was just read: once more, with what it says.
  std::map<uint32_t, BlockGeometry> found;
  for (const CheckpointTensor& t : file.tensors()) {
    if (t.type_id < kFirstPrivateType || found.count(t.type_id)) continue;
    LUMEN_TRY(element, private_element(lib, file, t.type_id));
    if (!element) continue;
    if (auto g = geometry(*element)) found[t.type_id] = *g;
  }
  if (found.empty()) return file;
  return open_gguf(path, [&](uint32_t id) -> std::optional<BlockGeometry> {
    auto it = found.find(id);
    return it != found.end() ? std::optional<BlockGeometry>(it->second) : by_number(id);
  });
}

Status add_embedded_formats(sema::Library& lib, const std::string& path) {
  LUMEN_TRY(file, open_gguf(path, {}));
  std::map<uint32_t, bool> seen;
  for (const CheckpointTensor& t : file.tensors()) {
    if (t.type_id < kFirstPrivateType || seen[t.type_id] || !file.find(private_source_key(t.type_id))) continue;
    seen[t.type_id] = true;
    LUMEN_TRY(name, file.get_string(private_name_key(t.type_id)));
    LUMEN_TRY(text, file.get_string(private_source_key(t.type_id)));
    auto source = std::make_shared<const Source>(Source{path + ":" + private_source_key(t.type_id), std::string(text)});
    syntax::Parsed parsed = syntax::parse(source);
    if (!parsed.errors.empty()) return Error{render(parsed.errors)};
    const ast::File& f = parsed.file;
    if (f.formats.size() != 1 || f.formats[0].name != name.substr(0, name.find('<')) || !f.functions.empty() || !f.lets.empty() || !f.tables.empty() ||
        !f.models.empty())
      return Error{path + ": " + private_source_key(t.type_id) + ": expected one declaration, of the format " + lumen::quoted(name)};
    if (auto errors = lib.add(source); !errors.empty()) return Error{render(errors)};
  }
  return ok_status();
}

Result<ir::Type> gguf_tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t) {
  LUMEN_TRY(beside, format_beside(lib, file, t));
  LUMEN_TRY(element, beside ? Result<std::optional<ir::Type>>(ir::Type{DType::F32, beside, {}}) : element_type(lib, file, t.type_id));
  if (!element)
    return Error{file.path() + ": tensor " + std::string(t.name) + ": no format at hand has GGUF type " + std::to_string(t.type_id) +
                 "; a declaration with `gguf " + std::to_string(t.type_id) + "` in a .lum file (--lum DIR) would teach it"};
  if (const CheckpointTensor* s = beside ? nullptr : scale_of(file, t))
    return Error{file.path() + ": tensor " + std::string(t.name) + ": " + std::string(s->name) + " scales it, and no format of GGUF type " +
                 std::to_string(t.type_id) + " reads that; a declaration with `gguf " + std::to_string(t.type_id) +
                 "` and a field `in \"scale\"` in a .lum file (--lum DIR) would teach it"};
  ir::Type type = *element;
  for (int64_t d : t.dims) type.dims.emplace_back(d);
  return type;
}

}  // namespace lumen::engine
