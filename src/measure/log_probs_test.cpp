// A file written here as the peers write it, read back and compared.
#include "measure/log_probs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace lumen::measure {
namespace {

template <class T>
void put(std::string& out, T v) {
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

// One chunk of 4 tokens over a vocabulary of 3: one row, behind token 2.
std::string file_of(const std::vector<float>& log_probs, const std::vector<int32_t>& tokens) {
  std::string out = "_logits_";
  put(out, static_cast<int32_t>(tokens.size()));
  put(out, static_cast<int32_t>(log_probs.size()));
  put(out, int32_t{1});
  for (int32_t t : tokens) put(out, t);
  float least = *std::min_element(log_probs.begin(), log_probs.end()), most = *std::max_element(log_probs.begin(), log_probs.end());
  float scale = (most - least) / 65535;
  put(out, scale), put(out, least);
  for (float v : log_probs) put(out, static_cast<uint16_t>(std::lround((v - least) / scale)));
  if (log_probs.size() % 2) put(out, uint16_t{0});
  return out;
}

const std::vector<float> kRow = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};

TEST(LogProbs, ReadsWhatWasWritten) {
  auto p = read_log_probs(file_of(kRow, {7, 8, 2, 1}), "f");
  ASSERT_TRUE(p.ok()) << p.error().message;
  EXPECT_EQ(p->tokens, (std::vector<int32_t>{7, 8, 2, 1}));
  EXPECT_EQ(p->first_row, 2);
  ASSERT_EQ(p->rows.size(), 1u);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(p->rows[0][i], kRow[i], 1e-4);
}

TEST(LogProbs, EqualOnesDoNotDiffer) {
  auto p = read_log_probs(file_of(kRow, {7, 8, 2, 1}), "f");
  std::vector<float> logits = {std::log(5.f), std::log(3.f), std::log(2.f)};
  log_softmax(logits);
  LogitsComparison c = compare_log_probs(*p, {logits});
  EXPECT_EQ(c.rows, 1);
  EXPECT_EQ(c.same_best, 1);
  EXPECT_NEAR(c.kl_mean, 0, 1e-4);
  EXPECT_NEAR(c.largest_difference, 0, 1e-4);
  EXPECT_NEAR(c.perplexity, 1 / 0.3, 1e-3);
  EXPECT_NEAR(c.peer_perplexity, 1 / 0.3, 1e-3);
}

TEST(LogProbs, OthersDo) {
  auto p = read_log_probs(file_of(kRow, {7, 8, 2, 1}), "f");
  LogitsComparison c = compare_log_probs(*p, {{std::log(0.25f), std::log(0.5f), std::log(0.25f)}});
  EXPECT_EQ(c.same_best, 0);
  EXPECT_NEAR(c.kl_mean, 0.5 * std::log(2) + 0.3 * std::log(0.6) + 0.2 * std::log(0.8), 1e-4);
  EXPECT_NEAR(c.largest_difference, 0.25, 1e-4);
  EXPECT_NEAR(c.perplexity, 2, 1e-3);
}

TEST(LogProbs, WhatIsNoSuchFile) {
  std::string good = file_of(kRow, {7, 8, 2, 1});
  EXPECT_FALSE(read_log_probs("", "f").ok());
  EXPECT_FALSE(read_log_probs("something else altogether", "f").ok());
  auto cut = read_log_probs(good.substr(0, good.size() - 3), "f");
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().message, "f: " + std::to_string(good.size() - 3) + " bytes, expected at least " + std::to_string(good.size()));
  std::string wild = good;
  int32_t big = 0x7fffffff;
  std::memcpy(&wild[12], &big, 4);
  EXPECT_FALSE(read_log_probs(wild, "f").ok());
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(read_log_probs(good.substr(0, n), "f").ok()) << n;
}

TEST(LogProbs, ATokenOutsideTheVocabularyIsRefused) { EXPECT_FALSE(read_log_probs(file_of(kRow, {7, 8, 2, 3}), "f").ok()); }

}  // namespace
}  // namespace lumen::measure
