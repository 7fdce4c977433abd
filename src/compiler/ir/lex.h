// Tokens of the IR's text form, with lines for errors. After the first error every token is End.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lumen::ir {

enum class Tok : uint8_t { End, Name, Number, String, Value /* %3 */, Bytes /* 0x… */, Punct };

struct Token {
  Tok kind = Tok::End;
  std::string_view text;  // Value: the digits; Bytes: the hex digits; String: with its quotes
  int line = 1;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) { next(); }
  const Token& peek() const { return token_; }
  void next();
  // The format or scalar type name at hand, which may hold <…>: ends before '['. Only where a type is expected.
  std::string_view type_name();
  bool is(std::string_view punct_or_name) const {
    return (token_.kind == Tok::Punct || token_.kind == Tok::Name) && token_.text == punct_or_name;
  }
  void stop() { at_ = text_.size(), token_ = {Tok::End, {}, token_.line}; }

 private:
  void skip_space();
  Token scan();
  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  Token token_;
};

}  // namespace lumen::ir
