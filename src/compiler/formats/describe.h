// Integer forms as text, for people.
#pragma once
#include <string>

#include "compiler/ir/format.h"

namespace lumen::formats {

// One line: "codes: 4 bits, 0..15, bias -8; scale: f16 / 32; offset: none", or "no integer form: <why>".
std::string describe(const ir::FormatType& f);
// An expression over the block's fields: "cast_f32(d[0]) * 2".
std::string to_text(const ir::FormatType& f, const ir::ExprPtr& e);

}  // namespace lumen::formats
