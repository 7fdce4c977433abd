// Ranked byte-pair encoding: of all neighbours that have a merge, the best-ranked (then the leftmost) merges, until none has.
// Works on ids; a symbol that a merge names but the vocabulary lacks gets an id past the vocabulary and ends as bytes.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/spec.h"
#include "tokenizer/text_table.h"

namespace lumen::tok {

// The character that stands for a byte in GPT-2's byte alphabet, as UTF-8.
std::string_view byte_letter(uint8_t byte);
// The byte a code point stands for there; -1: none.
int byte_of_letter(uint32_t code);

class BpeModel {
 public:
  // `tokens` and `table` outlive the model. byte_ids: what a byte becomes when nothing else is left (-1: nothing).
  void build(std::span<const std::string_view> tokens, std::span<const TokenType> types, const TextTable& table,
             std::span<const Merge> merges, const TokenizerSpec& spec, const std::array<int32_t, 256>& byte_ids);
  // Appends the ids of one word.
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;

 private:
  struct Rule {
    uint64_t pair = kNoPair;  // left id << 32 | right id
    uint32_t rank = 0;
    int32_t merged = 0;
  };
  static constexpr uint64_t kNoPair = ~0ull;
  static constexpr uint32_t kNoRank = ~0u;
  struct Found {
    uint32_t rank = kNoRank;
    int32_t merged = -1;
  };
  Found find(int32_t left, int32_t right) const;
  void insert(uint64_t pair, uint32_t rank, int32_t merged);
  int32_t intern(std::string_view text);
  int32_t whole_word(std::string_view word) const;
  void symbols_of(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_short(int32_t* ids, size_t& count) const;
  void merge_long(std::vector<int32_t>& ids) const;
  bool has_bytes(std::string_view character) const;
  void emit(int32_t id, std::vector<int32_t>& out) const;

  std::span<const std::string_view> tokens_;
  std::span<const TokenType> types_;
  const TextTable* table_ = nullptr;
  std::vector<Rule> rules_ = std::vector<Rule>(1);
  size_t mask_ = 0;
  std::vector<std::string> extra_;  // texts of the ids past the vocabulary: rare
  std::unordered_map<std::string, int32_t> extra_ids_;
  std::array<int32_t, 256> letter_ids_{};  // byte-level: the symbol a byte begins as
  std::array<int32_t, 256> byte_ids_{};
  int32_t unk_ = -1;
  bool byte_level_ = true, ignore_merges_ = false, newline_runs_ = false;
  bool byte_fallback_ = true, fuse_unk_ = false;
  std::string prefix_, suffix_;  // of symbols inside and at the end of a word
};

}  // namespace lumen::tok
