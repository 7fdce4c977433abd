// Template text to tokens: tags, white-space control, and the two options transformers sets (trim_blocks, lstrip_blocks).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lumen::chat {

enum class Tok : uint8_t { Data, VariableBegin, VariableEnd, BlockBegin, BlockEnd, Name, String, Integer, Float, Operator, End };

struct Token {
  Tok type = Tok::End;
  uint32_t line = 1;
  std::string text;  // data, name, decoded string, operator
  int64_t integer = 0;
  double number = 0;
};

// The result ends with an End token. Errors begin with "line N: ".
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace lumen::chat
