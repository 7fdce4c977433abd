// JSON writer (json.dumps); reading is base/json.h's (duplicate keys: the last wins, as in Python).
#include "chat/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/json.h"
#include "chat/ops.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

class Writer {
 public:
  Writer(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}
  std::string out;

  void write(const Value& v) {
    DepthGuard guard(budget_);
    if (!guard) return;
    switch (v.kind()) {
      case Kind::None:
        return put("null");
      case Kind::Bool:
        return put(v.as_bool() ? "true" : "false");
      case Kind::Int:
        return put(std::to_string(v.as_int()));
      case Kind::Float:
        return put(number(v.as_float()));
      case Kind::String:
        return string(v.as_string());
      case Kind::Dict:
        return dict(v.as_dict());
      case Kind::List:
        if (v.as_list().kind <= ListKind::Group) return list(v.as_list().items);
        break;
      default:
        break;
    }
    budget_.fail("a " + type_name(v) + " cannot be written as JSON" + (v.is_undefined() ? " (" + v.undefined_message() + ")" : ""));
  }

 private:
  void put(std::string_view text) {
    size_t total = out.size() + text.size();
    if (total > budget_.limits().max_text) budget_.text(total);
    if (budget_.spend(1 + text.size() / 32)) out += text;
  }
  static std::string number(double x) { return std::isnan(x) ? "NaN" : std::isinf(x) ? (x < 0 ? "-Infinity" : "Infinity") : float_text(x); }
  void line() {
    if (!style_.indented) return;
    put("\n");
    for (size_t i = 0; i < level_ && budget_.ok(); ++i) put(style_.indent);
  }
  void list(const std::vector<Value>& items) {
    if (items.empty()) return put("[]");
    put("[");
    ++level_;
    for (size_t i = 0; i < items.size() && budget_.ok(); ++i) {
      if (i) put(style_.item_separator);
      line();
      write(items[i]);
    }
    --level_;
    line();
    put("]");
  }
  void dict(const Dict& d) {
    if (d.size() == 0) return put("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : d.entries()) entries.push_back(&entry);
    if (style_.sort_keys && budget_.spend(entries.size() * 8)) {
      std::stable_sort(entries.begin(), entries.end(), [&](auto* a, auto* b) { return budget_.ok() && less(a->first, b->first, budget_); });
    }
    put("{");
    ++level_;
    for (size_t i = 0; i < entries.size() && budget_.ok(); ++i) {
      if (i) put(style_.item_separator);
      line();
      key(entries[i]->first);
      put(style_.key_separator);
      write(entries[i]->second);
    }
    --level_;
    line();
    put("}");
  }
  void key(const Value& k) {
    switch (k.kind()) {
      case Kind::String:
        return string(k.as_string());
      case Kind::None:
        return put("\"null\"");
      case Kind::Bool:
        return put(k.as_bool() ? "\"true\"" : "\"false\"");
      case Kind::Int:
        return put("\"" + std::to_string(k.as_int()) + "\"");
      case Kind::Float:
        return put("\"" + number(k.as_float()) + "\"");
      default:
        budget_.fail("a " + type_name(k) + " cannot be a key in JSON");
    }
  }
  void unicode(uint32_t unit) {
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "\\u%04x", unit & 0xFFFF);
    text_ += buffer;
  }
  void string(const std::string& s) {
    if (!budget_.text(s.size())) return;
    text_ = "\"";
    for (size_t at = 0; at < s.size();) {
      Rune r = decode_rune(s, at);
      uint32_t c = r.code;
      switch (c) {
        case '"':
          text_ += "\\\"";
          break;
        case '\\':
          text_ += "\\\\";
          break;
        case '\n':
          text_ += "\\n";
          break;
        case '\r':
          text_ += "\\r";
          break;
        case '\t':
          text_ += "\\t";
          break;
        case '\b':
          text_ += "\\b";
          break;
        case '\f':
          text_ += "\\f";
          break;
        default:
          if (c < 32 || (style_.ascii && c > 126 && c < 0x10000)) {
            unicode(c);
          } else if (style_.ascii && c >= 0x10000) {
            unicode(0xD800 + ((c - 0x10000) >> 10));
            unicode(0xDC00 + ((c - 0x10000) & 0x3FF));
          } else {
            text_.append(s, at, r.bytes);
          }
      }
      at += r.bytes;
    }
    put(text_ + "\"");
  }

  const JsonStyle& style_;
  Budget& budget_;
  size_t level_ = 0;
  std::string text_;
};

// What a host gives may hold anything; what is no JSON becomes null.
Value jsonable(const Value& v) {
  if (v.is_list()) {
    std::vector<Value> items;
    for (const Value& item : v.as_list().items) items.push_back(jsonable(item));
    return Value::list(std::move(items));
  }
  if (v.is_dict()) {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [key, value] : v.as_dict().entries()) {
      if (!key.is_list()) entries.emplace_back(key, jsonable(value));
    }
    return Value::dict(std::move(entries));
  }
  return v.is_undefined() || v.is(Kind::Object) ? Value(nullptr) : v;
}

Value value_of(const Json& j) {
  switch (j.kind()) {
    case Json::Kind::Null:
      return nullptr;
    case Json::Kind::Bool:
      return j.as_bool();
    case Json::Kind::Int:
      return j.as_int();
    case Json::Kind::Float:
      return j.as_double();
    case Json::Kind::String:
      return j.as_string();
    case Json::Kind::Array: {
      std::vector<Value> items;
      for (const Json& item : j.items()) items.push_back(value_of(item));
      return Value::list(std::move(items));
    }
    case Json::Kind::Object: {
      auto dict = std::make_shared<Dict>();
      for (const JsonMember& m : j.members()) dict->set(m.key, value_of(m.value));
      return Value(Value::DictPtr(dict));
    }
  }
  return {};
}

}  // namespace

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  Writer writer(style, budget);
  writer.write(value);
  return std::move(writer.out);
}

std::string to_json(const Value& value) {
  Limits limits;
  limits.max_steps = limits.max_text = SIZE_MAX / 2;
  limits.max_depth = 100000;
  Budget budget(limits);
  return to_json(jsonable(value), JsonStyle{}, budget);
}

Result<Value> parse_json(std::string_view text, uint32_t max_depth) {
  LUMEN_TRY(document, JsonDocument::parse(text, max_depth));
  return value_of(document.root());
}

}  // namespace lumen::chat
