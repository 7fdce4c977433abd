// Reading UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lumen {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8Status : uint8_t { Ok, Invalid, Truncated };
struct Utf8 {
  uint32_t code;      // the code point when Ok
  uint32_t length;    // bytes; when Invalid: the maximal ill-formed run, at least 1; when Truncated: all that is left
  Utf8Status status;  // Truncated: well-formed so far, the text ends inside the sequence
};
// The first character of `text`, which is not empty.
Utf8 read_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);
// A copy where every maximal ill-formed run is one U+FFFD, as Unicode advises.
std::string whole_utf8(std::string_view text);

}  // namespace lumen
