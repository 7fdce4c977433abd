// Mistakes in .lum sources inside sema: thrown where they are found, caught at the statement, binding or public function around
// it. Nothing of this leaves the room: library.h and model.h give Diag or Error.
#pragma once
#include <string>
#include <vector>

#include "base/diag.h"

namespace lumen::sema {

struct Mistake {
  Diag diag;
};
// Follows from a mistake already reported: caught where Mistake is, reported nowhere.
struct Poisoned {};

[[noreturn]] inline void fail(Span span, std::string message, std::string note = "") {
  throw Mistake{{span, std::move(message), std::move(note)}};
}

// "path:line" for notes.
std::string place(Span span);
// The known name nearest to `name`, as " (did you mean 'x'?)"; empty where none is near.
std::string did_you_mean(const std::string& name, const std::vector<std::string>& known);

}  // namespace lumen::sema
