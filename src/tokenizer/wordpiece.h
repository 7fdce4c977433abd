// BERT's WordPiece: the longest piece of the vocabulary that fits, from the left. WordLevel: whole words.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/spec.h"
#include "tokenizer/text_table.h"

namespace lumen::tok {

// A word with a part that no piece fits is unknown as a whole; so is one of more than spec.max_word characters.
void encode_wordpiece(const TokenizerSpec& spec, const TextTable& table, std::string_view word, std::vector<int32_t>& out);
void encode_wordlevel(const TokenizerSpec& spec, const TextTable& table, std::string_view word, std::vector<int32_t>& out);

}  // namespace lumen::tok
