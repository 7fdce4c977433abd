// Tokenizer: text to ids and back. Immutable after create(); every method may be called from several threads at once.
// Text in is UTF-8. A byte that begins no well-formed sequence is read as U+FFFD (Bpe) or kept by byte fallback (SentencePiece).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/spec.h"

namespace lumen {

struct EncodeOptions {
  bool add_special = true;    // bos before, eos after, where the model asks for them
  bool parse_special = true;  // control tokens written in the text become ids; user-defined ones always do
};

class Tokenizer {
 public:
  // Errors name what in the spec is missing, inconsistent or unknown.
  static Result<Tokenizer> create(TokenizerSpec spec);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // The exact bytes of the ids (not always whole UTF-8). skip_special leaves control and unknown tokens out. Where the model
  // puts a space before a text, the first piece loses it. Ids out of range give nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  int32_t size() const;  // vocabulary size
  bool valid(int32_t id) const { return id >= 0 && id < size(); }
  std::string_view text(int32_t id) const;           // as the file writes it; empty when out of range
  std::string_view piece(int32_t id) const;          // the bytes the id stands for in text; empty when out of range
  TokenType type(int32_t id) const;                  // Undefined when out of range
  bool is_special(int32_t id) const;                 // control or unknown: not part of the text
  bool is_eog(int32_t id) const;                     // the model has finished: eos, eot, <|im_end|>, …
  std::span<const int32_t> eog() const;              // all such ids, ascending
  int32_t id_of(std::string_view token_text) const;  // -1: no such token
  const TokenizerSpec& spec() const;                 // flags and special ids as they came out; tokens and merges may be moved from

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lumen
