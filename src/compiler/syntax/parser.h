// Source text to syntax tree. The parser recovers at the next declaration, so that one run reports several mistakes.
#pragma once
#include <string>
#include <vector>

#include "compiler/syntax/ast.h"

namespace lumen::syntax {

struct Parsed {
  ast::File file;
  std::vector<Diag> errors;  // empty: the file is whole
};
Parsed parse(SourcePtr source);

// The tree as canonical source text; parse(print(parse(s))) == parse(s). `print_tree` is the form of --emit ast.
std::string print(const ast::File& file);
std::string print_tree(const ast::File& file);

}  // namespace lumen::syntax
