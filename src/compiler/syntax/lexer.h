// Source text to tokens. Newlines end statements, so they are tokens, except inside ( ) and [ ]; `;` is a Newline token too.
// The lexer also pairs brackets, so that the parser decides `sum[…](` without backtracking. Never fails: mistakes are Diags.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/diag.h"

namespace lumen::syntax {

enum class Tk : uint8_t { End, Newline, Name, Int, Float, String, Punct };

struct Token {
  Tk kind = Tk::End;
  std::string_view text;   // as written; strings with their quotes
  uint32_t begin = 0, end = 0;
  int match = -1;          // '[' and '(': number of the closing token, -1 where there is none
  uint16_t braces = 0;     // open '{' around this token
  bool touches = false;    // no white space before it
  bool first = false;      // first of its line
};

struct Lexed {
  std::vector<Token> tokens;  // ends with one End token
  std::vector<Diag> errors;
};
inline constexpr size_t kMaxErrors = 20;  // reported for one file
Lexed lex(const Source& source);

// Words that cannot be names: they begin or join statements and expressions.
bool is_reserved(std::string_view word);

// The characters a string token stands for. Errors, as a message: unknown escape.
bool unescape(std::string_view token, std::string& out, std::string& error);
std::string escape(std::string_view text);  // with quotes

}  // namespace lumen::syntax
