// JSON writer (json.dumps) and reader (RFC 8259, strict; duplicate keys: the last wins, as in Python).
#include "chat/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

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

class Reader {
 public:
  Reader(std::string_view text, uint32_t max_depth) : text_(text), max_depth_(max_depth) {}

  Result<Value> run() {
    Value v = value(0);
    space();
    if (error_.empty() && at_ < text_.size()) fail("nothing more after the value");
    if (!error_.empty()) return Error{error_};
    return v;
  }

 private:
  void fail(const std::string& expected) {
    if (!error_.empty()) return;
    size_t line = 1 + static_cast<size_t>(std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(at_), '\n'));
    size_t begin = at_ == 0 ? std::string_view::npos : text_.rfind('\n', at_ - 1);
    size_t column = begin == std::string_view::npos ? at_ + 1 : at_ - begin;
    error_ = "JSON line " + std::to_string(line) + " column " + std::to_string(column) + ": expected " + expected;
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  Value value(uint32_t depth) {
    space();
    if (depth > max_depth_) return fail("at most " + std::to_string(max_depth_) + " levels of nesting"), Value();
    if (take('{')) return object(depth);
    if (take('[')) return array(depth);
    if (at_ < text_.size() && text_[at_] == '"') return string();
    if (word("true")) return true;
    if (word("false")) return false;
    if (word("null")) return nullptr;
    return number();
  }
  Value object(uint32_t depth) {
    auto dict = std::make_shared<Dict>();
    if (take('}')) return Value(Value::DictPtr(dict));
    do {
      space();
      if (at_ >= text_.size() || text_[at_] != '"') return fail("a string as key"), Value();
      Value key = string();
      if (error_.empty() && !take(':')) fail("':'");
      if (!error_.empty()) return {};
      dict->set(std::move(key), value(depth + 1));
    } while (error_.empty() && take(','));
    if (!take('}')) fail("',' or '}'");
    return Value(Value::DictPtr(dict));
  }
  Value array(uint32_t depth) {
    std::vector<Value> items;
    if (take(']')) return Value::list({});
    do items.push_back(value(depth + 1));
    while (error_.empty() && take(','));
    if (!take(']')) fail("',' or ']'");
    return Value::list(std::move(items));
  }
  Value number() {
    size_t begin = at_;
    bool whole = true;
    auto digits = [&] {
      size_t from = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      return at_ > from;
    };
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    size_t first = at_;
    bool good = digits() && (text_[first] != '0' || at_ == first + 1);
    if (good && at_ < text_.size() && text_[at_] == '.') ++at_, whole = false, good = digits();
    if (good && at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_, whole = false;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      good = digits();
    }
    if (!good) return at_ = begin, fail("a value"), Value();
    std::string text(text_.substr(begin, at_ - begin));
    int64_t i = 0;
    if (whole && std::from_chars(text.data(), text.data() + text.size(), i).ec == std::errc()) return i;
    return std::strtod(text.c_str(), nullptr);
  }
  bool hex4(uint32_t& unit) {
    if (at_ + 4 > text_.size()) return false;
    auto [end, ec] = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, unit, 16);
    if (ec != std::errc() || end != text_.data() + at_ + 4) return false;
    at_ += 4;
    return true;
  }
  bool escape(std::string& out) {
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    char c = at_ < text_.size() ? text_[at_++] : 0;
    if (size_t i = kFrom.find(c); c && i != std::string_view::npos) return out += kTo[i], true;
    uint32_t unit = 0, low = 0;
    if (c != 'u' || !hex4(unit)) return false;
    if (unit >= 0xD800 && unit < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      if (!hex4(low) || low < 0xDC00 || low > 0xDFFF) return false;
      unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    append_rune(out, unit >= 0xD800 && unit <= 0xDFFF ? 0xFFFD : unit);
    return true;
  }
  Value string() {
    std::string out;
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c < 0x20) return fail("no control character in a string"), Value();
      ++at_;
      if (c != '\\') {
        out += static_cast<char>(c);
      } else if (!escape(out)) {
        return fail("an escape such as \\n or \\u00e9"), Value();
      }
    }
    if (at_ >= text_.size()) return fail("the string's closing quote"), Value();
    ++at_;
    return out;
  }

  std::string_view text_;
  uint32_t max_depth_;
  size_t at_ = 0;
  std::string error_;
};

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

Result<Value> parse_json(std::string_view text, uint32_t max_depth) { return Reader(text, max_depth).run(); }

}  // namespace lumen::chat
