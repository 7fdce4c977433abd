// The template lexer. Rules as in Jinja 3.1: one newline is dropped at the very end of the source; a block or comment tag alone
// on its line takes the white space before it (lstrip_blocks) and the newline after it (trim_blocks); '-' strips, '+' keeps.
#include "chat/lexer.h"

#include <charconv>
#include <cstdlib>

#include "chat/text.h"

namespace lumen::chat {
namespace {

constexpr size_t kMaxSource = 4u << 20;  // bytes; the longest template known has 60 KB

std::string normalize_newlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
      out += '\n';
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : s_(std::move(source)) {}

  Result<std::vector<Token>> run() {
    while (error_.empty() && at_ < s_.size()) root();
    if (!error_.empty()) return Error{error_};
    push(Tok::End, "");
    return std::move(tokens_);
  }

 private:
  void fail(const std::string& message) {
    if (error_.empty()) error_ = "line " + std::to_string(line_) + ": " + message;
  }
  void push(Tok type, std::string text) { tokens_.push_back({type, line_, std::move(text), 0, 0}); }
  // Moves to `end`, counting lines.
  void go(size_t end) {
    for (; at_ < end; ++at_) line_ += s_[at_] == '\n';
  }
  bool is_at(size_t at, std::string_view what) const { return std::string_view(s_).substr(at, what.size()) == what; }
  size_t skip_space(size_t at) const {
    while (at < s_.size()) {
      Rune r = decode_rune(s_, at);
      if (!is_space(r.code)) break;
      at += r.bytes;
    }
    return at;
  }
  char sign_at(size_t at) const { return at < s_.size() && (s_[at] == '-' || s_[at] == '+') ? s_[at] : 0; }
  bool line_starting() const { return at_ == 0 || s_[at_ - 1] == '\n'; }

  // Emits text [at_, end) that comes before a tag with this sign; `variable`: the tag is {{.
  void data(size_t end, char sign, bool variable) {
    std::string_view text = std::string_view(s_).substr(at_, end - at_);
    if (sign == '-') {
      text = strip(text, Side::Right);
    } else if (sign != '+' && !variable) {
      size_t newline = text.rfind('\n');
      size_t last = newline == std::string_view::npos ? 0 : newline + 1;
      if ((last > 0 || line_starting()) && strip(text.substr(last), Side::Both).empty()) text = text.substr(0, last);
    }
    if (!text.empty()) push(Tok::Data, std::string(text));
    go(end);
  }

  // The end of a tag at `at`: its length with what it swallows, or 0.
  size_t tag_end(size_t at, std::string_view mark) const {
    if (is_at(at, mark)) {
      size_t end = at + mark.size();
      return end + (mark != "}}" && end < s_.size() && s_[end] == '\n') - at;
    }
    char sign = sign_at(at);
    if (!sign || !is_at(at + 1, mark) || (sign == '+' && mark == "}}")) return 0;
    return (sign == '-' ? skip_space(at + 1 + mark.size()) : at + 1 + mark.size()) - at;
  }

  void root() {
    size_t tag = at_;
    while (tag < s_.size() && !is_at(tag, "{%") && !is_at(tag, "{{") && !is_at(tag, "{#")) tag = std::min(s_.find('{', tag + 1), s_.size());
    if (tag >= s_.size()) {
      push(Tok::Data, s_.substr(at_));
      return go(s_.size());
    }
    char kind = s_[tag + 1], sign = sign_at(tag + 2);
    data(tag, sign, kind == '{');
    size_t inside = tag + 2 + (sign != 0);
    if (kind == '#') return comment(inside);
    if (kind == '%' && raw(inside)) return;
    push(kind == '{' ? Tok::VariableBegin : Tok::BlockBegin, "");
    go(inside);
    expression(kind == '{' ? "}}" : "%}", kind == '{' ? Tok::VariableEnd : Tok::BlockEnd);
  }

  void comment(size_t inside) {
    size_t end = s_.find("#}", inside);
    if (end == std::string::npos) return fail("a comment has no '#}'");
    if (end > inside && sign_at(end - 1)) --end;
    go(end + tag_end(end, "#}"));
  }

  // {% raw %} … {% endraw %}: true when there is one at this tag.
  bool raw(size_t inside) {
    size_t at = skip_space(inside);
    if (!is_at(at, "raw")) return false;
    at = skip_space(at + 3);
    if (is_at(at, "-%}")) {
      at = skip_space(at + 3);
    } else if (is_at(at, "%}")) {
      at += 2;
    } else {
      return false;
    }
    go(at);
    for (size_t tag = s_.find("{%", at_); tag != std::string::npos; tag = s_.find("{%", tag + 2)) {
      char sign = sign_at(tag + 2);
      size_t name = skip_space(tag + 2 + (sign != 0));
      if (!is_at(name, "endraw")) continue;
      size_t end = skip_space(name + 6), taken = tag_end(end, "%}");
      if (!taken) continue;
      data(tag, sign, false);
      go(end + taken);
      return true;
    }
    fail("a raw block has no {% endraw %}");
    return true;
  }

  void expression(std::string_view mark, Tok end_type) {
    uint32_t opened_at = line_;
    std::string open;  // closing brackets still expected
    while (error_.empty()) {
      go(skip_space(at_));
      if (at_ >= s_.size()) {
        line_ = opened_at;
        return fail("a tag has no '" + std::string(mark) + "'");
      }
      if (size_t taken = open.empty() ? tag_end(at_, mark) : 0) {
        push(end_type, "");
        return go(at_ + taken);
      }
      char c = s_[at_];
      if (is_digit_char(c)) {
        number();
      } else if (c == '"' || c == '\'') {
        string(c);
      } else if (is_word(decode_rune(s_, at_).code)) {
        size_t end = at_;
        while (end < s_.size() && is_word(decode_rune(s_, end).code)) end += decode_rune(s_, end).bytes;
        push(Tok::Name, s_.substr(at_, end - at_));
        go(end);
      } else {
        operator_at(open);
      }
    }
  }

  void operator_at(std::string& open) {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    std::string op(1, s_[at_]);
    for (std::string_view two : kTwo) {
      if (is_at(at_, two)) op = two;
    }
    if (op.size() == 1 && std::string_view("+-/*%~[](){}><=.:|,;").find(op[0]) == std::string_view::npos) {
      return fail("unexpected character " + quote(std::string_view(s_).substr(at_, decode_rune(s_, at_).bytes)));
    }
    if (op == "(" || op == "[" || op == "{") open += op == "(" ? ')' : op == "[" ? ']' : '}';
    if (op == ")" || op == "]" || op == "}") {
      if (open.empty()) return fail("unexpected '" + op + "'");
      if (open.back() != op[0]) return fail("unexpected '" + op + "', expected '" + open.back() + "'");
      open.pop_back();
    }
    push(Tok::Operator, op);
    go(at_ + op.size());
  }

  size_t digits_end(size_t at) const {
    while (at < s_.size() && (is_digit_char(s_[at]) || (s_[at] == '_' && at + 1 < s_.size() && is_digit_char(s_[at + 1])))) ++at;
    return at;
  }
  void number() {
    static constexpr std::string_view kBases = "xXoObB";
    size_t end = digits_end(at_);
    size_t whole_end = end;
    if (!(at_ > 0 && s_[at_ - 1] == '.')) {
      if (end + 1 < s_.size() && s_[end] == '.' && is_digit_char(s_[end + 1])) end = digits_end(end + 1);
      if (end < s_.size() && (s_[end] == 'e' || s_[end] == 'E')) {
        size_t exponent = end + 1 + (sign_at(end + 1) != 0);
        if (exponent < s_.size() && is_digit_char(s_[exponent])) end = digits_end(exponent);
      }
    }
    int base = 10;
    size_t begin = at_;
    if (end == whole_end && s_[at_] == '0') {
      if (size_t b = at_ + 2 < s_.size() ? kBases.find(s_[at_ + 1]) : std::string_view::npos; b != std::string_view::npos) {
        base = b < 2 ? 16 : b < 4 ? 8 : 2;
        begin = at_ + 2;
        for (end = begin; end < s_.size() && (std::isxdigit(static_cast<unsigned char>(s_[end])) || s_[end] == '_');) ++end;
      }
    }
    std::string text;
    for (size_t i = begin; i < end; ++i) {
      if (s_[i] != '_') text += s_[i];
    }
    push(end > whole_end && base == 10 ? Tok::Float : Tok::Integer, text);
    if (tokens_.back().type == Tok::Float) {
      tokens_.back().number = std::strtod(text.c_str(), nullptr);
    } else {
      auto [stop, ec] = std::from_chars(text.data(), text.data() + text.size(), tokens_.back().integer, base);
      if (ec != std::errc() || stop != text.data() + text.size())
        fail("expected an integer of 64 bits, found " + s_.substr(at_, end - at_));
    }
    go(end);
  }

  void string(char mark) {
    std::string out;
    uint32_t line = line_;
    size_t at = at_ + 1;
    while (at < s_.size() && s_[at] != mark) {
      if (s_[at] == '\\' && at + 1 < s_.size()) {
        at = escape(at + 1, out);
      } else {
        out += s_[at++];
      }
    }
    if (at >= s_.size()) return fail("a string has no closing quote");
    push(Tok::String, std::move(out));
    tokens_.back().line = line;
    go(at + 1);
  }
  bool hex(size_t at, size_t digits, uint32_t& code) const {
    if (at + digits > s_.size()) return false;
    auto [end, ec] = std::from_chars(s_.data() + at, s_.data() + at + digits, code, 16);
    return ec == std::errc() && end == s_.data() + at + digits && code <= 0x10FFFF;
  }
  // One escape; `at` is behind the backslash. Returns where it ends. An unknown escape stays as it is, as in Python.
  size_t escape(size_t at, std::string& out) {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    char c = s_[at];
    if (c == '\n') return at + 1;
    if (size_t i = kFrom.find(c); i != std::string_view::npos) return out += kTo[i], at + 1;
    if (c >= '0' && c <= '7') {
      uint32_t code = 0;
      size_t end = at;
      while (end < s_.size() && end < at + 3 && s_[end] >= '0' && s_[end] <= '7') code = code * 8 + static_cast<uint32_t>(s_[end++] - '0');
      append_rune(out, code);
      return end;
    }
    if (size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0) {
      uint32_t code = 0, low = 0;
      if (!hex(at + 1, digits, code))
        return fail("a \\" + std::string(1, c) + " escape needs " + std::to_string(digits) + " hexadecimal digits"), s_.size();
      at += 1 + digits;
      if (code >= 0xD800 && code < 0xDC00 && is_at(at, "\\u") && hex(at + 2, 4, low) && low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
      }
      append_rune(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
      return at;
    }
    if (c == 'N') return fail("\\N{} escapes are not supported"), s_.size();
    out += '\\';
    return at;
  }

  std::string s_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  std::vector<Token> tokens_;
  std::string error_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (source.size() > kMaxSource)
    return Error{"the template has " + std::to_string(source.size()) + " bytes; at most " + std::to_string(kMaxSource) + " are read"};
  std::string text = normalize_newlines(source);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return Lexer(std::move(text)).run();
}

}  // namespace lumen::chat
