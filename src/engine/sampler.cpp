// Penalties, truncations in the order top-k, top-p, min-p, then temperature and a draw.
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace lumen::engine {

Status validate(const SamplerOptions& o) {
  auto bad = [](const char* name, const char* range, double found) {
    return Error{std::string(name) + ": expected " + range + ", found " + std::to_string(found), true};
  };
  if (!(o.temperature >= 0 && o.temperature <= 100)) return bad("temperature", "0 to 100", o.temperature);
  if (o.top_k < 0) return bad("top_k", "0 (off) or more", o.top_k);
  if (!(o.top_p > 0 && o.top_p <= 1)) return bad("top_p", "more than 0 and at most 1", o.top_p);
  if (!(o.min_p >= 0 && o.min_p <= 1)) return bad("min_p", "0 to 1", o.min_p);
  if (!(o.repeat_penalty > 0 && o.repeat_penalty <= 10)) return bad("repeat_penalty", "more than 0 and at most 10", o.repeat_penalty);
  if (!(o.presence_penalty >= -2 && o.presence_penalty <= 2)) return bad("presence_penalty", "-2 to 2", o.presence_penalty);
  if (!(o.frequency_penalty >= -2 && o.frequency_penalty <= 2)) return bad("frequency_penalty", "-2 to 2", o.frequency_penalty);
  return ok_status();
}

void Sampler::accept(int32_t token, bool generated) {
  recent_.push_back(token);
  if (generated) generated_.push_back(token);
}

float logprob_of(std::span<const float> logits, int32_t token) {
  float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x - top));
  return static_cast<float>(logits[token] - top - std::log(sum));
}

Sampler::Choice Sampler::sample(std::span<const float> logits, const TokenMask& mask) {
  work_.assign(logits.begin(), logits.end());
  for (float& x : work_)
    if (std::isnan(x)) x = -INFINITY;
  for (auto [token, add] : o_.bias)
    if (token >= 0 && static_cast<size_t>(token) < work_.size()) work_[token] += add;
  if (o_.repeat_penalty != 1.0f) {
    size_t n = std::min<size_t>(recent_.size(), o_.penalty_window);
    std::vector<int32_t> seen(recent_.end() - n, recent_.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (int32_t t : seen) work_[t] = work_[t] > 0 ? work_[t] / o_.repeat_penalty : work_[t] * o_.repeat_penalty;
  }
  if (o_.presence_penalty != 0 || o_.frequency_penalty != 0) {
    std::unordered_map<int32_t, int> count;
    for (int32_t t : generated_) ++count[t];
    for (auto [t, n] : count) work_[t] -= o_.presence_penalty + o_.frequency_penalty * static_cast<float>(n);
  }
  if (!mask.empty())
    for (size_t i = 0; i < work_.size(); ++i)
      if (!(mask[i / 64] >> (i % 64) & 1)) work_[i] = -INFINITY;

  int32_t best = static_cast<int32_t>(std::max_element(work_.begin(), work_.end()) - work_.begin());
  if (o_.temperature == 0) return {best, logprob_of(logits, best)};

  std::vector<int32_t> ids(work_.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  auto more_likely = [&](int32_t a, int32_t b) { return work_[a] != work_[b] ? work_[a] > work_[b] : a < b; };
  size_t keep = o_.top_k > 0 ? std::min<size_t>(o_.top_k, ids.size()) : ids.size();
  if (keep < ids.size()) std::nth_element(ids.begin(), ids.begin() + keep, ids.end(), more_likely);
  ids.resize(keep);
  std::sort(ids.begin(), ids.end(), more_likely);
  std::vector<double> p(ids.size());
  double sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) sum += p[i] = std::exp(static_cast<double>(work_[ids[i]]) - work_[ids[0]]);
  size_t n = ids.size();
  if (o_.top_p < 1) {
    double mass = 0;
    for (size_t i = 0; i < n; ++i) {
      mass += p[i] / sum;
      if (mass >= o_.top_p) {
        n = i + 1;
        break;
      }
    }
  }
  if (o_.min_p > 0)
    while (n > 1 && p[n - 1] < o_.min_p * p[0]) --n;
  sum = 0;
  for (size_t i = 0; i < n; ++i) sum += p[i] = std::exp((static_cast<double>(work_[ids[i]]) - work_[ids[0]]) / o_.temperature);
  double draw = std::uniform_real_distribution<double>(0, sum)(rng_);
  size_t at = 0;
  while (at + 1 < n && draw >= p[at]) draw -= p[at++];
  return {ids[at], logprob_of(logits, ids[at])};
}

}  // namespace lumen::engine
