// The lexer: see lexer.h. Numbers keep their spelling; the parser gives them values.
#include "compiler/syntax/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace lumen::syntax {
namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Longest first. `>>` is not here: the parser joins two touching '>', so that a<b<3>>(x) closes two argument lists.
constexpr std::array<std::string_view, 28> kPuncts = {"**", "..", "->", "<<", "<=", ">=", "==", "!=", "(", ")", "[", "]", "{", "}", "<",
                                                      ">",  "=",  "+",  "-",  "*",  "/",  "%",  "&",  "|", "^", ".", ",", ":"};

class Lexer {
 public:
  explicit Lexer(const Source& source) : source_(source), s_(source.text) {}

  Lexed run() {
    while (at_ < s_.size()) step();
    push(Tk::End, at_, at_);
    return std::move(out_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < s_.size() ? s_[at_ + ahead] : '\0'; }
  void error(size_t begin, size_t end, std::string message) {
    if (out_.errors.size() >= kMaxErrors) return;
    out_.errors.push_back({{&source_, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}, std::move(message), ""});
  }
  void push(Tk kind, size_t begin, size_t end) {
    Token t;
    t.kind = kind;
    t.text = std::string_view(s_).substr(begin, end - begin);
    t.begin = static_cast<uint32_t>(begin);
    t.end = static_cast<uint32_t>(end);
    t.braces = static_cast<uint16_t>(std::min<size_t>(braces_, 65535));
    t.touches = begin == last_end_;
    t.first = line_start_;
    last_end_ = end;
    if (kind != Tk::Newline) line_start_ = false;
    at_ = end;
    out_.tokens.push_back(t);
  }
  bool inside_brackets() const { return !open_.empty() && open_.back().second != '{'; }

  void step() {
    char c = peek();
    if (c == '\n') {
      line_start_ = true;
      if (inside_brackets()) {
        ++at_;
      } else {
        push(Tk::Newline, at_, at_ + 1);
        line_start_ = true;
      }
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '#') {
      while (at_ < s_.size() && s_[at_] != '\n') ++at_;
    } else if (c == ';') {
      push(Tk::Newline, at_, at_ + 1);
    } else if (is_name_start(c)) {
      word();
    } else if (is_digit(c)) {
      number();
    } else if (c == '"') {
      string();
    } else {
      punct();
    }
  }

  void word() {
    size_t end = at_;
    while (end < s_.size() && is_name_char(s_[end])) ++end;
    std::string_view text = std::string_view(s_).substr(at_, end - at_);
    // A declaration never stands inside brackets: one left open above must not swallow the line ends of the rest of the file.
    if (line_start_ && inside_brackets() && (text == "fn" || text == "format" || text == "model")) {
      while (inside_brackets()) open_.pop_back();
      size_t line = at_;
      push(Tk::Newline, line, line);
      line_start_ = true;
    }
    push(Tk::Name, at_, end);
  }

  // Digits and underscores; true when there was a digit.
  bool digits(size_t& end, bool hex) {
    bool any = false;
    for (; end < s_.size(); ++end) {
      char c = s_[end];
      if (hex ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : is_digit(c)) {
        any = true;
      } else if (c != '_') {
        break;
      }
    }
    return any;
  }

  void number() {
    size_t end = at_;
    bool is_float = false, good = true;
    if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
      end += 2;
      good = digits(end, true);
    } else {
      digits(end, false);
      if (end + 1 < s_.size() && s_[end] == '.' && is_digit(s_[end + 1])) {
        is_float = true;
        ++end;
        digits(end, false);
      }
      if (end < s_.size() && (s_[end] == 'e' || s_[end] == 'E')) {
        size_t e = end + 1;
        if (e < s_.size() && (s_[e] == '+' || s_[e] == '-')) ++e;
        is_float = true;
        good = digits(e, false);
        end = e;
      }
    }
    if (end < s_.size() && is_name_char(s_[end])) {
      good = false;
      while (end < s_.size() && is_name_char(s_[end])) ++end;
    }
    if (!good) error(at_, end, "malformed number '" + s_.substr(at_, std::min<size_t>(end - at_, 40)) + "'");
    push(is_float ? Tk::Float : Tk::Int, at_, end);
  }

  void string() {
    size_t end = at_ + 1;
    while (end < s_.size() && s_[end] != '"' && s_[end] != '\n') end += s_[end] == '\\' && end + 1 < s_.size() && s_[end + 1] != '\n' ? 2 : 1;
    if (end < s_.size() && s_[end] == '"') {
      push(Tk::String, at_, end + 1);
    } else {
      end = std::min(end, s_.size());
      error(at_, end, "expected '\"' before the end of the line: this string is not closed");
      push(Tk::String, at_, end);
    }
  }

  void punct() {
    std::string_view rest = std::string_view(s_).substr(at_);
    for (std::string_view p : kPuncts) {
      if (!rest.starts_with(p)) continue;
      char c = p[0];
      if (c == '}') close('{');
      if (c == ')' || c == ']') close(c == ')' ? '(' : '[');
      push(Tk::Punct, at_, at_ + p.size());
      if (c == '(' || c == '[' || c == '{') {
        open_.emplace_back(static_cast<int>(out_.tokens.size()) - 1, c);
        braces_ += c == '{';
      }
      return;
    }
    // No rule takes such a token, so the parser reports it.
    size_t end = at_ + 1;
    while (end < s_.size() && (s_[end] & 0xC0) == 0x80) ++end;  // a whole UTF-8 character
    push(Tk::Punct, at_, end);
  }

  // Pops up to the innermost open bracket of this kind, if it lies within the innermost '{' (or is it).
  void close(char kind) {
    constexpr size_t kReach = 512;  // keeps hostile text linear; the parser refuses such nesting anyway
    for (size_t i = open_.size(); i-- > 0 && (kind == '{' || open_.size() - i < kReach);) {
      if (open_[i].second == kind) {
        if (kind != '{') out_.tokens[open_[i].first].match = static_cast<int>(out_.tokens.size());
        open_.resize(i);
        braces_ -= kind == '{';
        return;
      }
      if (open_[i].second == '{') return;
    }
  }

  const Source& source_;
  const std::string& s_;
  Lexed out_;
  size_t at_ = 0, last_end_ = static_cast<size_t>(-1), braces_ = 0;
  bool line_start_ = true;
  std::vector<std::pair<int, char>> open_;
};

}  // namespace

Lexed lex(const Source& source) { return Lexer(source).run(); }

bool is_reserved(std::string_view word) {
  constexpr std::string_view kWords[] = {"let", "for",    "if",   "then",  "else", "in",     "and",  "or",
                                         "not", "return", "true", "false", "fn",   "format", "model"};
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

bool unescape(std::string_view token, std::string& out, std::string& error) {
  out.clear();
  if (token.size() < 2) return true;  // an unclosed quote, reported by the lexer
  std::string_view body = token.substr(1, token.size() - 1 - (token.back() == '"' ? 1 : 0));
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      out += body[i];
      continue;
    }
    char c = ++i < body.size() ? body[i] : ' ';
    constexpr std::string_view kNames = "ntr\\\"", kMeans = "\n\t\r\\\"";
    size_t which = kNames.find(c);
    if (which == std::string_view::npos) {
      error = "unknown escape in a string: expected \\n, \\t, \\r, \\\\ or \\\"";
      return false;
    }
    out += kMeans[which];
  }
  return true;
}

std::string escape(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    constexpr std::string_view kNames = "ntr\\\"", kMeans = "\n\t\r\\\"";
    size_t which = kMeans.find(c);
    if (which == std::string_view::npos) {
      out += c;
    } else {
      out += '\\';
      out += kNames[which];
    }
  }
  return out + "\"";
}

}  // namespace lumen::syntax
