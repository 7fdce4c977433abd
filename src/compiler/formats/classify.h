// Enumerate and classify: from a format's value rule to its integer form.
#pragma once
#include "compiler/ir/format.h"

namespace lumen::formats {

// Evaluates `value` symbolically for every element of a block and looks for value = scale tree * (code + bias) + offset tree.
// Sets f.form, or f.why_no_form. Integer forms need all extents to be multiples of 16 and codes of at most 8 bits. When a form is
// set it has been proven on the expressions and checked numerically on random blocks. Row-plane formats have none.
void classify(ir::FormatType& f);

}  // namespace lumen::formats
