// The file: "_logits_", i32 tokens a chunk, i32 vocabulary, i32 chunks, i32 ids of all chunks; then rows of u16 words: f32 scale,
// f32 smallest log-probability, one code for each word of the vocabulary, one of padding where its size is odd.
#include "measure/log_probs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lumen::measure {
namespace {

constexpr std::string_view kMagic = "_logits_";

template <class T>
T value_at(std::string_view bytes, size_t at) {
  T v;
  std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

}  // namespace

Result<LogProbs> read_log_probs(std::string_view bytes, const std::string& file) {
  const size_t header = kMagic.size() + 12;
  if (bytes.size() < header || bytes.substr(0, kMagic.size()) != kMagic)
    return Error{file + ": expected a file of log-probabilities beginning with \"_logits_\", found " + std::to_string(bytes.size()) +
                 " bytes without"};
  int64_t chunk = value_at<int32_t>(bytes, 8), vocab = value_at<int32_t>(bytes, 12), chunks = value_at<int32_t>(bytes, 16);
  if (chunk < 4 || chunk > 1 << 20 || vocab < 1 || vocab > 1 << 24 || chunks < 1 || chunks > 1 << 20)
    return Error{file + ": impossible header: " + std::to_string(chunk) + " tokens a chunk, vocabulary " + std::to_string(vocab) + ", " +
                 std::to_string(chunks) + " chunks"};
  LogProbs out;
  out.vocab = vocab;
  out.first_row = chunk / 2;
  const int64_t rows = chunk - 1 - out.first_row;
  const size_t words = 2 * ((static_cast<size_t>(vocab) + 1) / 2) + 4;
  const size_t data = header + 4 * static_cast<size_t>(chunk * chunks), needed = data + static_cast<size_t>(rows) * words * 2;
  if (bytes.size() < needed)
    return Error{file + ": " + std::to_string(bytes.size()) + " bytes, expected at least " + std::to_string(needed)};
  for (int64_t i = 0; i < chunk; ++i) out.tokens.push_back(value_at<int32_t>(bytes, header + 4 * static_cast<size_t>(i)));
  for (int64_t r = 0; r < rows; ++r)
    if (int32_t next = out.tokens[static_cast<size_t>(out.first_row + r + 1)]; next < 0 || next >= vocab)
      return Error{file + ": token " + std::to_string(next) + " is outside the vocabulary of " + std::to_string(vocab)};
  for (int64_t r = 0; r < rows; ++r) {
    size_t at = data + static_cast<size_t>(r) * words * 2;
    float scale = value_at<float>(bytes, at), least = value_at<float>(bytes, at + 4);
    std::vector<float>& row = out.rows.emplace_back(static_cast<size_t>(vocab));
    for (size_t i = 0; i < row.size(); ++i) row[i] = least + scale * static_cast<float>(value_at<uint16_t>(bytes, at + 8 + 2 * i));
  }
  return out;
}

void log_softmax(std::vector<float>& row) {
  float most = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (float v : row) sum += std::exp(static_cast<double>(v - most));
  float shift = most + static_cast<float>(std::log(sum));
  for (float& v : row) v -= shift;
}

LogitsComparison compare_log_probs(const LogProbs& peer, const std::vector<std::vector<float>>& ours) {
  LogitsComparison c;
  double said = 0, peer_said = 0;
  for (size_t r = 0; r < peer.rows.size() && r < ours.size(); ++r) {
    const std::vector<float>&p = peer.rows[r], &q = ours[r];
    size_t best = static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin());
    size_t our_best = static_cast<size_t>(std::max_element(q.begin(), q.end()) - q.begin());
    float floor = p[best] - peer.floor_below_best + 0.01f;
    double kl = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i] < floor) continue;
      double mass = std::exp(static_cast<double>(p[i]));
      kl += mass * static_cast<double>(p[i] - q[i]);
      c.largest_difference = std::max(c.largest_difference, std::abs(mass - std::exp(static_cast<double>(q[i]))));
    }
    kl = std::max(kl, 0.0);
    c.kl_mean += kl;
    c.kl_max = std::max(c.kl_max, kl);
    c.same_best += best == our_best;
    size_t next = static_cast<size_t>(peer.tokens[static_cast<size_t>(peer.first_row) + r + 1]);
    said -= static_cast<double>(q[next]);
    peer_said -= static_cast<double>(p[next]);
    ++c.rows;
  }
  if (c.rows == 0) return c;
  double n = static_cast<double>(c.rows);
  c.kl_mean /= n;
  c.perplexity = std::exp(said / n);
  c.peer_perplexity = std::exp(peer_said / n);
  return c;
}

}  // namespace lumen::measure
