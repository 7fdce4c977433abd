// Hand-written splitters for the patterns most byte-level BPE tokenizers use: the GPT-2 and the "cl100k" families. They do what
// the regular expression would, in one pass; splitters_test checks them against PCRE2.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

namespace lumen::tok {

enum class SplitFamily {
  Gpt2,      // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  Cl100k,    // (?i:'s|…)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  Digits,    // \p{N}: every number character by itself
  Newlines,  // [^\n]+|[\n]+
};

struct Splitter {
  SplitFamily family;
  int max_digits = 0;        // Cl100k: longest run of number characters; 0: no limit
  bool contractions = true;  // Cl100k: English contractions are cut off
  bool marks = false;        // Cl100k: combining marks count as letters
};

// The splitter that does exactly what `pattern` says, where there is one.
std::optional<Splitter> known_splitter(std::string_view pattern);

// Appends the pieces of `text` (valid UTF-8); together they are the text.
void split(const Splitter& splitter, std::string_view text, std::vector<std::string_view>& pieces);

}  // namespace lumen::tok
