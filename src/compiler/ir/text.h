// What printer and reader share: how names are spelled.
#pragma once
#include <string>
#include <vector>

#include "compiler/ir/ir.h"

namespace lumen::ir {

std::string_view name(Role r);  // "", "input", "weight", "state"
std::string quote(const std::string& s);
bool is_identifier(const std::string& s);
bool is_index_name(const std::string& s);  // i0, i12: the variable of that number
// The name each output axis is printed by: its own where it is an identifier of its own, else i0, i1, …
std::vector<std::string> axis_spellings(const std::vector<std::string>& axes);

}  // namespace lumen::ir
