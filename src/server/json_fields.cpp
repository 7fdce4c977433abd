// Reading JSON objects field by field.
#include "server/json_fields.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "server/request.h"

namespace lumen::server {
namespace {

// Builds the value, and refuses a key that its object already has: keeping either would ignore the other.
struct Builder {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = 65536;
  static constexpr std::size_t max_string_size = json::string::max_size();

  json::value_stack stack;
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  std::string key;
  std::optional<std::string> twice;

  bool on_document_begin(json::error_code&) {
    stack.reset();
    return true;
  }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    keys.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t n, json::error_code&) {
    keys.pop_back();
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t n, json::error_code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view s, std::size_t, json::error_code&) {
    stack.push_chars(s);
    key.append(s.data(), s.size());
    return true;
  }
  bool on_key(json::string_view s, std::size_t, json::error_code& ec) {
    stack.push_key(s);
    key.append(s.data(), s.size());
    if (!keys.back().insert(key).second) {
      twice = key;
      ec = json::error::syntax;
      return false;
    }
    key.clear();
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, json::error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, std::size_t, json::error_code&) {
    stack.push_string(s);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t i, json::string_view, json::error_code&) {
    stack.push_int64(i);
    return true;
  }
  bool on_uint64(uint64_t u, json::string_view, json::error_code&) {
    stack.push_uint64(u);
    return true;
  }
  bool on_double(double d, json::string_view, json::error_code&) {
    stack.push_double(d);
    return true;
  }
  bool on_bool(bool b, json::error_code&) {
    stack.push_bool(b);
    return true;
  }
  bool on_null(json::error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

std::string place(std::string_view text, size_t at) {
  at = std::min(at, text.size());
  size_t line = 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<int64_t>(at), '\n'));
  size_t begin = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  size_t column = begin == std::string_view::npos ? at + 1 : at - begin;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

std::string shortest(double v) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, v);
  return {text, end.ptr};
}

}  // namespace

std::optional<ApiError> parse_object(std::string_view text, json::object& out) {
  json::parse_options options;
  options.max_depth = kDeepestJson;
  json::basic_parser<Builder> parser(options);
  json::error_code ec;
  size_t used = parser.write_some(false, text.data(), text.size(), ec);
  Builder& b = parser.handler();
  if (b.twice)
    return ApiError{.message = "the body names the field " + describe(json::value(json::string_view(*b.twice))) + " twice in one object", .param = b.twice->substr(0, 200)};
  if (!ec && used < text.size()) ec = json::error::extra_data;
  if (ec == json::error::too_deep) return ApiError{.message = "the body nests deeper than " + std::to_string(kDeepestJson) + " levels"};
  if (ec)
    return ApiError{.message = "the body is not valid JSON (UTF-8) at " + place(text, used) + ": " + ec.message()};
  json::value v = b.stack.release();
  if (!v.is_object()) return ApiError{.message = "expected a JSON object, found " + describe(v)};
  out = std::move(v.get_object());
  return std::nullopt;
}

std::string describe(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return v.get_bool() ? "true" : "false";
    case json::kind::int64: return std::to_string(v.get_int64());
    case json::kind::uint64: return std::to_string(v.get_uint64());
    case json::kind::double_: return shortest(v.get_double());
    case json::kind::array: return v.get_array().empty() ? "an empty array" : "an array";
    case json::kind::object: return "an object";
    case json::kind::string: break;
  }
  const json::string& s = v.get_string();
  size_t n = std::min<size_t>(s.size(), 60);
  while (n > 0 && n < s.size() && (static_cast<unsigned char>(s[n]) & 0xC0) == 0x80) --n;  // whole characters
  return json::serialize(json::string(s.data(), n)) + (n < s.size() ? "…" : "");
}

ApiError wrong(std::string param, const std::string& expected, const json::value& found) {
  std::string message = param + ": expected " + expected + ", found " + describe(found);
  return {.message = std::move(message), .param = std::move(param), .code = "invalid_value"};
}

ApiError unsupported(std::string param, const std::string& why) {
  std::string message = param + ": " + why;
  return {.message = std::move(message), .param = std::move(param), .code = "unsupported_parameter"};
}

std::optional<int64_t> whole(const json::value& v) {
  if (v.is_int64()) return v.get_int64();
  if (!v.is_double()) return std::nullopt;  // an uint64 here is more than an int64 holds
  double d = v.get_double();
  if (!(std::abs(d) <= 9007199254740992.0) || d != std::trunc(d)) return std::nullopt;
  return static_cast<int64_t>(d);
}

std::optional<double> finite(const json::value& v) {
  if (v.is_int64()) return static_cast<double>(v.get_int64());
  if (v.is_uint64()) return static_cast<double>(v.get_uint64());
  if (!v.is_double() || !std::isfinite(v.get_double())) return std::nullopt;
  return v.get_double();
}

const json::value* Fields::get(std::string_view name) {
  known_.push_back(name);
  if (error_) return nullptr;
  const json::value* v = object_.if_contains(json::string_view(name.data(), name.size()));
  return v && !v->is_null() ? v : nullptr;
}

const json::value* Fields::required(std::string_view name, const std::string& expected) {
  const json::value* v = get(name);
  if (!v && ok()) {
    std::string p = path(name);
    fail({.message = p + ": expected " + expected + ", found nothing", .param = p, .code = "missing_required_parameter"});
  }
  return v;
}

bool Fields::integer(std::string_view name, int64_t lo, int64_t hi, int64_t& out) {
  const json::value* v = get(name);
  if (!v) return false;
  auto i = whole(*v);
  if (!i || *i < lo || *i > hi) {
    fail(wrong(path(name), "a whole number from " + std::to_string(lo) + " to " + std::to_string(hi), *v));
    return false;
  }
  out = *i;
  return true;
}

bool Fields::number(std::string_view name, double lo, double hi, float& out) {
  const json::value* v = get(name);
  if (!v) return false;
  auto d = finite(*v);
  if (!d || *d < lo || *d > hi) {
    fail(wrong(path(name), "a number from " + shortest(lo) + " to " + shortest(hi), *v));
    return false;
  }
  out = static_cast<float>(*d);
  return true;
}

bool Fields::boolean(std::string_view name, bool& out) {
  const json::value* v = get(name);
  if (!v) return false;
  if (!v->is_bool()) {
    fail(wrong(path(name), "true or false", *v));
    return false;
  }
  out = v->get_bool();
  return true;
}

bool Fields::string(std::string_view name, std::string& out) {
  const json::value* v = get(name);
  if (!v) return false;
  if (!v->is_string()) {
    fail(wrong(path(name), "a string", *v));
    return false;
  }
  out.assign(v->get_string().data(), v->get_string().size());
  return true;
}

const json::array* Fields::array(std::string_view name, size_t most) {
  const json::value* v = get(name);
  if (!v) return nullptr;
  if (!v->is_array()) {
    fail(wrong(path(name), "an array", *v));
    return nullptr;
  }
  if (v->get_array().size() > most) {
    std::string p = path(name);
    fail({.message = p + ": expected at most " + std::to_string(most) + " items, found " + std::to_string(v->get_array().size()), .param = p, .code = "array_above_max_length"});
    return nullptr;
  }
  return &v->get_array();
}

const json::object* Fields::object(std::string_view name) {
  const json::value* v = get(name);
  if (!v) return nullptr;
  if (!v->is_object()) {
    fail(wrong(path(name), "an object", *v));
    return nullptr;
  }
  return &v->get_object();
}

void Fields::refuse(std::string_view name, const std::string& why, const json::value& harmless) {
  const json::value* v = get(name);
  if (v && *v != harmless) fail(unsupported(path(name), why));
}

void Fields::finish() {
  if (!ok()) return;
  for (const auto& entry : object_) {
    std::string_view name(entry.key().data(), entry.key().size());
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    std::string shown = describe(json::value(entry.key()));
    fail({.message = "unknown field " + shown + (prefix_.empty() ? "" : " in " + prefix_.substr(0, prefix_.size() - 1)),
          .param = prefix_ + std::string(name.substr(0, 200)),
          .code = "unknown_parameter"});
    return;
  }
}

}  // namespace lumen::server
