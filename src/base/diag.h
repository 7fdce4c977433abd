// Diag: an error in a .lum source, with its span. `render` prints file:line:column, the message, the line and a caret.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lumen {

// One source text. Spans point into it; it outlives every AST and IR made from it (shared_ptr).
struct Source {
  std::string path;  // as the user named it; "<embedded>/formats/x.lum" for the standard ones
  std::string text;
};
using SourcePtr = std::shared_ptr<const Source>;

struct Span {
  const Source* source = nullptr;
  uint32_t begin = 0, end = 0;  // byte offsets into source->text
};

struct Diag {
  Span span;
  std::string message;  // "expected ')' , found 'x'"
  std::string note;     // optional second line
};

// "path:line:column: error: message\n  source line\n  ^~~~\n"
std::string render(const Diag& diag);
std::string render(const std::vector<Diag>& diags);

}  // namespace lumen
