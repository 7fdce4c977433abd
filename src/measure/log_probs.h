// Log-probabilities of next tokens, from the file that llama.cpp's perplexity program writes (--kl-divergence-base) and from logits,
// and their comparison. The file holds, for the second half of a chunk of text, 16-bit log-probabilities from the largest down to
// 16 nats below it; what lies lower is not known and left out of comparisons.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "measure/comparison.h"

namespace lumen::measure {

struct LogProbs {
  std::vector<int32_t> tokens;  // of the chunk
  int64_t first_row = 0;        // rows[i] says what follows tokens[first_row + i]
  int64_t vocab = 0;
  std::vector<std::vector<float>> rows;
  float floor_below_best = 16;  // nats
};

// `bytes`: the whole file, of which the first chunk is read. Errors name `file`.
Result<LogProbs> read_log_probs(std::string_view bytes, const std::string& file);

// Logits as log-probabilities, in place.
void log_softmax(std::vector<float>& row);

// `ours`: rows of the same tokens as the peer's.
LogitsComparison compare_log_probs(const LogProbs& peer, const std::vector<std::vector<float>>& ours);

}  // namespace lumen::measure
