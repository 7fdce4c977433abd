// Unicode classes and normalisation, as tokenizers need them. Classes are those of \p{L}, \p{N}, \p{M} and White_Space.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "tokenizer/spec.h"

namespace lumen::tok {

using lumen::is_valid_utf8;
using lumen::kReplacement;
using lumen::read_utf8;
using lumen::Utf8;
using lumen::Utf8Status;

inline constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";  // U+2581

// A copy where every byte that belongs to no well-formed sequence is one U+FFFD.
std::string replace_invalid(std::string_view text);
void append_utf8(std::string& out, uint32_t code);

enum CharClass : uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 4, kMark = 8 };
CharClass classify_slow(uint32_t code);
extern const CharClass kAsciiClass[128];
inline CharClass classify(uint32_t code) { return code < 128 ? kAsciiClass[code] : classify_slow(code); }

// Length of a character in text known to be valid, by its first byte.
inline uint32_t sequence_length(char first) {
  const auto c = static_cast<uint8_t>(first);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

// True when the text certainly is its own normal form (a quick look, no false positives). NFC only; others answer false past ASCII.
bool surely_normal(std::string_view text, Normalization form);
std::string normalize(std::string_view valid_utf8, Normalization form);
std::string escape_spaces(std::string_view text);    // ' ' -> U+2581
std::string unescape_spaces(std::string_view text);  // U+2581 -> ' '

}  // namespace lumen::tok
