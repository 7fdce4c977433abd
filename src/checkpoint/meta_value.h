// MetaValue: one typed metadata value, as a view of its packed little-endian bytes. Copying it copies no data.
// Invariant: a MetaValue made by parse_value was checked to the last byte, nested elements included.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lumen {

// The types a metadata value may have: name, number (GGUF's own), bytes (0: not fixed).
#define LUMEN_META_TYPES(X)                                                                                                           \
  X(U8, "u8", 0, 1)                                                                                                                   \
  X(I8, "i8", 1, 1)                                                                                                                   \
  X(U16, "u16", 2, 2)                                                                                                                 \
  X(I16, "i16", 3, 2)                                                                                                                 \
  X(U32, "u32", 4, 4) X(I32, "i32", 5, 4) X(F32, "f32", 6, 4) X(Bool, "bool", 7, 1) X(String, "string", 8, 0) X(Array, "array", 9, 0) \
      X(U64, "u64", 10, 8) X(I64, "i64", 11, 8) X(F64, "f64", 12, 8)

enum class MetaType : uint32_t {
#define X(name, text, number, size) name = number,
  LUMEN_META_TYPES(X)
#undef X
};
constexpr uint32_t kMetaTypeCount = 13;
constexpr int kMaxArrayDepth = 4;  // arrays in arrays; deeper ones are refused when a file is opened

std::string_view name(MetaType type);
int size_of(MetaType type);  // bytes; 0 for string and array

struct MetaValue {
  MetaType type = MetaType::U8;
  MetaType element = MetaType::U8;  // of an array
  uint64_t count = 0;               // array: elements; string: bytes; scalar: 1
  const uint8_t* data = nullptr;    // unaligned. Array of strings: each a u64 length and its bytes
  uint64_t size = 0;                // bytes at `data`

  using Scalar = std::variant<uint64_t, int64_t, double, bool, std::string_view>;
  Scalar scalar() const;          // not for arrays
  std::string type_name() const;  // "u32", "array of string"
  // The first `limit` elements of an array, strings and nested arrays included.
  std::vector<MetaValue> elements(uint64_t limit = UINT64_MAX) const;
  // For people: 576, "llama", [1, 2, 3, … 49152 in all]. Control characters are escaped, long strings cut at `max_bytes`.
  std::string render(uint64_t max_elements = 4, size_t max_bytes = 80) const;
};

// A cursor over bytes that came from outside. Nothing is read past `end`.
struct ByteCursor {
  const uint8_t* at = nullptr;
  const uint8_t* end = nullptr;
  uint64_t left() const { return static_cast<uint64_t>(end - at); }
  template <class T>
  bool read(T& out) {
    if (left() < sizeof(T)) return false;
    __builtin_memcpy(&out, at, sizeof(T));
    at += sizeof(T);
    return true;
  }
};

// Reads a value of `type` at the cursor and moves past it. On bad bytes returns false and says in `problem` what is wrong.
bool parse_value(ByteCursor& in, MetaType type, MetaValue& out, std::string& problem, int depth = 0);

// 'text' for a message or a terminal: control characters, quotes and invalid UTF-8 escaped; cut after max_bytes.
std::string quoted(std::string_view text, size_t max_bytes = 80, char quote = '\'');

}  // namespace lumen
