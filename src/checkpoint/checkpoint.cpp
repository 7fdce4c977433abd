// Look-up by name and typed access, with errors that say which file, which key, what was found and what was expected.
#include "checkpoint/checkpoint.h"

#include <cstring>

#include "base/assert.h"

namespace lumen {
namespace {

bool is_int(MetaType t) { return t <= MetaType::I32 || t == MetaType::U64 || t == MetaType::I64; }
bool is_number(MetaType t) { return is_int(t) || t == MetaType::F32 || t == MetaType::F64; }
bool is_bool(MetaType t) { return t == MetaType::Bool; }
bool is_string(MetaType t) { return t == MetaType::String; }

// The integer, where it fits in an int64.
std::optional<int64_t> to_int(const MetaValue& v) {
  MetaValue::Scalar s = v.scalar();
  if (auto i = std::get_if<int64_t>(&s)) return *i;
  uint64_t u = std::get<uint64_t>(s);
  if (u > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<int64_t>(u);
}

double to_double(const MetaValue& v) {
  MetaValue::Scalar s = v.scalar();
  if (auto i = std::get_if<int64_t>(&s)) return static_cast<double>(*i);
  if (auto u = std::get_if<uint64_t>(&s)) return static_cast<double>(*u);
  return std::get<double>(s);
}

// A bool is one byte; anything but 0 and 1 is a damaged file.
std::optional<bool> to_bool(const MetaValue& v) {
  if (*v.data > 1) return std::nullopt;
  return *v.data == 1;
}

// Calls `use(i, element)` for every element of an array of scalars until it returns false; makes no list.
template <class Use>
void each_scalar(const MetaValue& array, Use use) {
  uint64_t step = size_of(array.element);
  MetaValue v{array.element, array.element, 1, array.data, step};
  for (uint64_t i = 0; i < array.count; ++i, v.data += step)
    if (!use(i, v)) return;
}

}  // namespace

int64_t CheckpointTensor::element_count() const {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

Checkpoint::Checkpoint(Contents contents) : c_(std::move(contents)) {
  key_index_.reserve(c_.metadata.size());
  tensor_index_.reserve(c_.tensors.size());
  for (uint32_t i = 0; i < c_.metadata.size(); ++i) LUMEN_ASSERT(key_index_.emplace(c_.metadata[i].key, i).second);
  for (uint32_t i = 0; i < c_.tensors.size(); ++i) LUMEN_ASSERT(tensor_index_.emplace(c_.tensors[i].name, i).second);
}

const MetaValue* Checkpoint::find(std::string_view key) const {
  auto it = key_index_.find(key);
  return it == key_index_.end() ? nullptr : &c_.metadata[it->second].value;
}

Error Checkpoint::key_error(std::string_view key, const MetaValue* found, std::string_view expected) const {
  std::string text = c_.path + ": metadata key " + quoted(key);
  text += found ? ": expected " : " is missing: expected ";
  text += expected;
  if (found && found->type == MetaType::Array) text += ", found " + found->type_name();
  if (found && found->type != MetaType::Array) text += ", found " + found->type_name() + " " + found->render(4, 40);
  return Error{text};
}

Error Checkpoint::element_error(std::string_view key, uint64_t i, std::string_view expected, std::string_view found) const {
  return Error{c_.path + ": metadata key " + quoted(key) + ": element " + std::to_string(i) + ": expected " + std::string(expected) +
               ", found " + std::string(found)};
}

Result<int64_t> Checkpoint::get_int(std::string_view key, int64_t lo, int64_t hi) const {
  const MetaValue* v = find(key);
  if (!v || !is_int(v->type)) return key_error(key, v, "an integer");
  std::optional<int64_t> i = to_int(*v);
  if (!i || *i < lo || *i > hi) return key_error(key, v, "an integer from " + std::to_string(lo) + " to " + std::to_string(hi));
  return *i;
}

Result<double> Checkpoint::get_float(std::string_view key) const {
  const MetaValue* v = find(key);
  if (!v || !is_number(v->type)) return key_error(key, v, "a number");
  return to_double(*v);
}

Result<bool> Checkpoint::get_bool(std::string_view key) const {
  const MetaValue* v = find(key);
  if (!v || !is_bool(v->type)) return key_error(key, v, "a bool");
  std::optional<bool> b = to_bool(*v);
  if (!b) return Error{c_.path + ": metadata key " + quoted(key) + ": expected a bool of 0 or 1, found " + std::to_string(*v->data)};
  return *b;
}

Result<std::string_view> Checkpoint::get_string(std::string_view key) const {
  const MetaValue* v = find(key);
  if (!v || !is_string(v->type)) return key_error(key, v, "a string");
  return std::get<std::string_view>(v->scalar());
}

Result<const MetaValue*> Checkpoint::array_of(std::string_view key, std::string_view expected, bool (*accepts)(MetaType)) const {
  const MetaValue* v = find(key);
  if (!v || v->type != MetaType::Array || !accepts(v->element)) return key_error(key, v, expected);
  return v;
}

Result<std::vector<int64_t>> Checkpoint::get_ints(std::string_view key) const {
  LUMEN_TRY(array, array_of(key, "an array of integers", is_int));
  std::vector<int64_t> out(array->count);
  std::optional<Error> error;
  each_scalar(*array, [&](uint64_t i, const MetaValue& v) {
    std::optional<int64_t> value = to_int(v);
    if (!value) error = element_error(key, i, "an integer below 2^63", v.render());
    out[i] = value.value_or(0);
    return !error;
  });
  if (error) return *error;
  return out;
}

Result<std::vector<double>> Checkpoint::get_floats(std::string_view key) const {
  LUMEN_TRY(array, array_of(key, "an array of numbers", is_number));
  std::vector<double> out(array->count);
  each_scalar(*array, [&](uint64_t i, const MetaValue& v) {
    out[i] = to_double(v);
    return true;
  });
  return out;
}

Result<std::vector<bool>> Checkpoint::get_bools(std::string_view key) const {
  LUMEN_TRY(array, array_of(key, "an array of bools", is_bool));
  std::vector<bool> out(array->count);
  std::optional<Error> error;
  each_scalar(*array, [&](uint64_t i, const MetaValue& v) {
    std::optional<bool> value = to_bool(v);
    if (!value) error = element_error(key, i, "a bool of 0 or 1", std::to_string(*v.data));
    out[i] = value.value_or(false);
    return !error;
  });
  if (error) return *error;
  return out;
}

Result<std::vector<std::string_view>> Checkpoint::get_strings(std::string_view key) const {
  LUMEN_TRY(v, array_of(key, "an array of strings", is_string));
  std::vector<std::string_view> out(v->count);
  const uint8_t* at = v->data;
  for (std::string_view& text : out) {  // lengths were checked when the file was opened
    uint64_t length;
    std::memcpy(&length, at, sizeof length);
    text = {reinterpret_cast<const char*>(at + sizeof length), length};
    at += sizeof length + length;
  }
  return out;
}

const CheckpointTensor* Checkpoint::find_tensor(std::string_view name) const {
  auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &c_.tensors[it->second];
}

Result<BufferView> Checkpoint::data(const CheckpointTensor& t) const {
  if (!t.bytes) {
    std::string id = std::to_string(t.type_id), type = "type " + id, line = c_.container + " " + id;
    if (!c_.type_names.empty()) type = "dtype " + c_.type_names[t.type_id], line = "hf \"" + c_.type_names[t.type_id] + "\"";
    return Error{c_.path + ": tensor " + quoted(t.name) + " has " + type +
                 ", which no format is known for: expected a .lum format declaration with `" + line + "` to teach it (see --lum)"};
  }
  return BufferView{t.data, *t.bytes};
}

Result<BufferView> Checkpoint::data(std::string_view name) const {
  const CheckpointTensor* t = find_tensor(name);
  if (!t) return Error{c_.path + ": expected a tensor named " + quoted(name) + ", found none among " + std::to_string(c_.tensors.size())};
  return data(*t);
}

void Checkpoint::release(const uint8_t* begin, const uint8_t* end) const {
  for (const MappedFile& f : c_.files) {
    const uint8_t* base = f.bytes().data();
    if (begin >= base && begin < end && end <= base + f.bytes().size()) f.release(begin - base, end - base);
  }
}

void Checkpoint::release(const CheckpointTensor& t) const {
  if (t.bytes) release(t.data, t.data + *t.bytes);
}

std::vector<std::string> Checkpoint::file_paths() const {
  std::vector<std::string> paths;
  for (const MappedFile& f : c_.files) paths.push_back(f.path());
  return paths;
}

}  // namespace lumen
