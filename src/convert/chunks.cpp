// See chunks.h.
#include "convert/chunks.h"

#include <algorithm>

namespace lumen::convert {

Result<std::vector<std::vector<int32_t>>> cut(const std::vector<int32_t>& tokens, int64_t chunk, int64_t most, int32_t first,
                                              int64_t context) {
  int64_t n = static_cast<int64_t>(tokens.size()) / chunk;
  if (chunk > context)
    return Error{"--chunk: the context holds " + std::to_string(context) + " tokens, found " + std::to_string(chunk), true};
  if (n == 0)
    return Error{"the text has " + std::to_string(tokens.size()) + " tokens, expected at least one chunk of " + std::to_string(chunk),
                 true};
  if (most > 0) n = std::min(n, most);
  std::vector<std::vector<int32_t>> chunks;
  for (int64_t c = 0; c < n; ++c) {
    chunks.emplace_back(tokens.begin() + c * chunk, tokens.begin() + (c + 1) * chunk);
    if (first >= 0) chunks.back()[0] = first;
  }
  return chunks;
}

}  // namespace lumen::convert
