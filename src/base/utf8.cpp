// See utf8.h.
#include "base/utf8.h"

#include <cstring>

namespace lumen {

Utf8 read_utf8(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = at(0);
  if (first < 0x80) return {first, 1, Utf8Status::Ok};
  if (first >= 0xC2 && first <= 0xDF && text.size() > 1 && (at(1) & 0xC0) == 0x80) {  // the common case of byte alphabets
    return {static_cast<uint32_t>(first & 0x1F) << 6 | (at(1) & 0x3F), 2, Utf8Status::Ok};
  }
  // The second byte's range narrows for the leads that could begin overlong forms, surrogates or code points past U+10FFFF.
  uint32_t length, code;
  uint8_t low = 0x80, high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2, code = first & 0x1F;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3, code = first & 0x0F;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4, code = first & 0x07;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {0, 1, Utf8Status::Invalid};
  }
  for (uint32_t i = 1; i < length; ++i) {
    if (i == text.size()) return {0, i, Utf8Status::Truncated};
    if (at(i) < low || at(i) > high) return {0, i, Utf8Status::Invalid};
    code = code << 6 | (at(i) & 0x3F);
    low = 0x80, high = 0xBF;
  }
  return {code, length, Utf8Status::Ok};
}

bool is_valid_utf8(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    uint64_t eight;
    if (pos + 8 <= text.size() && (std::memcpy(&eight, text.data() + pos, 8), (eight & 0x8080808080808080u) == 0)) {
      pos += 8;
      continue;
    }
    const Utf8 c = read_utf8(text.substr(pos));
    if (c.status != Utf8Status::Ok) return false;
    pos += c.length;
  }
  return true;
}

std::string whole_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8 c = read_utf8(text.substr(pos));
    out.append(c.status == Utf8Status::Ok ? text.substr(pos, c.length) : kReplacement);
    pos += c.length;
  }
  return out;
}

}  // namespace lumen
