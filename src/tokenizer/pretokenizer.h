// Pretokenizer: cuts a text into the words that BPE works on, by one or more rules in turn.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/regex.h"
#include "tokenizer/spec.h"
#include "tokenizer/splitters.h"

namespace lumen::tok {

class Pretokenizer {
 public:
  // Known patterns get a hand-written splitter, the others PCRE2. No rules: the text is one word.
  static Result<Pretokenizer> create(std::span<const SplitRule> rules);
  // Replaces `words`. `text` is valid UTF-8.
  void split(std::string_view text, std::vector<std::string_view>& words) const;

 private:
  struct Stage {
    std::optional<Splitter> splitter;
    std::optional<Regex> regex;
    bool drop_unmatched = false;
  };
  std::vector<Stage> stages_;
};

// What a name in `tokenizer.ggml.pre` stands for.
struct NamedPretokenizer {
  std::vector<std::string> patterns;
  bool ignore_merges = false;
  bool add_bos = false;   // unless the file says otherwise
  bool raw_utf8 = false;  // tokens are plain UTF-8 with U+2581 for spaces and <0xXX> fallback
  bool newline_runs = false;
  Normalization normalization = Normalization::None;
};
std::optional<NamedPretokenizer> named_pretokenizer(std::string_view name);
// The first name that stands for these patterns and flags; empty: none does.
std::string pretokenizer_name(const NamedPretokenizer& like);

}  // namespace lumen::tok
