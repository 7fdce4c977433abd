// Writing JSON: strings as json.h reads them back.
#pragma once
#include <string>
#include <string_view>

namespace lumen {

// As JSON spells it, quotes included. Bytes that are no UTF-8 pass as they are.
std::string json_string(std::string_view text);

}  // namespace lumen
