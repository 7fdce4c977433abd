// SentencePiece's two models, over text that is already normalised (spaces as U+2581 where the vocabulary writes them so).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/spec.h"
#include "tokenizer/text_table.h"

namespace lumen::tok {

// What both models share; all of it outlives them.
struct PieceVocabulary {
  std::span<const std::string_view> tokens;
  std::span<const TokenType> types;
  std::span<const float> scores;
  std::span<const double> exact_scores;  // empty, or what paths are compared by in double precision
  const TextTable* table = nullptr;
  std::array<int32_t, 256> byte_ids{};  // <0xXX>; -1: none
  int32_t unk = -1;

  // The token that text may become: not control, unknown or byte. -1: none.
  int32_t piece(std::string_view text) const;
  // What is no token: its bytes, or one unknown token.
  void emit_bytes(std::string_view text, std::vector<int32_t>& out) const;
};

// BPE by scores: of all neighbours whose union is a token, the best-scoring union (then the leftmost) merges, until none is.
void encode_by_score(const PieceVocabulary& vocabulary, std::string_view text, std::vector<int32_t>& out);

// Unigram: the segmentation with the greatest sum of scores.
class UnigramModel {
 public:
  void build(const PieceVocabulary& vocabulary);
  void encode(std::string_view text, std::vector<int32_t>& out) const;

 private:
  template <class Score>
  void encode_by(std::span<const Score> scores, Score unknown, std::string_view text, std::vector<int32_t>& out) const;
  const PieceVocabulary* vocabulary_ = nullptr;
  size_t longest_ = 1;  // bytes of the longest piece
  float unknown_score_ = 0, best_score_ = 0;
  double exact_unknown_ = 0;
};

}  // namespace lumen::tok
