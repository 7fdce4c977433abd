// Normalizer: what happens to a stretch of plain text before it is cut into tokens.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/spec.h"

namespace lumen::tok {

// SentencePiece's precompiled character map: a little-endian u32 length, that many bytes of a Darts double array, then
// zero-terminated replacements that the array's values point at.
class Charsmap {
 public:
  static Result<Charsmap> read(std::string_view bytes);
  // Appends the replacement of the longest known prefix of `text` and returns its length; 0: no known prefix.
  size_t replace_prefix(std::string_view text, std::string& out) const;

 private:
  std::vector<uint32_t> units_;
  std::string_view replacements_;
};

class Normalizer {
 public:
  static Result<Normalizer> create(const TokenizerSpec& spec);
  // The text itself when there is nothing to do, else `buffer`, overwritten.
  std::string_view apply(std::string_view text, std::string& buffer) const;

 private:
  std::string map_characters(std::string_view text) const;
  bool valid_utf8_ = false;  // what follows needs well-formed text
  Normalization form_ = Normalization::None;
  bool has_charsmap_ = false, trim_ = false, prefix_ = false, escape_ = false, prefix_unless_space_ = false;
  Charsmap charsmap_;
};

}  // namespace lumen::tok
