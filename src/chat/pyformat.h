// Python's two ways to format text: `'%s' % values` and `'{}'.format(values)`. Both spend from the Budget and fail there.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "chat/budget.h"
#include "chat/value.h"

namespace lumen::chat {

// '%(name)s' takes a dict; several conversions take a tuple; one takes any value.
std::string format_percent(std::string_view format, const Value& values, Budget& budget);

// `look_up` gives the value of a field name such as "", "0", "name", "name.attribute" or "0[key]"; it fails by the Budget.
using FieldLookup = std::function<Value(std::string_view field)>;
std::string format_braces(std::string_view format, const FieldLookup& look_up, Budget& budget);

}  // namespace lumen::chat
