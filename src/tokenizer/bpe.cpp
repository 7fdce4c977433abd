// See bpe.h.
#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/assert.h"
#include "tokenizer/unicode.h"

namespace lumen::tok {

namespace {

constexpr int32_t kUnknown = -100000;  // a symbol that becomes unk as a whole


// GPT-2 writes the 188 bytes that print in Latin-1 as themselves and the others, in order, as U+0100 and up.
struct ByteAlphabet {
  std::array<std::string, 256> letters;
  std::array<int16_t, 512> bytes;
  ByteAlphabet() {
    bytes.fill(-1);
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool prints = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      const uint32_t code = prints ? b : next++;
      append_utf8(letters[b], code);
      bytes[code] = static_cast<int16_t>(b);
    }
  }
};
const ByteAlphabet& alphabet() {
  static const ByteAlphabet a;
  return a;
}

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
uint64_t pair_hash(uint64_t pair) { return mix(pair ^ 0xa0761d6478bd642full, 0xe7037ed1a0b428dbull); }

}  // namespace

std::string_view byte_letter(uint8_t byte) { return alphabet().letters[byte]; }
int byte_of_letter(uint32_t code) { return code < 512 ? alphabet().bytes[code] : -1; }

int32_t BpeModel::intern(std::string_view text) {
  if (const int32_t id = table_->find(text); id >= 0) return id;
  const auto next = static_cast<int32_t>(tokens_.size() + extra_.size());
  const auto [it, added] = extra_ids_.emplace(std::string(text), next);
  if (added) extra_.emplace_back(text);
  return it->second;
}

void BpeModel::insert(uint64_t pair, uint32_t rank, int32_t merged) {
  size_t at = pair_hash(pair) & mask_;
  while (rules_[at].pair != kNoPair) {
    if (rules_[at].pair == pair) return;  // the better rank came first
    at = (at + 1) & mask_;
  }
  rules_[at] = {pair, rank, merged};
}

BpeModel::Found BpeModel::find(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  for (size_t at = pair_hash(pair) & mask_;; at = (at + 1) & mask_) {
    const Rule& rule = rules_[at];
    if (rule.pair == pair) return {rule.rank, rule.merged};
    if (rule.pair == kNoPair) return {};
  }
}

void BpeModel::build(std::span<const std::string_view> tokens, std::span<const TokenType> types, const TextTable& table,
                     std::span<const Merge> merges, const TokenizerSpec& spec, const std::array<int32_t, 256>& byte_ids) {
  tokens_ = tokens;
  types_ = types;
  table_ = &table;
  byte_ids_ = byte_ids;
  // In GGUF files plain text never becomes a control token, not even for want of another.
  if (spec.unk >= 0 && (spec.pipeline || types[static_cast<size_t>(spec.unk)] != TokenType::Control)) unk_ = spec.unk;
  byte_fallback_ = spec.byte_fallback;
  fuse_unk_ = spec.fuse_unk;
  prefix_ = spec.subword_prefix;
  suffix_ = spec.word_suffix;
  byte_level_ = spec.byte_level;
  ignore_merges_ = spec.ignore_merges;
  newline_runs_ = spec.newline_runs;
  if (byte_level_) {
    for (size_t b = 0; b < 256; ++b) letter_ids_[b] = intern(byte_letter(static_cast<uint8_t>(b)));
  }
  rules_.assign(std::bit_ceil(merges.size() * 3 / 2 + 1), {});
  mask_ = rules_.size() - 1;

  // Looks up a block at a time in three steps, so that cache misses overlap. The merged token is usually the one after the last.
  constexpr size_t kBlock = 32;
  std::array<uint64_t, kBlock> left_hash, right_hash, pairs;
  std::array<int32_t, kBlock> merged;
  std::string joined;
  int32_t guess = 0;
  const auto is_join = [&](int32_t id, const Merge& m) {
    if (id < 0 || static_cast<size_t>(id) >= tokens.size() || !prefix_.empty()) return false;
    const std::string_view t = tokens[static_cast<size_t>(id)];
    return t.size() == m.left.size() + m.right.size() && t.ends_with(m.right) && t.starts_with(m.left);
  };
  for (size_t begin = 0; begin < merges.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, merges.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      table.prefetch(left_hash[i] = hash_text(merges[begin + i].left));
      table.prefetch(right_hash[i] = hash_text(merges[begin + i].right));
    }
    for (size_t i = 0; i < count; ++i) {
      const Merge& m = merges[begin + i];
      int32_t left = table.find(m.left, left_hash[i]), right = table.find(m.right, right_hash[i]);
      if (left < 0) left = intern(m.left);
      if (right < 0) right = intern(m.right);
      if (!is_join(guess, m)) {
        joined.assign(m.left).append(m.right.starts_with(prefix_) ? m.right.substr(prefix_.size()) : m.right);
        guess = intern(joined);
      }
      merged[i] = guess++;
      pairs[i] = pair_of(left, right);
      __builtin_prefetch(&rules_[pair_hash(pairs[i]) & mask_], 1);
    }
    for (size_t i = 0; i < count; ++i) insert(pairs[i], static_cast<uint32_t>(begin + i), merged[i]);
  }
}

int32_t BpeModel::whole_word(std::string_view word) const {
  int32_t id = -1;
  if (byte_level_) {
    if (word.size() > 256) return -1;
    char buffer[512];
    size_t n = 0;
    for (const char c : word) {
      for (const char l : byte_letter(static_cast<uint8_t>(c))) buffer[n++] = l;
    }
    id = table_->find({buffer, n});
  } else {
    id = table_->find(word);
  }
  // Control tokens are never made from plain text.
  return id >= 0 && types_[static_cast<size_t>(id)] != TokenType::Control ? id : -1;
}

bool BpeModel::has_bytes(std::string_view character) const {
  return byte_fallback_ && std::all_of(character.begin(), character.end(), [&](char b) { return byte_ids_[static_cast<uint8_t>(b)] >= 0; });
}

void BpeModel::symbols_of(std::string_view word, std::vector<int32_t>& ids) const {
  if (byte_level_) {
    for (const char c : word) ids.push_back(letter_ids_[static_cast<uint8_t>(c)]);
    return;
  }
  for (size_t pos = 0; pos < word.size();) {
    const std::string_view c = word.substr(pos, sequence_length(word[pos]));
    const bool last = pos + c.size() == word.size();
    const bool marked = (!prefix_.empty() && pos > 0) || (!suffix_.empty() && last);
    const int32_t id = table_->find(marked ? (pos > 0 ? prefix_ : "") + std::string(c) + (last ? suffix_ : "") : std::string_view(c));
    if (id >= 0 && types_[static_cast<size_t>(id)] != TokenType::Control) {
      ids.push_back(id);
    } else if (unk_ >= 0 && !has_bytes(c)) {
      ids.push_back(kUnknown);
    } else {
      // Bytes never merge: they have no merges. -2 - byte marks them until emit().
      for (const char b : c) ids.push_back(-2 - static_cast<uint8_t>(b));
    }
    pos += c.size();
  }
}

// Few symbols: look for the best pair anew after every merge.
void BpeModel::merge_short(int32_t* ids, size_t& count) const {
  Found found[64];
  LUMEN_ASSERT(count <= 64);
  for (size_t i = 0; i + 1 < count; ++i) found[i] = find(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (found[i].rank < found[best].rank) best = i;
    }
    if (found[best].rank == kNoRank) return;
    ids[best] = found[best].merged;
    std::copy(ids + best + 2, ids + count, ids + best + 1);
    std::copy(found + best + 1, found + count - 1, found + best);
    --count;
    if (best > 0) found[best - 1] = find(ids[best - 1], ids[best]);
    if (best + 1 < count) found[best] = find(ids[best], ids[best + 1]);
  }
}

// Many symbols (text without a break): a heap of candidate pairs, stale ones recognised by their ids.
void BpeModel::merge_long(std::vector<int32_t>& ids) const {
  struct Candidate {
    uint32_t rank;
    int32_t left, right;  // positions
    int32_t left_id, right_id, merged;
    bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  constexpr int32_t kGone = -1000;
  const auto n = static_cast<int32_t>(ids.size());
  std::vector<int32_t> next(ids.size()), prev(ids.size());
  std::vector<Candidate> storage;
  storage.reserve(ids.size());
  std::priority_queue<Candidate> heap({}, std::move(storage));
  const auto id_at = [&](int32_t i) -> int32_t& { return ids[static_cast<size_t>(i)]; };
  const auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right >= n) return;
    const Found f = find(id_at(left), id_at(right));
    if (f.rank != kNoRank) heap.push({f.rank, left, right, id_at(left), id_at(right), f.merged});
  };
  for (int32_t i = 0; i < n; ++i) {
    next[static_cast<size_t>(i)] = i + 1;
    prev[static_cast<size_t>(i)] = i - 1;
    offer(i, i + 1);
  }
  while (!heap.empty()) {
    const Candidate c = heap.top();
    heap.pop();
    if (id_at(c.left) != c.left_id || id_at(c.right) != c.right_id || next[static_cast<size_t>(c.left)] != c.right) continue;
    id_at(c.left) = c.merged;
    id_at(c.right) = kGone;
    const int32_t after = next[static_cast<size_t>(c.right)];
    next[static_cast<size_t>(c.left)] = after;
    if (after < n) prev[static_cast<size_t>(after)] = c.left;
    offer(prev[static_cast<size_t>(c.left)], c.left);
    offer(c.left, after);
  }
  std::erase(ids, kGone);
}

void BpeModel::emit(int32_t id, std::vector<int32_t>& out) const {
  if (id >= 0 && static_cast<size_t>(id) < tokens_.size()) {
    out.push_back(id);
    return;
  }
  const auto emit_byte = [&](uint8_t byte) {
    const int32_t b = byte_ids_[byte] >= 0 ? byte_ids_[byte] : unk_;
    if (b >= 0) out.push_back(b);
  };
  if (id < 0) return emit_byte(static_cast<uint8_t>(-2 - id));
  const std::string_view text = extra_[static_cast<size_t>(id) - tokens_.size()];
  for (size_t pos = 0; pos < text.size();) {
    if (!byte_level_) {
      emit_byte(static_cast<uint8_t>(text[pos++]));
      continue;
    }
    const Utf8 c = read_utf8(text.substr(pos));
    if (const int byte = byte_of_letter(c.code); byte >= 0) emit_byte(static_cast<uint8_t>(byte));
    pos += c.length;
  }
}

void BpeModel::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  if (ignore_merges_ || (newline_runs_ && word.find_first_not_of('\n') == word.npos)) {
    if (const int32_t id = whole_word(word); id >= 0) {
      out.push_back(id);
      return;
    }
  }
  thread_local std::vector<int32_t> ids;
  ids.clear();
  symbols_of(word, ids);
  if (ids.size() <= 64) {
    size_t count = ids.size();
    merge_short(ids.data(), count);
    ids.resize(count);
  } else {
    merge_long(ids);
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != kUnknown) emit(ids[i], out);
    else if (!fuse_unk_ || i == 0 || ids[i - 1] != kUnknown) out.push_back(unk_);
  }
}

}  // namespace lumen::tok
