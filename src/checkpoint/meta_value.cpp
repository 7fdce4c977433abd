// Packed metadata values: checked parsing, element access and rendering.
#include "checkpoint/meta_value.h"

#include <bit>
#include <cstdio>
#include <cstring>

#include "base/assert.h"

namespace lumen {

static_assert(std::endian::native == std::endian::little, "metadata and weights are used in place, little-endian");

std::string_view name(MetaType type) {
  switch (type) {
#define X(id, text, number, size) \
  case MetaType::id:              \
    return text;
    LUMEN_META_TYPES(X)
#undef X
  }
  return "?";
}

int size_of(MetaType type) {
  switch (type) {
#define X(id, text, number, size) \
  case MetaType::id:              \
    return size;
    LUMEN_META_TYPES(X)
#undef X
  }
  return 0;
}

namespace {

template <class T>
T load(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

bool fail(std::string& problem, std::string text) {
  problem = std::move(text);
  return false;
}

std::string past_end(const char* what, uint64_t amount, const char* unit, uint64_t left) {
  return std::string(what) + " of " + std::to_string(amount) + " " + unit + " reaches past the end of the file: expected at most " +
         std::to_string(left) + " more bytes";
}

bool parse_string(ByteCursor& in, MetaValue& out, std::string& problem) {
  if (!in.read(out.count)) return fail(problem, "the file ends before the length of a string (expected 8 bytes)");
  if (out.count > in.left()) return fail(problem, past_end("a string", out.count, "bytes", in.left()));
  out.data = in.at;
  out.size = out.count;
  in.at += out.count;
  return true;
}

bool parse_array(ByteCursor& in, MetaValue& out, std::string& problem, int depth) {
  if (depth >= kMaxArrayDepth) return fail(problem, "arrays nested deeper than " + std::to_string(kMaxArrayDepth) + " levels");
  uint32_t element;
  if (!in.read(element) || !in.read(out.count))
    return fail(problem, "the file ends before an array's element type and count (expected 12 bytes)");
  if (element >= kMetaTypeCount)
    return fail(problem,
                "unknown array element type " + std::to_string(element) + " (expected 0 to " + std::to_string(kMetaTypeCount - 1) + ")");
  out.element = static_cast<MetaType>(element);
  out.data = in.at;
  uint64_t each = size_of(out.element);
  uint64_t least = each ? each : out.element == MetaType::String ? 8 : 12;  // bytes an element takes at the least
  if (out.count > in.left() / least) return fail(problem, past_end("an array", out.count, "elements", in.left()));
  if (each) {
    in.at += out.count * each;
  } else {
    MetaValue ignored;
    for (uint64_t i = 0; i < out.count; ++i)
      if (!parse_value(in, out.element, ignored, problem, depth + 1)) return fail(problem, "element " + std::to_string(i) + ": " + problem);
  }
  out.size = in.at - out.data;
  return true;
}

// Bytes of the character that `text` begins with, or 0: a control character (C1 too) or not UTF-8.
size_t printable_length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  unsigned c = byte(0);
  if (c < 0x80) return c >= 32 && c != 127;
  size_t n = c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  bool c1 = c == 0xC2 && byte(1) < 0xA0;
  bool overlong_or_surrogate =
      (c == 0xE0 && byte(1) < 0xA0) || (c == 0xED && byte(1) >= 0xA0) || (c == 0xF0 && byte(1) < 0x90) || (c == 0xF4 && byte(1) >= 0x90);
  return c1 || overlong_or_surrogate ? 0 : n;
}

}  // namespace

bool parse_value(ByteCursor& in, MetaType type, MetaValue& out, std::string& problem, int depth) {
  out.type = type;
  if (type == MetaType::String) return parse_string(in, out, problem);
  if (type == MetaType::Array) return parse_array(in, out, problem, depth);
  uint64_t bytes = size_of(type);
  if (in.left() < bytes) return fail(problem, past_end("a value", bytes, "bytes", in.left()));
  out.count = 1;
  out.data = in.at;
  out.size = bytes;
  in.at += bytes;
  return true;
}

MetaValue::Scalar MetaValue::scalar() const {
  switch (type) {
    case MetaType::U8:
      return uint64_t{load<uint8_t>(data)};
    case MetaType::U16:
      return uint64_t{load<uint16_t>(data)};
    case MetaType::U32:
      return uint64_t{load<uint32_t>(data)};
    case MetaType::U64:
      return load<uint64_t>(data);
    case MetaType::I8:
      return int64_t{load<int8_t>(data)};
    case MetaType::I16:
      return int64_t{load<int16_t>(data)};
    case MetaType::I32:
      return int64_t{load<int32_t>(data)};
    case MetaType::I64:
      return load<int64_t>(data);
    case MetaType::F32:
      return double{load<float>(data)};
    case MetaType::F64:
      return load<double>(data);
    case MetaType::Bool:
      return load<uint8_t>(data) != 0;
    case MetaType::String:
      return std::string_view(reinterpret_cast<const char*>(data), size);
    case MetaType::Array:
      break;
  }
  LUMEN_ASSERT(!"scalar() of an array");
  return uint64_t{0};
}

std::string MetaValue::type_name() const {
  std::string text(name(type));
  if (type == MetaType::Array) text += " of " + std::string(name(element));
  return text;
}

std::vector<MetaValue> MetaValue::elements(uint64_t limit) const {
  LUMEN_ASSERT(type == MetaType::Array);
  std::vector<MetaValue> out(count < limit ? count : limit);
  ByteCursor in{data, data + size};
  std::string problem;
  for (MetaValue& v : out) {
    bool good = parse_value(in, element, v, problem, 1);
    LUMEN_ASSERT(good);  // parse_value has been here before
  }
  return out;
}

std::string MetaValue::render(uint64_t max_elements, size_t max_bytes) const {
  if (type == MetaType::Array) {
    std::string text = "[";
    for (const MetaValue& v : elements(max_elements)) text += (text.size() > 1 ? ", " : "") + v.render(max_elements, max_bytes);
    if (count > max_elements) text += (max_elements ? ", … " : "") + std::to_string(count) + " in all";
    return text + "]";
  }
  Scalar s = scalar();
  if (auto u = std::get_if<uint64_t>(&s)) return std::to_string(*u);
  if (auto i = std::get_if<int64_t>(&s)) return std::to_string(*i);
  if (auto b = std::get_if<bool>(&s)) return *b ? "true" : "false";
  if (auto t = std::get_if<std::string_view>(&s)) return quoted(*t, max_bytes, '"');
  char text[40];
  std::snprintf(text, sizeof text, type == MetaType::F32 ? "%.9g" : "%.17g", std::get<double>(s));
  return text;
}

std::string quoted(std::string_view text, size_t max_bytes, char quote) {
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    if (i >= max_bytes) {
      out += "…";
      break;
    }
    unsigned char c = text[i];
    size_t n = printable_length(text.substr(i));
    if (c == '\n' || c == '\t') {
      out += c == '\n' ? "\\n" : "\\t";
    } else if (n == 0) {
      char hex[5];
      std::snprintf(hex, sizeof hex, "\\x%02x", c);
      out += hex;
    } else {
      if (c == '\\' || text[i] == quote) out += '\\';
      out += text.substr(i, n);
    }
    i += n ? n : 1;
  }
  return out + quote;
}

}  // namespace lumen
