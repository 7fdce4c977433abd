// Which tokens end a generation and which have a part to play, found by their texts where the file does not say.
#pragma once
#include <cstdint>
#include <vector>

#include "tokenizer/spec.h"
#include "tokenizer/text_table.h"

namespace lumen::tok {

// Fills eot, eom and the fim ids that are -1, corrects the types of tokens that files often get wrong (an <|im_end|> that is not
// a control token), and returns all end-of-generation ids, ascending.
std::vector<int32_t> resolve_special_tokens(TokenizerSpec& spec, const TextTable& table);

}  // namespace lumen::tok
