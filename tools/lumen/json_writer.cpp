// JSON out.
#include "json_writer.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "tokenizer/stream_decoder.h"

namespace lumen::tool {

void JsonWriter::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}
JsonWriter& JsonWriter::open(char c) {
  separate();
  out_ += c;
  comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::close(char c) {
  out_ += c;
  comma_ = true;
  return *this;
}

void JsonWriter::quote(std::string_view raw) {
  Utf8Assembler utf8;
  std::string s = utf8.push(raw);
  s += utf8.finish();
  out_ += '"';
  for (unsigned char c : s) {
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += static_cast<char>(c);
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      char text[8];
      std::snprintf(text, sizeof text, "\\u%04x", c);
      out_ += text;
    } else {
      out_ += static_cast<char>(c);
    }
  }
  out_ += '"';
}

JsonWriter& JsonWriter::key(std::string_view k) {
  separate();
  quote(k);
  out_ += ':';
  comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::value(std::string_view s) {
  separate();
  quote(s);
  return *this;
}
JsonWriter& JsonWriter::value(bool b) {
  separate();
  out_ += b ? "true" : "false";
  return *this;
}
JsonWriter& JsonWriter::null() {
  separate();
  out_ += "null";
  return *this;
}

template <class T>
static void append_number(std::string& out, T v) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, v);
  out.append(text, end.ptr);
}
JsonWriter& JsonWriter::value(int64_t v) {
  separate();
  append_number(out_, v);
  return *this;
}
JsonWriter& JsonWriter::value(uint64_t v) {
  separate();
  append_number(out_, v);
  return *this;
}
JsonWriter& JsonWriter::value(float v) {
  if (!std::isfinite(v)) return null();
  separate();
  append_number(out_, v);
  return *this;
}
JsonWriter& JsonWriter::value(double v) {
  if (!std::isfinite(v)) return null();
  separate();
  append_number(out_, v);
  return *this;
}

}  // namespace lumen::tool
