// For tests of other rooms: the standard library, and IR text over its formats.
#pragma once
#include <string>

#include "compiler/sema/library.h"

namespace lumen::sema::testing {

inline const Library& standard_library() {
  static const Library lib = Library::standard().take();
  return lib;
}

// null: unknown, or one that takes parameters
inline ir::FormatRef find_format(const std::string& name) {
  auto f = standard_library().format(name);
  return f ? *f : nullptr;
}

// What use_integer_dots is given.
inline ir::FormatRef activation(int group) { return find_format("act_q8<" + std::to_string(group) + ">"); }

// A function that the verifier accepts, or why not.
inline Result<ir::Function> read_ir(const std::string& text) {
  LUMEN_TRY(f, ir::read(text, find_format));
  if (std::string wrong = ir::verify(f); !wrong.empty()) return Error{"not valid: " + wrong};
  return f;
}

}  // namespace lumen::sema::testing
