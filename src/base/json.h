// Json: a JSON text (RFC 8259, strict) as a tree of views, quick enough for files of tens of megabytes.
// Invariants: strings without escapes point into the text, everything else into the JsonDocument; both must outlive the tree.
// A repeated key stays a member; find() gives the last one, as Python would.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lumen {

struct JsonMember;

class Json {
 public:
  enum class Kind : uint8_t { Null, Bool, Int, Float, String, Array, Object };
  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool is_null() const { return is(Kind::Null); }
  bool is_string() const { return is(Kind::String); }
  bool is_array() const { return is(Kind::Array); }
  bool is_object() const { return is(Kind::Object); }
  bool is_number() const { return is(Kind::Int) || is(Kind::Float); }

  // Each of these needs its kind; as_double takes both kinds of numbers. An integer beyond 64 bits is a Float.
  bool as_bool() const { return u_.integer != 0; }
  int64_t as_int() const { return u_.integer; }
  double as_double() const { return is(Kind::Int) ? static_cast<double>(u_.integer) : u_.number; }
  std::string_view as_string() const { return {u_.text, count_}; }

  std::span<const Json> items() const { return is_array() ? std::span(u_.items, count_) : std::span<const Json>(); }
  std::span<const JsonMember> members() const;   // empty where this is no object
  const Json* find(std::string_view key) const;  // null: no object, or no such member

 private:
  friend class JsonReader;
  Kind kind_ = Kind::Null;
  uint32_t count_ = 0;
  union {
    int64_t integer;
    double number;
    const char* text;
    const Json* items;
    const JsonMember* members;
  } u_ = {0};
};

struct JsonMember {
  std::string_view key;
  Json value;
};

inline std::span<const JsonMember> Json::members() const {
  return is_object() ? std::span(u_.members, count_) : std::span<const JsonMember>();
}

class JsonDocument {
 public:
  // The whole text must be one value, nested at most `max_depth` deep. The error names line and column.
  static Result<JsonDocument> parse(std::string_view text, uint32_t max_depth = 100);
  JsonDocument();
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();
  const Json& root() const { return root_; }

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
  Json root_;
};

}  // namespace lumen
