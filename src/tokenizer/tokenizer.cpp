// See tokenizer.h. Order of work in encode(): added tokens are found in the raw text; each stretch between them is normalised,
// cut into words (Bpe) and encoded by the model.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <mutex>
#include <unordered_map>

#include "tokenizer/bpe.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/text_table.h"
#include "tokenizer/unicode.h"
#include "tokenizer/wordpiece.h"

namespace lumen {

namespace {

// Words of one encode() call already done: word -> where its ids are in the output. Long texts repeat most of their words.
class WordCache {
 public:
  explicit WordCache(size_t text_size) : slots_(std::bit_ceil(std::clamp<size_t>(text_size / 8, 64, 8192))) {}
  struct Slot {
    std::string_view word;
    size_t begin = 0, count = 0;
  };
  Slot& slot(std::string_view word) { return slots_[tok::hash_text(word) & (slots_.size() - 1)]; }

 private:
  std::vector<Slot> slots_;
};

}  // namespace

struct Tokenizer::Impl {
  TokenizerSpec spec;
  tok::TextTable table;
  std::vector<int32_t> eog;
  // All pieces, one after the other, and where each begins (size + 1); made when a piece is first asked for by itself: decoding takes
  // the few it needs straight from the vocabulary.
  mutable std::once_flag pieces_made;
  mutable std::string piece_bytes;
  mutable std::vector<uint32_t> piece_begin;
  tok::SpecialMatcher matcher;
  std::vector<int32_t> strip_left, strip_right;  // sorted
  tok::Normalizer normalizer;
  tok::Pretokenizer pretokenizer;
  tok::BpeModel bpe;
  tok::PieceVocabulary vocabulary;
  tok::UnigramModel unigram;
  tok::TextPipeline pipeline;                  // where the spec has one
  tok::SpecialMatcher normalized_matcher;      // of tokens looked for in normalised text
  std::vector<std::string> normalized_texts;   // what those are called there
  std::unordered_map<int32_t, AddedToken> added;

  Status check();
  Status build();
  std::array<int32_t, 256> find_byte_ids();
  void encode_pieces(const std::vector<std::string_view>& words, std::vector<int32_t>& out) const;
  void build_pieces() const;
  void build_matcher();
  void append_piece(size_t id, std::string& out) const;
  void encode_text(std::string_view raw, std::vector<int32_t>& out) const;
  void encode_words(std::string_view text, std::vector<int32_t>& out) const;
  Status build_pipeline();
  // Calls text(begin, end) and token(id) for what an added-token matcher makes of `all`, in order.
  template <class Text, class Token>
  void each_part(const tok::SpecialMatcher& matcher, std::string_view all, bool parse_special, Text text, Token token) const;
  void encode_pipeline(std::string_view text, bool parse_special, std::vector<int32_t>& out) const;
  void encode_piece(std::string_view piece, std::vector<int32_t>& out) const;
  TokenType type(int32_t id) const { return spec.types[static_cast<size_t>(id)]; }
};

Status Tokenizer::Impl::check() {
  const size_t n = spec.tokens.size();
  const auto counted = [&](size_t count, const char* what) {
    return Error{"tokenizer: " + std::to_string(n) + " tokens but " + std::to_string(count) + " " + what + "; expected one for each token"};
  };
  if (n == 0) return Error{"tokenizer: the vocabulary is empty"};
  if (n > 1u << 28) return Error{"tokenizer: " + std::to_string(n) + " tokens; at most 2^28 are possible"};
  if (!spec.scores.empty() && spec.scores.size() != n) return counted(spec.scores.size(), "scores");
  if (!spec.types.empty() && spec.types.size() != n) return counted(spec.types.size(), "token types");
  if ((spec.kind == TokenizerKind::SentencePiece || spec.kind == TokenizerKind::Unigram) && spec.scores.empty())
    return Error{"tokenizer: no scores; a SentencePiece vocabulary needs one for each token"};
  size_t bytes = 0;
  for (const std::string_view t : spec.tokens) bytes += t.size();
  if (bytes > 0xFFFFFFFFu) return Error{"tokenizer: the tokens' texts take more than 4 GiB"};
  const struct {
    const char* name;
    int32_t id;
  } ids[] = {{"bos", spec.bos},
             {"eos", spec.eos},
             {"eot", spec.eot},
             {"eom", spec.eom},
             {"unk", spec.unk},
             {"pad", spec.pad},
             {"sep", spec.sep},
             {"mask", spec.mask},
             {"fim prefix", spec.fim_prefix},
             {"fim suffix", spec.fim_suffix},
             {"fim middle", spec.fim_middle},
             {"fim pad", spec.fim_pad},
             {"fim repo", spec.fim_repo},
             {"fim file", spec.fim_file}};
  const auto out_of_range = [&](int32_t id) { return id < -1 || id >= static_cast<int32_t>(n); };
  for (const auto& [name, id] : ids) {
    if (out_of_range(id)) {
      return Error{std::string("tokenizer: the ") + name + " token is " + std::to_string(id) + "; expected an id below " +
                   std::to_string(n)};
    }
  }
  for (const auto* list : {&spec.extra_eog, &spec.strip_left, &spec.strip_right}) {
    for (const int32_t id : *list) {
      if (id < 0 || out_of_range(id)) return Error{"tokenizer: special token " + std::to_string(id) + " is outside of the vocabulary"};
    }
  }
  if (spec.add_bos && spec.bos < 0) return Error{"tokenizer: texts should begin with the bos token but no bos token is named"};
  if (spec.add_eos && spec.eos < 0) return Error{"tokenizer: texts should end with the eos token but no eos token is named"};
  return ok_status();
}

// <0x00> to <0xFF>, for byte fallback; for a byte-level vocabulary the letters of the byte alphabet.
std::array<int32_t, 256> Tokenizer::Impl::find_byte_ids() {
  std::array<int32_t, 256> ids;
  const bool letters = spec.kind == TokenizerKind::Bpe && spec.byte_level;
  constexpr const char* kHex = "0123456789ABCDEF";
  for (size_t b = 0; b < 256; ++b) {
    const char text[] = {'<', '0', 'x', kHex[b >> 4], kHex[b & 15], '>'};
    if (!letters && !spec.byte_fallback) {
      ids[b] = -1;
      continue;
    }
    ids[b] = table.find(letters ? tok::byte_letter(static_cast<uint8_t>(b)) : std::string_view(text, sizeof text));
    if (!letters && ids[b] >= 0 && type(ids[b]) == TokenType::Normal) spec.types[static_cast<size_t>(ids[b])] = TokenType::Byte;
  }
  return ids;
}

void Tokenizer::Impl::append_piece(size_t id, std::string& out) const {
  const std::string_view text = spec.tokens[id];
  const bool byte_level = spec.kind == TokenizerKind::Bpe && spec.byte_level;
  if (spec.kind == TokenizerKind::WordPiece || spec.kind == TokenizerKind::WordLevel) {  // joined by spaces, special ones too
    const bool inside = !spec.subword_prefix.empty() && text.starts_with(spec.subword_prefix);
    if (!inside) out.push_back(' ');
    out.append(inside ? text.substr(spec.subword_prefix.size()) : text);
    return;
  }
  switch (spec.types[id]) {
    case TokenType::Byte: {
      const auto hex = [](char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; };
      const bool well_formed =
          text.size() == 6 && std::isxdigit(static_cast<uint8_t>(text[3])) && std::isxdigit(static_cast<uint8_t>(text[4]));
      if (well_formed) out.push_back(static_cast<char>(hex(text[3]) << 4 | hex(text[4])));
      return;
    }
    case TokenType::Normal:
    case TokenType::Undefined:
    case TokenType::Unused:
      break;
    default:  // a pipeline's decoder works on added tokens, too
      if (spec.pipeline && spec.escape_spaces) out.append(tok::unescape_spaces(text));
      else out.append(text);
      return;
  }
  if (!spec.word_suffix.empty() && text.ends_with(spec.word_suffix)) {
    out.append(text.substr(0, text.size() - spec.word_suffix.size())).push_back(' ');
    return;
  }
  if (!byte_level) {
    if (spec.escape_spaces && text.find('\xE2') != text.npos) {
      out.append(tok::unescape_spaces(text));
    } else {
      out.append(text);
    }
    return;
  }
  for (size_t pos = 0; pos < text.size();) {
    if (static_cast<uint8_t>(text[pos]) < 0x80) {
      out.push_back(text[pos++]);
      continue;
    }
    const tok::Utf8 c = tok::read_utf8(text.substr(pos));
    const int byte = c.status == tok::Utf8Status::Ok ? tok::byte_of_letter(c.code) : -1;
    if (byte >= 0) {
      out.push_back(static_cast<char>(byte));
    } else {
      out.append(text, pos, c.length);  // not of the byte alphabet: stands for itself
    }
    pos += c.length;
  }
}

void Tokenizer::Impl::build_pieces() const {
  size_t bytes = 0;
  for (const std::string_view t : spec.tokens) bytes += t.size();
  piece_bytes.reserve(bytes);
  piece_begin.reserve(spec.tokens.size() + 1);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    piece_begin.push_back(static_cast<uint32_t>(piece_bytes.size()));
    append_piece(id, piece_bytes);
  }
  piece_begin.push_back(static_cast<uint32_t>(piece_bytes.size()));
}

void Tokenizer::Impl::build_matcher() {
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const TokenType t = spec.types[id];
    if (t != TokenType::Control && t != TokenType::UserDefined && t != TokenType::Unknown) continue;
    if (spec.pipeline) continue;  // it brings its own list
    matcher.add(spec.tokens[id], static_cast<int32_t>(id), t == TokenType::UserDefined);
  }
  strip_left = spec.strip_left;
  strip_right = spec.strip_right;
  std::sort(strip_left.begin(), strip_left.end());
  std::sort(strip_right.begin(), strip_right.end());
}

Status Tokenizer::Impl::build() {
  LUMEN_CHECK(check());
  if (spec.types.empty()) spec.types.assign(spec.tokens.size(), TokenType::Normal);
  table.build(spec.tokens);
  const std::array<int32_t, 256> byte_ids = find_byte_ids();
  eog = tok::resolve_special_tokens(spec, table);
  build_matcher();
  if (spec.pipeline) LUMEN_CHECK(build_pipeline());
  LUMEN_TRY(made_normalizer, tok::Normalizer::create(spec));
  normalizer = std::move(made_normalizer);
  if (spec.kind == TokenizerKind::Bpe) {
    LUMEN_TRY(made_pretokenizer, tok::Pretokenizer::create(spec.rules));
    pretokenizer = std::move(made_pretokenizer);
    bpe.build(spec.tokens, spec.types, table, spec.merges, spec, byte_ids);
    spec.merges = {};
    return ok_status();
  }
  vocabulary = {spec.tokens, spec.types, spec.scores, spec.exact_scores, &table, byte_ids, spec.unk};
  if (spec.kind == TokenizerKind::Unigram) unigram.build(vocabulary);
  return ok_status();
}

void Tokenizer::Impl::encode_words(std::string_view text, std::vector<int32_t>& out) const {
  thread_local std::vector<std::string_view> words;
  pretokenizer.split(text, words);
  encode_pieces(words, out);
}

void Tokenizer::Impl::encode_pieces(const std::vector<std::string_view>& words, std::vector<int32_t>& out) const {
  if (words.size() < 64) {
    for (const std::string_view word : words) encode_piece(word, out);
    return;
  }
  WordCache cache(words.size() * 5);
  for (const std::string_view word : words) {
    WordCache::Slot& slot = cache.slot(word);
    if (slot.word == word) {
      out.reserve(out.size() + slot.count);
      for (size_t i = 0; i < slot.count; ++i) out.push_back(out[slot.begin + i]);
      continue;
    }
    slot = {word, out.size(), 0};
    encode_piece(word, out);
    slot.count = out.size() - slot.begin;
  }
}

void Tokenizer::Impl::encode_text(std::string_view raw, std::vector<int32_t>& out) const {
  if (raw.empty()) return;
  std::string buffer;
  const std::string_view text = normalizer.apply(raw, buffer);
  switch (spec.kind) {
    case TokenizerKind::Bpe:
      return encode_words(text, out);
    case TokenizerKind::SentencePiece:
      return tok::encode_by_score(vocabulary, text, out);
    case TokenizerKind::Unigram:
      return unigram.encode(text, out);
    case TokenizerKind::WordPiece:
      return tok::encode_wordpiece(spec, table, text, out);
    case TokenizerKind::WordLevel:
      return tok::encode_wordlevel(spec, table, text, out);
  }
}

Status Tokenizer::Impl::build_pipeline() {
  LUMEN_TRY(made, tok::TextPipeline::create(*spec.pipeline));
  pipeline = std::move(made);
  normalized_texts.reserve(spec.pipeline->added.size());
  for (const AddedToken& t : spec.pipeline->added) {
    added[t.id] = t;
    const bool always = type(t.id) == TokenType::UserDefined;
    const std::string_view text = spec.tokens[static_cast<size_t>(t.id)];
    if (!t.normalized) {
      if (!text.empty()) matcher.add(text, t.id, always);
      continue;
    }
    std::string buffer;
    normalized_texts.emplace_back(pipeline.normalize(tok::is_valid_utf8(text) ? text : std::string_view(), buffer));
    if (normalized_texts.back().empty()) continue;
    normalized_matcher.add(normalized_texts.back(), t.id, always);
    spec.tokens[static_cast<size_t>(t.id)] = normalized_texts.back();  // what decoding gives, too
  }
  return ok_status();
}

template <class Text, class Token>
void Tokenizer::Impl::each_part(const tok::SpecialMatcher& from, std::string_view all, bool parse_special, Text text, Token token) const {
  size_t done = 0, look = 0;
  tok::SpecialMatcher::Match m;
  while (from.find(all, look, parse_special, m)) {
    look = m.end;
    const AddedToken& t = added.at(m.id);
    if (t.single_word && (tok::ends_in_word(all.substr(0, m.begin)) || tok::begins_with_word(all.substr(m.end)))) continue;
    size_t begin = m.begin, end = m.end;
    if (t.left_strip) begin -= std::min(tok::space_at_end(all.substr(0, begin)), begin - std::min(done, begin));
    if (t.right_strip) end += tok::space_at_begin(all.substr(end));
    if (begin > done) text(done, begin);
    token(m.id);
    done = end;
    look = std::max(look, end);
  }
  if (done < all.size()) text(done, all.size());
}

// One piece, by the model.
void Tokenizer::Impl::encode_piece(std::string_view piece, std::vector<int32_t>& out) const {
  switch (spec.kind) {
    case TokenizerKind::Bpe:
      return bpe.encode_word(piece, out);
    case TokenizerKind::Unigram:
      return unigram.encode(piece, out);
    case TokenizerKind::SentencePiece:
      return tok::encode_by_score(vocabulary, piece, out);
    case TokenizerKind::WordPiece:
      return tok::encode_wordpiece(spec, table, piece, out);
    case TokenizerKind::WordLevel:
      return tok::encode_wordlevel(spec, table, piece, out);
  }
}

void Tokenizer::Impl::encode_pipeline(std::string_view text, bool parse_special, std::vector<int32_t>& out) const {
  std::string valid;
  if (!tok::is_valid_utf8(text)) text = valid = tok::replace_invalid(text);
  const auto token = [&](int32_t id) { out.push_back(id); };
  std::vector<std::string_view> words;
  each_part(
      matcher, text, parse_special,
      [&](size_t begin, size_t end) {
        std::string buffer;
        const std::string_view normal = pipeline.normalize(text.substr(begin, end - begin), buffer);
        each_part(
            normalized_matcher, normal, parse_special,
            [&](size_t from, size_t to) {
              std::deque<std::string> made;
              pipeline.cut(normal.substr(from, to - from), begin == 0 && from == 0, words, made);
              encode_pieces(words, out);
            },
            token);
      },
      token);
}

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  auto impl = std::make_unique<Impl>();
  impl->spec = std::move(spec);
  if (impl->spec.kind == TokenizerKind::Bpe && impl->spec.rules.empty() && !impl->spec.pre.empty()) {
    const auto named = tok::named_pretokenizer(impl->spec.pre);
    if (!named) return Error{"tokenizer: unknown pre-tokenizer '" + impl->spec.pre + "'"};
    for (const std::string& pattern : named->patterns) impl->spec.rules.push_back({pattern});
  }
  LUMEN_CHECK(impl->build());
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const Impl& m = *impl_;
  std::vector<int32_t> out;
  out.reserve(text.size() / 3 + 8);
  if (m.spec.pipeline) {
    const Pipeline& p = *m.spec.pipeline;
    if (options.add_special) out.insert(out.end(), p.before.begin(), p.before.end());
    m.encode_pipeline(text, options.parse_special, out);
    if (options.add_special) out.insert(out.end(), p.after.begin(), p.after.end());
    return out;
  }
  if (options.add_special && m.spec.add_bos) out.push_back(m.spec.bos);
  const auto white = [](char c) { return std::isspace(static_cast<uint8_t>(c)) != 0; };
  size_t pos = 0;
  tok::SpecialMatcher::Match match;
  while (m.matcher.find(text, pos, options.parse_special, match)) {
    size_t end = match.begin;
    if (std::binary_search(m.strip_left.begin(), m.strip_left.end(), match.id)) {
      while (end > pos && white(text[end - 1])) --end;
    }
    m.encode_text(text.substr(pos, end - pos), out);
    out.push_back(match.id);
    pos = match.end;
    if (std::binary_search(m.strip_right.begin(), m.strip_right.end(), match.id)) {
      while (pos < text.size() && white(text[pos])) ++pos;
    }
  }
  m.encode_text(text.substr(pos), out);
  if (options.add_special && m.spec.add_eos) out.push_back(m.spec.eos);
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out, made;
  bool strip = impl_->spec.add_space_prefix;
  for (const int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    if (!valid(id)) continue;
    made.clear();
    impl_->append_piece(static_cast<size_t>(id), made);
    std::string_view bytes = made;
    if (strip && !bytes.empty()) {
      do {
        if (bytes.front() == ' ') bytes.remove_prefix(1);
      } while (impl_->spec.strip_first_spaces && !bytes.empty() && bytes.front() == ' ');
      strip = false;
    }
    out.append(bytes);
  }
  if (!impl_->spec.word_suffix.empty() && out.ends_with(' ')) out.pop_back();  // the last word's own
  return out;
}

int32_t Tokenizer::size() const { return static_cast<int32_t>(impl_->spec.tokens.size()); }
std::string_view Tokenizer::text(int32_t id) const { return valid(id) ? impl_->spec.tokens[static_cast<size_t>(id)] : std::string_view(); }
std::string_view Tokenizer::piece(int32_t id) const {
  if (!valid(id)) return {};
  std::call_once(impl_->pieces_made, [this] { impl_->build_pieces(); });
  const auto i = static_cast<size_t>(id);
  return std::string_view(impl_->piece_bytes).substr(impl_->piece_begin[i], impl_->piece_begin[i + 1] - impl_->piece_begin[i]);
}
TokenType Tokenizer::type(int32_t id) const { return valid(id) ? impl_->type(id) : TokenType::Undefined; }
bool Tokenizer::is_special(int32_t id) const { return type(id) == TokenType::Control || type(id) == TokenType::Unknown; }
bool Tokenizer::is_eog(int32_t id) const { return std::binary_search(impl_->eog.begin(), impl_->eog.end(), id); }
std::span<const int32_t> Tokenizer::eog() const { return impl_->eog; }
int32_t Tokenizer::id_of(std::string_view token_text) const { return impl_->table.find(token_text); }
const TokenizerSpec& Tokenizer::spec() const { return impl_->spec; }

}  // namespace lumen
