// Writing JSON: as json.h reads it back.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace lumen {

// As JSON spells it, quotes included. Bytes that are no UTF-8 come out as U+FFFD (whole_utf8).
std::string json_string(std::string_view text);
// A value that was read, in one line; numbers with a fraction as short as they read back.
std::string json_text(const Json& value);

}  // namespace lumen
