// See pretokenizer.h.
#include "tokenizer/pretokenizer.h"

#include "tokenizer/unicode.h"

namespace lumen::tok {

namespace {

void split_by_regex(const Regex& regex, bool drop_unmatched, std::string_view text, std::vector<std::string_view>& pieces) {
  size_t done = 0, from = 0;
  Regex::Match match;
  while (from <= text.size() && regex.find(text, from, match)) {
    if (match.begin > done && !drop_unmatched) pieces.push_back(text.substr(done, match.begin - done));
    if (match.end > match.begin) pieces.push_back(text.substr(match.begin, match.end - match.begin));
    done = match.end;
    from = match.end;
    if (match.end == match.begin) {  // an empty match cuts here; look on after the next character
      if (from == text.size()) break;
      from += sequence_length(text[from]);
    }
  }
  if (done < text.size() && !drop_unmatched) pieces.push_back(text.substr(done));
}

}  // namespace

Result<Pretokenizer> Pretokenizer::create(std::span<const SplitRule> rules) {
  Pretokenizer result;
  for (const SplitRule& rule : rules) {
    Stage stage{.splitter = known_splitter(rule.pattern), .regex = {}, .drop_unmatched = rule.drop_unmatched};
    // The digit splitter returns what lies between the matches too (the other patterns match everything).
    if (rule.drop_unmatched && stage.splitter && stage.splitter->family == SplitFamily::Digits) stage.splitter.reset();
    if (!stage.splitter) {
      LUMEN_TRY(regex, Regex::compile(rule.pattern));
      stage.regex = std::move(regex);
    }
    result.stages_.push_back(std::move(stage));
  }
  return result;
}

void Pretokenizer::split(std::string_view text, std::vector<std::string_view>& words) const {
  words.clear();
  if (text.empty()) return;
  words.push_back(text);
  std::vector<std::string_view> before;
  for (const Stage& stage : stages_) {
    before.swap(words);
    words.clear();
    for (const std::string_view piece : before) {
      if (stage.splitter) {
        tok::split(*stage.splitter, piece, words);
      } else {
        split_by_regex(*stage.regex, stage.drop_unmatched, piece, words);
      }
    }
  }
}

}  // namespace lumen::tok
