// JSON out.
#include "json_writer.h"

#include <charconv>
#include <cmath>

#include "base/json_text.h"

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

JsonWriter& JsonWriter::key(std::string_view k) {
  separate();
  out_ += json_string(k);
  out_ += ':';
  comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::value(std::string_view s) {
  separate();
  out_ += json_string(s);
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
