// Scanner of the IR's text form.
#include "compiler/ir/lex.h"

namespace lumen::ir {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool hex_digit(char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

void Lexer::skip_space() {
  for (; at_ < text_.size(); ++at_) {
    char c = text_[at_];
    if (c == '#') {
      while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
    } else if (c == '\n') {
      ++line_;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      return;
    }
  }
}

void Lexer::next() {
  skip_space();
  size_t from = at_;
  token_ = scan();
  token_.line = line_;
  if (token_.text.empty() && token_.kind != Tok::Value && token_.kind != Tok::Bytes) token_.text = text_.substr(from, at_ - from);
}

Token Lexer::scan() {
  auto more = [&](auto ok) {
    size_t from = at_;
    while (at_ < text_.size() && ok(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  };
  auto ahead = [&](size_t n) { return at_ + n < text_.size() ? text_[at_ + n] : '\0'; };
  if (at_ >= text_.size()) return {Tok::End, {}, line_};
  char c = text_[at_];
  if (letter(c)) {
    more([](char x) { return letter(x) || digit(x); });
    return {Tok::Name, {}, line_};
  }
  if (c == '%') {
    ++at_;
    return {Tok::Value, more(digit), line_};
  }
  if (c == '0' && ahead(1) == 'x') {
    at_ += 2;
    return {Tok::Bytes, more(hex_digit), line_};
  }
  bool negative = c == '-' && (digit(ahead(1)) || ahead(1) == 'i' || ahead(1) == 'n');  // -3, -inf
  if (digit(c) || negative) {
    ++at_;
    if (negative && !digit(text_[at_])) {
      more(letter);
      return {Tok::Number, {}, line_};
    }
    more(digit);
    if (ahead(0) == '.') {
      ++at_;
      more(digit);
    }
    if (ahead(0) == 'e' || ahead(0) == 'E') {
      ++at_;
      if (ahead(0) == '-' || ahead(0) == '+') ++at_;
      more(digit);
    }
    return {Tok::Number, {}, line_};
  }
  if (c == '"') {
    for (++at_; at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n'; ++at_)
      if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
    if (at_ < text_.size() && text_[at_] == '"') ++at_;
    return {Tok::String, {}, line_};
  }
  at_ += c == '<' && ahead(1) == '=' ? 2 : 1;
  return {Tok::Punct, {}, line_};
}

std::string_view Lexer::type_name() {
  // The token at hand is a Name or '@'; take what follows up to '[' outside angle brackets.
  if (token_.kind != Tok::Name && !is("@")) return {};
  size_t from = static_cast<size_t>(token_.text.data() - text_.data()), at = from;
  for (int depth = 0; at < text_.size() && (depth > 0 || text_[at] != '['); ++at) {
    if (text_[at] == '\n') return {};
    depth += text_[at] == '<' ? 1 : text_[at] == '>' ? -1 : 0;
  }
  at_ = at;
  next();
  return text_.substr(from, at - from);
}

}  // namespace lumen::ir
