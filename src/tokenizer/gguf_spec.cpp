// See gguf_spec.h. What GGUF leaves unsaid (flags that go with a model kind or a pre-tokenizer) is filled in here.
#include "tokenizer/gguf_spec.h"

#include <string>

#include "tokenizer/pretokenizer.h"

namespace lumen {

namespace {

#define KEY(name) "tokenizer.ggml." name

Error expected(std::string_view key, const std::string& what) { return Error{std::string(key) + ": expected " + what}; }

Error wrong_count(std::string_view key, size_t tokens, size_t found) {
  return expected(key, std::to_string(tokens) + " numbers, one for each token, found " + std::to_string(found));
}

// The value of a key that may be absent; an error when it is there with another type.
template <class T, class Get>
Status read_optional(const MetadataView& m, std::string_view key, const char* what, Get get, T& value) {
  if (!m.has(key)) return ok_status();
  auto found = (m.*get)(key);
  if (!found) return expected(key, what);
  value = static_cast<T>(std::move(*found));
  return ok_status();
}

Status read_vocabulary(const MetadataView& m, TokenizerSpec& spec) {
  if (!m.has(KEY("tokens"))) return Error{"tokenizer.ggml.tokens is missing: the file has no vocabulary"};
  LUMEN_CHECK(read_optional(m, KEY("tokens"), "an array of strings", &MetadataView::get_strings, spec.tokens));
  const size_t n = spec.tokens.size();
  std::vector<double> scores;
  LUMEN_CHECK(read_optional(m, KEY("scores"), "an array of numbers", &MetadataView::get_floats, scores));
  if (m.has(KEY("scores")) && scores.size() != n) return wrong_count(KEY("scores"), n, scores.size());
  spec.scores.assign(scores.begin(), scores.end());
  std::vector<int64_t> types;
  LUMEN_CHECK(read_optional(m, KEY("token_type"), "an array of integers", &MetadataView::get_ints, types));
  if (m.has(KEY("token_type")) && types.size() != n) return wrong_count(KEY("token_type"), n, types.size());
  spec.types.reserve(types.size());
  for (const int64_t t : types) spec.types.push_back(t >= 0 && t <= 6 ? static_cast<TokenType>(t) : TokenType::Undefined);
  return ok_status();
}

Status read_merges(const MetadataView& m, TokenizerSpec& spec) {
  if (!m.has(KEY("merges"))) return Error{"tokenizer.ggml.merges is missing: byte-pair encoding needs the merges"};
  std::vector<std::string_view> lines;
  LUMEN_CHECK(read_optional(m, KEY("merges"), "an array of strings", &MetadataView::get_strings, lines));
  spec.merges.reserve(lines.size());
  for (const std::string_view line : lines) {
    const size_t space = line.size() < 3 ? line.npos : line.find(' ', 1);  // a first part may itself begin with a space
    if (space == line.npos || space + 1 == line.size()) {
      return expected(KEY("merges"), "two parts with a space between them in merge " + std::to_string(spec.merges.size()));
    }
    spec.merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return ok_status();
}

Status read_special_ids(const MetadataView& m, TokenizerSpec& spec) {
  const struct {
    std::string_view key;
    int32_t* id;
  } ids[] = {
      {KEY("bos_token_id"), &spec.bos},
      {KEY("eos_token_id"), &spec.eos},
      {KEY("eot_token_id"), &spec.eot},
      {KEY("eom_token_id"), &spec.eom},
      {KEY("unknown_token_id"), &spec.unk},
      {KEY("padding_token_id"), &spec.pad},
      {KEY("seperator_token_id"), &spec.sep},
      {KEY("mask_token_id"), &spec.mask},  // GGUF's own spelling
      {KEY("prefix_token_id"), &spec.fim_prefix},
      {KEY("suffix_token_id"), &spec.fim_suffix},
      {KEY("middle_token_id"), &spec.fim_middle},
      {KEY("fim_pre_token_id"), &spec.fim_prefix},
      {KEY("fim_suf_token_id"), &spec.fim_suffix},
      {KEY("fim_mid_token_id"), &spec.fim_middle},
      {KEY("fim_pad_token_id"), &spec.fim_pad},
      {KEY("fim_rep_token_id"), &spec.fim_repo},
      {KEY("fim_sep_token_id"), &spec.fim_file},
  };
  const auto n = static_cast<int64_t>(spec.tokens.size());
  for (const auto& [key, id] : ids) {
    if (!m.has(key)) continue;
    const auto value = m.get_int(key);
    // Converters write 2^32 - 1 for "none".
    if (value && (*value == -1 || *value == 0xFFFFFFFF)) continue;
    if (!value || *value < 0 || *value >= n)
      return expected(key, "a token id below " + std::to_string(n) + (value ? ", found " + std::to_string(*value) : ""));
    *id = static_cast<int32_t>(*value);
  }
  return ok_status();
}

Status read_bpe(const MetadataView& m, std::string_view model, TokenizerSpec& spec) {
  spec.kind = TokenizerKind::Bpe;
  std::string_view pre = "default";
  LUMEN_CHECK(read_optional(m, KEY("pre"), "a string", &MetadataView::get_string, pre));
  if (model == "gemma4") pre = "gemma4";
  const auto named = tok::named_pretokenizer(pre);
  if (!named) return Error{"tokenizer.ggml.pre: unknown pre-tokenizer '" + std::string(pre) + "'"};
  spec.pre = pre;
  for (const std::string& pattern : named->patterns) spec.rules.push_back({pattern});
  spec.byte_level = !named->raw_utf8;
  spec.escape_spaces = named->raw_utf8;
  spec.ignore_merges = named->ignore_merges;
  spec.newline_runs = named->newline_runs;
  spec.normalization = named->normalization;
  spec.add_bos = named->add_bos;
  return read_merges(m, spec);
}

}  // namespace

Result<TokenizerSpec> spec_from_gguf(const MetadataView& m) {
  TokenizerSpec spec;
  if (!m.has(KEY("model"))) return Error{"tokenizer.ggml.model is missing: the file has no tokenizer"};
  const auto model = m.get_string(KEY("model"));
  if (!model) return expected(KEY("model"), "a string");
  LUMEN_CHECK(read_vocabulary(m, spec));
  if (*model == "gpt2" || *model == "gemma4") {
    LUMEN_CHECK(read_bpe(m, *model, spec));
  } else if (*model == "llama") {
    spec.kind = TokenizerKind::SentencePiece;
    spec.add_space_prefix = spec.escape_spaces = spec.add_bos = true;
    // The first SentencePiece files name no ids: unk, bos, eos come first, as its trainer puts them.
    if (spec.tokens.size() > 2) spec.unk = 0, spec.bos = 1, spec.eos = 2;
  } else if (*model == "t5") {
    spec.kind = TokenizerKind::Unigram;
    spec.add_space_prefix = spec.escape_spaces = spec.add_eos = true;
    if (spec.tokens.size() > 2) spec.pad = 0, spec.eos = 1, spec.unk = 2;
    LUMEN_CHECK(read_optional(m, KEY("precompiled_charsmap"), "an array of bytes", &MetadataView::get_bytes, spec.charsmap));
  } else {
    return Error{"tokenizer.ggml.model: unknown tokenizer '" + std::string(*model) + "'; expected gpt2, llama, gemma4 or t5"};
  }
  LUMEN_CHECK(read_special_ids(m, spec));
  if (spec.add_bos && spec.bos < 0) spec.add_bos = false;  // a default without a token to go with it
  LUMEN_CHECK(read_optional(m, KEY("add_bos_token"), "true or false", &MetadataView::get_bool, spec.add_bos));
  LUMEN_CHECK(read_optional(m, KEY("add_eos_token"), "true or false", &MetadataView::get_bool, spec.add_eos));
  if (spec.newline_runs && spec.bos >= 0) spec.add_bos = true;  // Gemma 4 files say no, the model was trained with it
  LUMEN_CHECK(read_optional(m, KEY("add_space_prefix"), "true or false", &MetadataView::get_bool, spec.add_space_prefix));
  LUMEN_CHECK(read_optional(m, KEY("remove_extra_whitespaces"), "true or false", &MetadataView::get_bool, spec.remove_extra_whitespaces));
  return spec;
}

}  // namespace lumen
