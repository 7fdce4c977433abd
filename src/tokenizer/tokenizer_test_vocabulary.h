// Small vocabularies for tests, made in place.
#pragma once
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer.h"

namespace lumen {

// Owns the strings that a spec's views point at.
class SpecBuilder {
 public:
  SpecBuilder() : texts_(std::make_shared<std::vector<std::unique_ptr<std::string>>>()) { spec.storage = texts_; }
  std::string_view keep(std::string text) {
    texts_->push_back(std::make_unique<std::string>(std::move(text)));
    return *texts_->back();
  }
  int32_t token(std::string text, TokenType type = TokenType::Normal, float score = 0) {
    spec.tokens.push_back(keep(std::move(text)));
    spec.types.push_back(type);
    spec.scores.push_back(score);
    return static_cast<int32_t>(spec.tokens.size() - 1);
  }
  // "a b": also makes the token "ab" when asked.
  void merge(std::string left, std::string right, bool with_token = true) {
    if (with_token) token(left + right);
    spec.merges.push_back({keep(std::move(left)), keep(std::move(right))});
  }
  TokenizerSpec spec;

 private:
  std::shared_ptr<std::vector<std::unique_ptr<std::string>>> texts_;
};

inline Tokenizer tokenizer_of(TokenizerSpec spec) {
  auto made = Tokenizer::create(std::move(spec));
  LUMEN_ASSERT(made.ok());
  return made.take();
}

// Byte-level: ids 0-255 are the bytes; 256 bos, 257 eos, 258 a user-defined token; merges l+o, e+r, h+e, he+l, hel+lo, Ġ+hello.
inline SpecBuilder byte_level_builder() {
  SpecBuilder b;
  for (int byte = 0; byte < 256; ++byte) b.token(std::string(tok::byte_letter(static_cast<uint8_t>(byte))));
  b.spec.bos = b.token("<bos>", TokenType::Control);
  b.spec.eos = b.token("<end>", TokenType::Control);
  b.token("<user>", TokenType::UserDefined);
  b.merge("l", "o");
  b.merge("e", "r");
  b.merge("h", "e");
  b.merge("he", "l");
  b.merge("hel", "lo");
  b.merge("Ġ", "hello");
  b.spec.pre = "gpt-2";
  b.spec.add_bos = true;
  return b;
}
inline Tokenizer make_byte_level() { return tokenizer_of(byte_level_builder().spec); }

// SentencePiece: unk 0, bos 1, eos 2, then <0x00>…<0xFF> (3 + byte), then letters and words with scores.
inline SpecBuilder sentencepiece_builder() {
  SpecBuilder b;
  b.spec.kind = TokenizerKind::SentencePiece;
  b.spec.unk = b.token("<unk>", TokenType::Unknown);
  b.spec.bos = b.token("<s>", TokenType::Control);
  b.spec.eos = b.token("</s>", TokenType::Control);
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    b.token(text, TokenType::Byte);
  }
  float score = -1;
  for (const char* piece : {"▁h", "el", "lo", "ello", "▁hello", "▁", "h", "e", "l", "o", "<", "s", ">", "<s"})
    b.token(piece, TokenType::Normal, score--);
  b.token("@@", TokenType::UserDefined);
  b.spec.add_bos = b.spec.add_space_prefix = b.spec.escape_spaces = true;
  return b;
}
inline Tokenizer make_sentencepiece() { return tokenizer_of(sentencepiece_builder().spec); }

}  // namespace lumen
