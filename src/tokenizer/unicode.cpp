// See unicode.h.
#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <cstdlib>

namespace lumen::tok {

std::string replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t pos = 0; pos < text.size();) {
    const Utf8 c = read_utf8(text.substr(pos));
    if (c.status == Utf8Status::Ok) {
      out.append(text, pos, c.length);
    } else {
      for (uint32_t i = 0; i < c.length; ++i) out.append(kReplacement);
    }
    pos += c.length;
  }
  return out;
}

void append_utf8(std::string& out, uint32_t code) {
  utf8proc_uint8_t buffer[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(n));
}

#define O kOther
#define S kSpace
#define N kNumber
#define L kLetter
const CharClass kAsciiClass[128] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,  //
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,  //
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,  //
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};
#undef O
#undef S
#undef N
#undef L

CharClass classify_slow(uint32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return kSpace;
    default:
      return code == 0x85 ? kSpace : kOther;  // NEL is a control character with White_Space
  }
}

bool surely_normal(std::string_view text, Normalization form) {
  if (form == Normalization::None) return true;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8 c = read_utf8(text.substr(pos));
    pos += c.length;
    if (c.code < 0x80) continue;
    if (form != Normalization::Nfc) return false;
    // Below the combining marks, common CJK, and precomposed Hangul: NFC unless something that combines follows, and those
    // (marks, jamo) are outside these ranges.
    const bool stable = c.code < 0x300 || (c.code >= 0x3400 && c.code <= 0x9FFF) || (c.code >= 0xAC00 && c.code <= 0xD7A3);
    if (!stable) return false;
  }
  return true;
}

std::string normalize(std::string_view text, Normalization form) {
  if (surely_normal(text, form)) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |= form == Normalization::Nfc || form == Normalization::Nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == Normalization::Nfkc || form == Normalization::Nfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* mapped = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                                   &mapped, static_cast<utf8proc_option_t>(options));
  if (length < 0) return std::string(text);  // out of memory or over 2 GiB: text as it is
  std::string out(reinterpret_cast<const char*>(mapped), static_cast<size_t>(length));
  std::free(mapped);
  return out;
}

std::string escape_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      out.append(kEscapedSpace);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string unescape_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    if (text.substr(pos, kEscapedSpace.size()) == kEscapedSpace) {
      out.push_back(' ');
      pos += kEscapedSpace.size();
    } else {
      out.push_back(text[pos++]);
    }
  }
  return out;
}

}  // namespace lumen::tok
