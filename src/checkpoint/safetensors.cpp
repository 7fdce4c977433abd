// Header of one safetensors file.
#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace lumen {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // bytes; the reference implementation's own limit
constexpr uint32_t kMaxDepth = 8;
constexpr size_t kMaxDimensions = 8;

class HeaderReader {
 public:
  HeaderReader(std::span<const uint8_t> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Result<SafetensorsFile> read() {
    uint64_t length = 0;
    if (bytes_.size() < 8) return bad("header", "the file ends before its length (" + std::to_string(bytes_.size()) + " bytes in all)");
    std::memcpy(&length, bytes_.data(), 8);
    if (length > kMaxHeader || length > bytes_.size() - 8)
      return bad("header", "its length is " + std::to_string(length) + ": expected at most " +
                               std::to_string(std::min(kMaxHeader, bytes_.size() - 8)) + " bytes");
    std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + 8, length);
    if (text.empty() || text.front() != '{')
      return bad("header", "expected JSON that begins with '{', found " + quoted(text.substr(0, 4)));
    auto parsed = JsonDocument::parse(text, kMaxDepth);
    if (!parsed) return bad("header", parsed.error().message);
    file_.header = parsed.take();
    data_ = 8 + length;
    LUMEN_CHECK(read_entries());
    LUMEN_CHECK(check_ranges());
    return std::move(file_);
  }

 private:
  Error bad(const std::string& where, const std::string& what) const { return Error{name_ + ": " + where + ": " + what}; }
  static std::string where(std::string_view tensor) { return "tensor " + quoted(tensor); }

  Status read_entries() {
    std::unordered_set<std::string_view> seen;
    for (const JsonMember& m : file_.header.root().members()) {
      if (!seen.insert(m.key).second) return bad("header", "the name " + quoted(m.key) + " appears a second time: expected unique names");
      if (m.key == "__metadata__") {
        if (!m.value.is_object()) return bad("header", "__metadata__: expected an object of strings");
        file_.metadata = &m.value;
        continue;
      }
      if (m.key.empty()) return bad("header", "a tensor with an empty name: expected a name");
      LUMEN_CHECK(read_entry(m));
    }
    return ok_status();
  }

  Status read_entry(const JsonMember& m) {
    SafetensorsFile::Tensor t;
    t.name = m.key;
    const Json *dtype = m.value.find("dtype"), *shape = m.value.find("shape"), *range = m.value.find("data_offsets");
    if (!dtype || !dtype->is_string()) return bad(where(m.key), "dtype: expected a string");
    if (!shape || !shape->is_array()) return bad(where(m.key), "shape: expected a list of dimensions");
    t.dtype = dtype->as_string();
    if (shape->items().size() > kMaxDimensions)
      return bad(where(m.key), std::to_string(shape->items().size()) + " dimensions: expected at most " + std::to_string(kMaxDimensions));
    uint64_t elements = 1;
    for (const Json& d : shape->items()) {
      if (!d.is(Json::Kind::Int) || d.as_int() < 0) return bad(where(m.key), "shape: expected integers from 0 on");
      if (__builtin_mul_overflow(elements, static_cast<uint64_t>(d.as_int()), &elements) || elements > INT64_MAX / 8)
        return bad(where(m.key), "shape: expected fewer than 2^60 elements in all");
      t.dims.push_back(d.as_int());
    }
    std::span<const Json> ends = range ? range->items() : std::span<const Json>();
    uint64_t size = bytes_.size() - data_;
    if (ends.size() != 2 || !ends[0].is(Json::Kind::Int) || !ends[1].is(Json::Kind::Int) || ends[0].as_int() < 0 ||
        ends[1].as_int() < ends[0].as_int() || static_cast<uint64_t>(ends[1].as_int()) > size)
      return bad(where(m.key), "data_offsets: expected two ascending numbers up to " + std::to_string(size) +
                                   ", the bytes of data in this file (is it truncated?)");
    t.begin = data_ + static_cast<uint64_t>(ends[0].as_int());
    t.end = data_ + static_cast<uint64_t>(ends[1].as_int());
    if (int bits = safetensors_bits(t.dtype)) {
      uint64_t need = elements * static_cast<uint64_t>(bits);
      if (need % 8 != 0 || need / 8 != t.end - t.begin)
        return bad(where(m.key), "data_offsets: " + std::to_string(t.end - t.begin) + " bytes, but " + std::to_string(elements) +
                                     " elements of " + std::string(t.dtype) + " take " + std::to_string(need / 8));
    }
    file_.tensors.push_back(std::move(t));
    return ok_status();
  }

  // The format allows neither gaps nor overlaps: data belongs to exactly one tensor.
  Status check_ranges() {
    auto& tensors = file_.tensors;
    std::sort(tensors.begin(), tensors.end(),
              [](const auto& a, const auto& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
    uint64_t at = data_;
    for (const SafetensorsFile::Tensor& t : tensors) {
      if (t.begin != at)
        return bad(where(t.name), "its data begins at byte " + std::to_string(t.begin) + " of the file: expected " + std::to_string(at) +
                                      ", where the data before it ends (" + (t.begin < at ? "they overlap)" : "there is a gap)"));
      at = t.end;
    }
    if (at != bytes_.size())
      return bad("data", std::to_string(bytes_.size() - at) + " bytes behind the last tensor: expected the file to end at byte " +
                             std::to_string(at));
    return ok_status();
  }

  std::span<const uint8_t> bytes_;
  const std::string& name_;
  uint64_t data_ = 0;  // where data begins
  SafetensorsFile file_;
};

}  // namespace

int safetensors_bits(std::string_view dtype) {
  static constexpr struct {
    std::string_view name;
    int bits;
  } table[] = {{"F32", 32},    {"F16", 16},    {"BF16", 16}, {"F64", 64}, {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F4", 4},
               {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"BOOL", 8},   {"U8", 8},      {"I8", 8},      {"U16", 16},
               {"I16", 16},    {"U32", 32},    {"I32", 32},  {"U64", 64}, {"I64", 64},   {"C64", 64}};
  for (const auto& [name, bits] : table)
    if (name == dtype) return bits;
  return 0;
}

Result<SafetensorsFile> parse_safetensors(std::span<const uint8_t> bytes, const std::string& name) { return HeaderReader(bytes, name).read(); }

}  // namespace lumen
