// Proof that a format's value rule never reads outside its fields and tables, whatever the stored bits are.
#pragma once
#include "compiler/ir/format.h"
#include "compiler/syntax/ast.h"

namespace lumen::sema {

// Throws Mistake at the rule where an index may leave its field or table.
void check_format(const ir::FormatType& f, const ast::FormatDecl& decl);

}  // namespace lumen::sema
