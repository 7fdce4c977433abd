// What happens to a text before and around a tokenizer's model, as a list of stages: what a tokenizer.json spells out. TextPipeline
// runs it. Names and meanings are those of Hugging Face's `tokenizers`.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/regex.h"
#include "tokenizer/spec.h"
#include "tokenizer/splitters.h"

namespace lumen {

// A pattern: a regular expression, or a text that stands for itself.
struct TextPattern {
  std::string text;
  bool regex = false;
};

struct NormalizeStep {
  enum Kind : uint8_t {
    Form,          // to a Unicode normal form
    Lowercase,
    Strip,         // white space off the ends
    StripAccents,  // combining marks are dropped
    StripNonspacing,  // BERT: only those that take no space
    Replace,       // matches of `pattern` become `content`
    Prepend,       // `content` before a text that is not empty
    Charsmap,      // SentencePiece's precompiled character map, in `content`
    Clean,         // BERT: control characters go, white space becomes a space
    SpaceChinese,  // BERT: spaces around Chinese characters
    Nmt,           // SentencePiece's nmt rules: control characters go, odd white space becomes a space
  } kind = Form;
  Normalization form = Normalization::None;
  TextPattern pattern;
  std::string content;
  bool left = true, right = true;  // Strip
};

struct CutStep {
  enum Kind : uint8_t {
    Pattern,      // at the matches of `pattern`
    PrefixSpace,  // no cut: a space before a piece that does not begin with one
    Metaspace,    // spaces become `replacement`, which may also come before the piece; then a cut before each
    FixedLength,  // every `length` characters
  } kind = Pattern;
  enum Behavior : uint8_t { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous } behavior = Isolated;
  TextPattern pattern;
  bool invert = false;
  std::string replacement;
  enum Prepend : uint8_t { Never, First, Always } prepend = Always;  // First: only where the piece begins the whole text
  bool split = true;
  int length = 0;
};

struct AddedToken {
  int32_t id = -1;
  bool left_strip = false, right_strip = false;  // swallows the white space beside it
  bool single_word = false;                      // only where no word character touches it
  bool normalized = true;                        // looked for in the normalised text, itself normalised
};

struct Pipeline {
  std::vector<NormalizeStep> normalize;
  std::vector<CutStep> cut;
  std::vector<AddedToken> added;
  std::vector<int32_t> before, after;  // what a whole text begins and ends with
};

namespace tok {

class TextPipeline {
 public:
  static Result<TextPipeline> create(const Pipeline& pipeline);
  // `text` is valid UTF-8. The text itself when there is nothing to do, else `buffer`, overwritten.
  std::string_view normalize(std::string_view text, std::string& buffer) const;
  // Replaces `words`. `first`: the text is the beginning of all. `made` keeps pieces that are no part of the text.
  void cut(std::string_view text, bool first, std::vector<std::string_view>& words, std::deque<std::string>& made) const;

 private:
  struct Normalize {
    NormalizeStep step;
    std::optional<Regex> regex;
    std::optional<Charsmap> charsmap;
  };
  struct Cut {
    CutStep step;
    std::optional<Splitter> splitter;  // does what the pattern would
    std::optional<Regex> regex;
  };
  static std::string normalized(const Normalize& n, std::string_view text);
  static void cut_at_matches(const Cut& c, std::string_view piece, std::vector<std::string_view>& out);
  std::vector<Normalize> normalize_;
  std::vector<Cut> cut_;
};

// White space at the end and at the beginning, in bytes, by Unicode.
size_t space_at_end(std::string_view text);
size_t space_at_begin(std::string_view text);
// True where the last (the first) character is one of a word: a letter, number, mark or underscore.
bool ends_in_word(std::string_view text);
bool begins_with_word(std::string_view text);

}  // namespace tok
}  // namespace lumen
