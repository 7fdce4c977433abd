// A text's tokens in chunks, each of them a sequence of its own.
#pragma once
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/model.h"

namespace lumen::convert {

// Whole chunks of the tokens, at most `most` (0: all) of them; `first` stands in place of each one's first token where it is none.
// Error (usage): not one chunk, or more tokens in it than `context`.
Result<std::vector<std::vector<int32_t>>> cut(const std::vector<int32_t>& tokens, int64_t chunk, int64_t most, int32_t first,
                                              int64_t context);

}  // namespace lumen::convert
