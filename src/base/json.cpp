// The reader: children are collected on a stack and moved behind each other into the document's memory when their end is seen.
#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <vector>

namespace lumen {

struct JsonDocument::Memory {
  std::pmr::monotonic_buffer_resource bytes{1 << 14};
};

JsonDocument::JsonDocument() : memory_(std::make_unique<Memory>()) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

const Json* Json::find(std::string_view key) const {
  std::span<const JsonMember> all = members();
  for (size_t i = all.size(); i-- > 0;)
    if (all[i].key == key) return &all[i].value;
  return nullptr;
}

class JsonReader {
 public:
  JsonReader(std::string_view text, uint32_t max_depth, std::pmr::memory_resource& memory)
      : text_(text), max_depth_(max_depth), memory_(memory) {}

  Result<Json> run() {
    if (text_.size() > UINT32_MAX) return Error{"JSON: expected less than 4 GiB of text"};
    Json v = value(0);
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

  Json value(uint32_t depth) {
    space();
    if (depth > max_depth_) return fail("at most " + std::to_string(max_depth_) + " levels of nesting"), Json();
    if (take('{')) return object(depth);
    if (take('[')) return array(depth);
    if (at_ < text_.size() && text_[at_] == '"') return string();
    Json v;
    v.kind_ = Json::Kind::Bool;
    if (word("true")) return v.u_.integer = 1, v;
    if (word("false")) return v.u_.integer = 0, v;
    if (word("null")) return Json();
    return number();
  }

  // Moves what stands on the stack from `first` on into the document's memory.
  template <class T>
  const T* keep(std::vector<T>& stack, size_t first) {
    size_t n = stack.size() - first;
    if (n == 0) return nullptr;
    T* to = static_cast<T*>(memory_.allocate(n * sizeof(T), alignof(T)));
    std::uninitialized_copy(stack.begin() + static_cast<ptrdiff_t>(first), stack.end(), to);
    stack.resize(first);
    return to;
  }

  Json object(uint32_t depth) {
    Json v;
    v.kind_ = Json::Kind::Object;
    size_t first = members_.size();
    if (!take('}')) {
      do {
        space();
        if (at_ >= text_.size() || text_[at_] != '"') return fail("a string as key"), Json();
        std::string_view key = string().as_string();
        if (error_.empty() && !take(':')) fail("':'");
        if (!error_.empty()) return Json();
        Json member = value(depth + 1);
        members_.push_back({key, member});
      } while (error_.empty() && take(','));
      if (!take('}')) return fail("',' or '}'"), Json();
    }
    v.count_ = static_cast<uint32_t>(members_.size() - first);
    v.u_.members = keep(members_, first);
    return v;
  }
  Json array(uint32_t depth) {
    Json v;
    v.kind_ = Json::Kind::Array;
    size_t first = items_.size();
    if (!take(']')) {
      do {
        Json item = value(depth + 1);
        items_.push_back(item);
      } while (error_.empty() && take(','));
      if (!take(']')) return fail("',' or ']'"), Json();
    }
    v.count_ = static_cast<uint32_t>(items_.size() - first);
    v.u_.items = keep(items_, first);
    return v;
  }

  Json number() {
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
    if (!good) return at_ = begin, fail("a value"), Json();
    std::string_view text = text_.substr(begin, at_ - begin);
    Json v;
    v.kind_ = Json::Kind::Int;
    if (whole && std::from_chars(text.data(), text.data() + text.size(), v.u_.integer).ec == std::errc()) return v;
    v.kind_ = Json::Kind::Float;
    // from_chars reports a number too large or too small for a double instead of giving infinity or 0, as strtod does.
    if (std::from_chars(text.data(), text.data() + text.size(), v.u_.number).ec != std::errc())
      v.u_.number = std::strtod(std::string(text).c_str(), nullptr);
    return v;
  }

  bool hex4(uint32_t& unit) {
    if (at_ + 4 > text_.size()) return false;
    auto [end, ec] = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, unit, 16);
    if (ec != std::errc() || end != text_.data() + at_ + 4) return false;
    at_ += 4;
    return true;
  }
  static void append_utf8(std::string& out, uint32_t c) {
    auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) return put(c);
    if (c < 0x800) return put(0xC0 | c >> 6), put(0x80 | (c & 63));
    if (c < 0x10000) return put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
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
    append_utf8(out, unit >= 0xD800 && unit <= 0xDFFF ? 0xFFFD : unit);
    return true;
  }
  Json string() {
    Json v;
    v.kind_ = Json::Kind::String;
    size_t begin = ++at_;
    bool escaped = false;
    escaped_.clear();
    while (at_ < text_.size() && text_[at_] != '"') {
      unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c < 0x20) return fail("no control character in a string"), Json();
      if (c == '\\') {
        if (!escaped) escaped_.assign(text_, begin, at_ - begin);
        escaped = true;
        ++at_;
        if (!escape(escaped_)) return fail("an escape such as \\n or \\u00e9"), Json();
        continue;
      }
      if (escaped) escaped_ += static_cast<char>(c);
      ++at_;
    }
    if (at_ >= text_.size()) return fail("the string's closing quote"), Json();
    std::string_view found = text_.substr(begin, at_++ - begin);
    if (escaped) {
      char* to = static_cast<char*>(memory_.allocate(std::max<size_t>(escaped_.size(), 1), 1));
      std::memcpy(to, escaped_.data(), escaped_.size());
      found = {to, escaped_.size()};
    }
    v.count_ = static_cast<uint32_t>(found.size());
    v.u_.text = found.data();
    return v;
  }

  std::string_view text_;
  uint32_t max_depth_;
  std::pmr::memory_resource& memory_;
  size_t at_ = 0;
  std::string error_, escaped_;
  std::vector<Json> items_;
  std::vector<JsonMember> members_;
};

Result<JsonDocument> JsonDocument::parse(std::string_view text, uint32_t max_depth) {
  JsonDocument d;
  LUMEN_TRY(root, JsonReader(text, max_depth, d.memory_->bytes).run());
  d.root_ = root;
  return d;
}

}  // namespace lumen
