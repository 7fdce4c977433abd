// Rendering of diagnostics: line, column (in characters), the source line and a caret under the span.
#include "base/diag.h"

#include <algorithm>

namespace lumen {

std::string render(const Diag& d) {
  if (!d.span.source) return "error: " + d.message + "\n" + (d.note.empty() ? "" : "note: " + d.note + "\n");
  const std::string& t = d.span.source->text;
  size_t at = std::min<size_t>(d.span.begin, t.size());
  size_t line_start = at == 0 ? std::string::npos : t.rfind('\n', at - 1);
  line_start = line_start == std::string::npos ? 0 : line_start + 1;
  size_t line_end = std::min(t.find('\n', at), t.size());
  size_t line_no = 1 + std::count(t.begin(), t.begin() + line_start, '\n');
  std::string line = t.substr(line_start, line_end - line_start);
  std::string pad;
  size_t column = 1;
  for (size_t i = line_start; i < at; ++i) {
    if ((t[i] & 0xC0) == 0x80) continue;  // UTF-8 continuation bytes take no column
    pad += t[i] == '\t' ? '\t' : ' ';
    ++column;
  }
  size_t width = 0;
  for (size_t i = at; i < std::min<size_t>(std::max<size_t>(d.span.end, at + 1), line_end); ++i) width += (t[i] & 0xC0) != 0x80;
  std::string out = d.span.source->path + ":" + std::to_string(line_no) + ":" + std::to_string(column) + ": error: " + d.message + "\n";
  out += "  " + line + "\n  " + pad + "^" + std::string(width > 1 ? width - 1 : 0, '~') + "\n";
  if (!d.note.empty()) out += "  note: " + d.note + "\n";
  return out;
}

std::string render(const std::vector<Diag>& diags) {
  std::string out;
  for (const Diag& d : diags) out += render(d);
  return out;
}

}  // namespace lumen
