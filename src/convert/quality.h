// How far one model's answers are from another's, over a text.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/model.h"

namespace lumen::convert {

// The log of the sum of exp over a row of n logits; best: the place of the largest.
double log_sum(const float* row, int64_t n, int64_t& best);

struct Quality {
  int64_t positions = 0;
  double kl = 0;         // mean divergence of the other's distribution from the first one's, in nats
  double worst_kl = 0;   // of a position
  double same_best = 0;  // share of positions with the same most likely token
  double perplexity_before = 0, perplexity_after = 0;
};

struct QualityOptions {
  int64_t chunk = 512;                                        // tokens; each chunk is a sequence of its own
  int64_t chunks = 0;                                         // at most; 0: all
  int32_t first_token = -1;                                   // as CollectOptions
  std::function<void(int64_t done, int64_t total)> progress;  // chunks; may be empty
};

// Both models run the same tokens; every position of a chunk but its first counts. Error (usage): vocabularies differ; too short a text.
Result<Quality> compare_models(engine::Model& before, engine::Model& after, const std::vector<int32_t>& tokens,
                               const QualityOptions& options);

}  // namespace lumen::convert
