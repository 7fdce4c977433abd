// Helpers of diagnostics: places and the nearest known name.
#include "compiler/sema/mistake.h"

#include <algorithm>
#include <vector>

namespace lumen::sema {
namespace {

// Levenshtein's distance, of short names.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t up = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = up;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string place(Span span) {
  if (!span.source) return "?";
  const std::string& text = span.source->text;
  size_t at = std::min<size_t>(span.begin, text.size());
  return span.source->path + ":" + std::to_string(1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n'));
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 64;
  if (name.size() > kLongest) return "";
  std::string best;
  size_t best_distance = name.size() < 3 ? 0 : name.size() / 3 + 1;  // one letter may differ, or one in three
  for (const std::string& k : known) {
    if (k.size() > kLongest) continue;
    size_t d = distance(name, k);
    if (d < best_distance) best = k, best_distance = d;
  }
  return best.empty() ? "" : " (did you mean '" + best + "'?)";
}

}  // namespace lumen::sema
