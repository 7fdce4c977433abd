// JSON in and out of Values. Writing is Python's json.dumps to the byte (what transformers' `tojson` filter prints).
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/budget.h"
#include "chat/value.h"

namespace lumen::chat {

struct JsonStyle {
  bool ascii = false;  // escape everything outside ASCII
  bool sort_keys = false;
  bool indented = false;
  std::string indent;                 // one level, when indented
  std::string item_separator = ", ";  // "," when indented
  std::string key_separator = ": ";
};

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget);  // fails by the Budget: undefined, objects, depth
std::string to_json(const Value& value);                                          // what cannot be JSON becomes null

// The whole text must be one value, nested at most `max_depth` deep. The error names line and column.
Result<Value> parse_json(std::string_view text, uint32_t max_depth = 100);

}  // namespace lumen::chat
