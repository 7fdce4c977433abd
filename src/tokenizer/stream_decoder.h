// StreamDecoder: ids in, text out, one at a time. What comes out is always whole, valid UTF-8: bytes of a sequence that may still
// be completed wait; bytes that cannot become one come out as U+FFFD (one for each maximal ill-formed run, as Unicode advises).
#pragma once
#include <cstdint>
#include <string>

#include "tokenizer/tokenizer.h"

namespace lumen {

// The same for bytes, without a tokenizer.
class Utf8Assembler {
 public:
  std::string push(std::string_view bytes);
  std::string finish();  // what still waited, as U+FFFD
  bool waiting() const { return !held_.empty(); }

 private:
  std::string held_;  // an incomplete but so far well-formed sequence, at most 3 bytes
};

class StreamDecoder {
 public:
  // strip_first_space: the ids are a text from its beginning (not a continuation), so the space before it is not part of it.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true, bool strip_first_space = false)
      : tokenizer_(&tokenizer), skip_special_(skip_special), strip_(strip_first_space && tokenizer.spec().add_space_prefix) {}
  std::string push(int32_t id);
  std::string finish() { return utf8_.finish(); }
  bool waiting() const { return utf8_.waiting(); }  // nothing may be shown yet: in the middle of a character

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool strip_;
  Utf8Assembler utf8_;
};

}  // namespace lumen
