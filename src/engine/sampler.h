// Sampler: from a row of logits to the next token. Knows ids and numbers, never text.
#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace lumen::engine {

struct SamplerOptions {
  float temperature = 0.7f;        // 0: greedy
  int top_k = 40;                  // 0: all
  float top_p = 0.95f;             // nucleus (arXiv 1904.09751); 1: off
  float min_p = 0.0f;              // relative to the most likely token (arXiv 2407.01082); 0: off
  float repeat_penalty = 1.0f;     // divides positive, multiplies negative logits of recent tokens (arXiv 1909.05858)
  float presence_penalty = 0.0f;   // subtracted once from tokens generated so far (OpenAI's definition)
  float frequency_penalty = 0.0f;  // subtracted once for each time
  int penalty_window = 64;         // recent tokens the repeat penalty looks at
  uint64_t seed = 0;
  std::vector<std::pair<int32_t, float>> bias;  // added to logits
};

// Error naming the option and its range.
Status validate(const SamplerOptions& o);

// Which tokens may come next; bit i of word i / 64. Empty: all may.
using TokenMask = std::vector<uint64_t>;

class Sampler {
 public:
  explicit Sampler(SamplerOptions options) : o_(std::move(options)), rng_(o_.seed) {}
  // A token of the prompt (counts for the repeat penalty) or of the answer (for all penalties).
  void accept(int32_t token, bool generated);
  struct Choice {
    int32_t token;
    float logprob;  // of the unmodified distribution
  };
  Choice sample(std::span<const float> logits, const TokenMask& mask = {});
  const SamplerOptions& options() const { return o_; }

 private:
  SamplerOptions o_;
  std::mt19937_64 rng_;
  std::vector<int32_t> recent_, generated_;
  std::vector<float> work_;
};

// log softmax of one entry.
float logprob_of(std::span<const float> logits, int32_t token);

}  // namespace lumen::engine
