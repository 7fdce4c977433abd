// TokenizerSpec: everything that defines a tokenizer, in neutral form. A GGUF's metadata and a Hugging Face tokenizer.json both
// become one. Strings are views: `storage` (or the caller) keeps what they point into alive as long as the Tokenizer.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lumen {

enum class TokenizerKind : uint8_t {
  Bpe,            // ranked merges; byte-level (GPT-2's byte alphabet) or raw UTF-8 with <0xXX> byte fallback
  SentencePiece,  // SentencePiece's BPE: neighbours merge by the score of their union; <0xXX> byte fallback
  Unigram,        // SentencePiece's unigram language model: the best-scoring path (Viterbi)
  WordPiece,      // the longest piece that fits, from the left; what continues a word begins with subword_prefix
  WordLevel,      // whole words only
};

// Numbered as GGUF numbers them (tokenizer.ggml.token_type).
enum class TokenType : uint8_t { Undefined = 0, Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

struct Merge {
  std::string_view left, right;
};

// One stage of pre-tokenization: each piece so far is cut into the matches of `pattern` and what lies between them.
struct SplitRule {
  std::string pattern;          // PCRE2 / Oniguruma syntax; \s means Unicode White_Space
  bool drop_unmatched = false;  // true: what lies between the matches is dropped (Hugging Face: Removed, inverted)
};

enum class Normalization : uint8_t { None, Nfc, Nfd, Nfkc, Nfkd };

struct Pipeline;  // pipeline.h

struct TokenizerSpec {
  TokenizerKind kind = TokenizerKind::Bpe;
  std::vector<std::string_view> tokens;
  std::vector<float> scores;     // one a token, or empty (Bpe needs none)
  std::vector<double> exact_scores;  // Unigram: the same in full, where paths are to be compared in double precision; or empty
  std::vector<TokenType> types;  // one a token, or empty: all Normal
  std::vector<Merge> merges;     // Bpe, best first

  // Pre-tokenization (Bpe). A known name stands for its rules and flags (see pretokenizer_table.cpp); rules win over the name.
  std::string pre;
  std::vector<SplitRule> rules;
  bool byte_level = true;      // tokens are written in GPT-2's byte alphabet
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  bool newline_runs = false;   // a run of newlines that is a token is that token (Gemma 4)

  // Bpe without byte_level: characters that are no token.
  bool byte_fallback = true;  // become <0xXX>, where the vocabulary has all of these
  bool fuse_unk = false;      // a run of unknown ones is one unk
  std::string subword_prefix, word_suffix;  // Bpe without byte_level, WordPiece: what symbols inside and at the end of a word carry
  int max_word = 0;                         // WordPiece: longer words (characters) are unknown

  // All of normalisation, cutting and added tokens, stage by stage; where set, it takes the place of rules and of the flags below.
  std::shared_ptr<const Pipeline> pipeline;

  // Normalisation, in this order.
  Normalization normalization = Normalization::None;
  std::string_view charsmap;              // SentencePiece's precompiled character map; empty: none
  bool remove_extra_whitespaces = false;  // trim, and merge runs of spaces
  bool add_space_prefix = false;          // a space before the text (and after each special token)
  bool strip_first_spaces = false;        // decoding: the first piece loses all spaces it begins with, not just that one
  bool escape_spaces = false;             // ' ' becomes U+2581

  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unk = -1, pad = -1, sep = -1, mask = -1;  // -1: none
  int32_t fim_prefix = -1, fim_suffix = -1, fim_middle = -1, fim_pad = -1, fim_repo = -1, fim_file = -1;
  bool add_bos = false, add_eos = false;
  std::vector<int32_t> extra_eog;                // end-of-generation ids the file names beside eos, eot, eom and the well-known texts
  std::vector<int32_t> strip_left, strip_right;  // added tokens that swallow the whitespace before / after them in text

  std::shared_ptr<const void> storage;
};

}  // namespace lumen
