// The filter tables. A filter takes what stands before '|' and its arguments; failures go to Interp::fail.
#pragma once
#include <string_view>
#include <unordered_map>

#include "chat/interp.h"

namespace lumen::chat {

using FilterFn = Value (*)(Interp& in, const Value& input, const Args& args);
using FilterTable = std::unordered_map<std::string_view, FilterFn>;

const FilterTable& text_filters();      // filters_text.cpp
const FilterTable& number_filters();    // filters_text.cpp
const FilterTable& sequence_filters();  // filters_list.cpp
bool is_filter(std::string_view name);
bool is_test(std::string_view name);  // checks.cpp

}  // namespace lumen::chat
