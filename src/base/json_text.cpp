// See json_text.h.
#include "base/json_text.h"

#include <charconv>
#include <cstdio>
#include <utility>

#include "base/utf8.h"

namespace lumen {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char c : whole_utf8(text)) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json_text(const Json& j) {
  std::string out, comma;
  switch (j.kind()) {
    case Json::Kind::Null:
      return "null";
    case Json::Kind::Bool:
      return j.as_bool() ? "true" : "false";
    case Json::Kind::Int:
      return std::to_string(j.as_int());
    case Json::Kind::Float: {
      char text[64];
      out.assign(text, std::to_chars(text, text + sizeof text, j.as_double()).ptr);
      return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
    }
    case Json::Kind::String:
      return json_string(j.as_string());
    case Json::Kind::Array:
      for (const Json& item : j.items()) out += std::exchange(comma, ", ") + json_text(item);
      return "[" + out + "]";
    case Json::Kind::Object:
      for (const JsonMember& m : j.members()) out += std::exchange(comma, ", ") + json_string(m.key) + ": " + json_text(m.value);
      return "{" + out + "}";
  }
  return out;
}

}  // namespace lumen
