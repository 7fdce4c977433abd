// Text as Python's str sees it. Case and categories come from utf8proc (simple mappings; sharp s is the one expanded letter).
#include "chat/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace lumen::chat {
namespace {

bool continues(std::string_view text, size_t at) { return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80; }

utf8proc_category_t category(uint32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }
uint32_t upper_of(uint32_t code) { return static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))); }
uint32_t lower_of(uint32_t code) { return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))); }

void append_upper(std::string& out, uint32_t code) {
  if (code == 0xDF) {
    out += "SS";
  } else {
    append_rune(out, upper_of(code));
  }
}

void append_title(std::string& out, uint32_t code) {
  if (code == 0xDF) {
    out += "Ss";
  } else {
    append_rune(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
  }
}

bool escaped_byte(uint32_t code) { return code >= 0xDC80 && code <= 0xDCFF; }

}  // namespace

Rune decode_rune(std::string_view s, size_t at) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(s[i])); };
  uint32_t b = byte(at);
  if (b < 0x80) return {b, 1};
  if (b >= 0xC2 && b < 0xE0 && continues(s, at + 1)) return {(b & 0x1F) << 6 | (byte(at + 1) & 0x3F), 2};
  if (b >= 0xE0 && b < 0xF0 && continues(s, at + 1) && continues(s, at + 2)) {
    uint32_t c = (b & 0x0F) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F);
    if (c >= 0x800 && (c < 0xD800 || c > 0xDFFF)) return {c, 3};
  }
  if (b >= 0xF0 && b < 0xF5 && continues(s, at + 1) && continues(s, at + 2) && continues(s, at + 3)) {
    uint32_t c = (b & 0x07) << 18 | (byte(at + 1) & 0x3F) << 12 | (byte(at + 2) & 0x3F) << 6 | (byte(at + 3) & 0x3F);
    if (c >= 0x10000 && c <= 0x10FFFF) return {c, 4};
  }
  return {0xDC00 + b, 1};
}

void append_rune(std::string& out, uint32_t c) {
  auto put = [&](uint32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (escaped_byte(c)) {
    put(c - 0xDC00);
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

size_t rune_count(std::string_view text) {
  size_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) at += decode_rune(text, at).bytes;
  return n;
}

size_t rune_offset(std::string_view text, size_t index) {
  size_t at = 0;
  while (index-- > 0 && at < text.size()) at += decode_rune(text, at).bytes;
  return at;
}

std::vector<uint32_t> to_runes(std::string_view text) {
  std::vector<uint32_t> runes;
  runes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Rune r = decode_rune(text, at);
    runes.push_back(r.code);
    at += r.bytes;
  }
  return runes;
}

std::string_view next_rune(std::string_view& text) {
  std::string_view first = text.substr(0, decode_rune(text, 0).bytes);
  text.remove_prefix(first.size());
  return first;
}

std::string_view last_rune(std::string_view text) {
  for (size_t n = std::min<size_t>(4, text.size()); n > 1; --n) {
    if (decode_rune(text, text.size() - n).bytes == n) return text.substr(text.size() - n);
  }
  return text.substr(text.size() - 1);
}

bool is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(uint32_t c) { return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029; }

bool is_printable(uint32_t c) {
  if (c < 0x7F) return c >= 32;
  if (c >= 0xD800 && c <= 0xDFFF) return false;
  auto k = category(c);
  return k != UTF8PROC_CATEGORY_CC && k != UTF8PROC_CATEGORY_CF && k != UTF8PROC_CATEGORY_CS && k != UTF8PROC_CATEGORY_CO &&
         k != UTF8PROC_CATEGORY_CN && k != UTF8PROC_CATEGORY_ZL && k != UTF8PROC_CATEGORY_ZP && k != UTF8PROC_CATEGORY_ZS;
}

bool is_alpha(uint32_t c) { return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO; }
bool is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(uint32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
         (c >= 0x2080 && c <= 0x2089);
}
bool is_numeric(uint32_t c) { return category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO; }
bool is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA; }
bool is_title(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }
bool is_word(uint32_t c) { return c == '_' || is_alpha(c) || is_numeric(c); }

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (uint32_t c : to_runes(text)) append_upper(out, c);
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (uint32_t c : to_runes(text)) append_rune(out, lower_of(c));
  return out;
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  std::string out;
  std::string_view rest = text;
  append_title(out, decode_rune(next_rune(rest), 0).code);
  return out + lower(rest);
}

std::string title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (uint32_t c : to_runes(text)) {
    if (in_word) {
      append_rune(out, lower_of(c));
    } else {
      append_title(out, c);
    }
    in_word = is_cased(c);
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (uint32_t c : to_runes(text)) {
    if (is_upper(c)) {
      append_rune(out, lower_of(c));
    } else {
      append_upper(out, c);
    }
  }
  return out;
}

template <class Drop>
static std::string_view strip_if(std::string_view text, Side side, const Drop& drop) {
  if (static_cast<int>(side) & 1) {
    while (!text.empty() && drop(decode_rune(text, 0).code)) next_rune(text);
  }
  if (static_cast<int>(side) & 2) {
    while (!text.empty() && drop(decode_rune(last_rune(text), 0).code)) text.remove_suffix(last_rune(text).size());
  }
  return text;
}

std::string_view strip(std::string_view text, Side side) { return strip_if(text, side, is_space); }

std::string_view strip(std::string_view text, std::string_view chars, Side side) {
  std::vector<uint32_t> set = to_runes(chars);
  std::sort(set.begin(), set.end());
  return strip_if(text, side, [&](uint32_t c) { return std::binary_search(set.begin(), set.end(), c); });
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    Rune r = decode_rune(text, at);
    size_t end = at;
    at += r.bytes;
    if (!is_line_break(r.code)) continue;
    if (r.code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator, int64_t limit) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    size_t at = text.find(separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_right(std::string_view text, std::string_view separator, int64_t limit) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, Side::Left);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text);  // white space behind it stays, as in Python
      break;
    }
    size_t end = 0;
    while (end < text.size() && !is_space(decode_rune(text, end).code)) end += decode_rune(text, end).bytes;
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), Side::Left);
  }
  return parts;
}

std::vector<std::string_view> split_space_right(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, Side::Right);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text);  // white space before it stays, as in Python
      break;
    }
    std::string_view head = text;
    while (!head.empty() && !is_space(decode_rune(last_rune(head), 0).code)) head.remove_suffix(last_rune(head).size());
    parts.push_back(text.substr(head.size()));
    text = strip(head, Side::Right);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

size_t count_of(std::string_view text, std::string_view what) {
  if (what.empty()) return rune_count(text) + 1;
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  int64_t done = 0;
  auto more = [&] { return limit < 0 || done < limit; };
  if (from.empty()) {
    std::string_view rest = text;
    while (more()) {
      out += to;
      ++done;
      if (rest.empty()) return out;
      out += next_rune(rest);
    }
    return out += rest;
  }
  size_t begin = 0;
  for (size_t at = 0; more() && (at = text.find(from, begin)) != std::string_view::npos; ++done) {
    out += text.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  return out += text.substr(begin);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string quote(std::string_view text) {
  char mark = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, mark);
  for (size_t at = 0; at < text.size();) {
    Rune r = decode_rune(text, at);
    uint32_t c = r.code;
    char buffer[16];
    if (c == '\\' || c == static_cast<uint32_t>(mark)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      out += text.substr(at, r.bytes);
    } else {
      std::snprintf(buffer, sizeof buffer, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
      out += buffer;
    }
    at += r.bytes;
  }
  return out += mark;
}

std::string float_text(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x < 0 ? "-inf" : "inf";
  if (x == 0) return std::signbit(x) ? "-0.0" : "0.0";
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific).ptr;
  std::string digits(buffer, end);
  size_t e = digits.find('e');
  int exponent = std::atoi(digits.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return digits;  // to_chars writes at least two exponent digits, as Python does
  end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed).ptr;
  std::string fixed(buffer, end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

}  // namespace lumen::chat
