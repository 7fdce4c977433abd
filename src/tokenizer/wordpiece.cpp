// See wordpiece.h.
#include "tokenizer/wordpiece.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace lumen::tok {

void encode_wordpiece(const TokenizerSpec& spec, const TextTable& table, std::string_view word, std::vector<int32_t>& out) {
  const auto unknown = [&] {
    if (spec.unk >= 0) out.push_back(spec.unk);
  };
  std::vector<size_t> begins;  // of characters
  for (size_t at = 0; at < word.size(); at += sequence_length(word[at])) begins.push_back(at);
  if (begins.size() > static_cast<size_t>(std::max(spec.max_word, 1))) return unknown();
  begins.push_back(word.size());
  const size_t before = out.size();
  std::string piece;
  for (size_t from = 0; from + 1 < begins.size();) {
    int32_t id = -1;
    size_t to = begins.size() - 1;
    for (; to > from && id < 0; --to) {
      piece = from > 0 ? spec.subword_prefix : "";
      piece.append(word, begins[from], begins[to] - begins[from]);
      id = table.find(piece);
    }
    if (id < 0) {
      out.resize(before);
      return unknown();
    }
    out.push_back(id);
    from = to + 1;
  }
}

void encode_wordlevel(const TokenizerSpec& spec, const TextTable& table, std::string_view word, std::vector<int32_t>& out) {
  int32_t id = table.find(word);
  if (id < 0) id = spec.unk;
  if (id >= 0) out.push_back(id);
}

}  // namespace lumen::tok
