// See sentencepiece.h. Behaviour as in SentencePiece's bpe_model and unigram_model.
#include "tokenizer/sentencepiece.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "tokenizer/unicode.h"

namespace lumen::tok {

int32_t PieceVocabulary::piece(std::string_view text) const {
  const int32_t id = table->find(text);
  if (id < 0) return -1;
  const TokenType type = types[static_cast<size_t>(id)];
  return type == TokenType::Normal || type == TokenType::UserDefined || type == TokenType::Unused ? id : -1;
}

void PieceVocabulary::emit_bytes(std::string_view text, std::vector<int32_t>& out) const {
  bool unknown = false;
  for (const char c : text) {
    const int32_t id = byte_ids[static_cast<uint8_t>(c)];
    if (id >= 0) {
      out.push_back(id);
    } else {
      unknown = true;
    }
  }
  if (unknown && unk >= 0) out.push_back(unk);
}

namespace {

struct Symbol {
  size_t begin, length;  // bytes; length 0: merged away
  int32_t prev, next;    // -1: none
};

struct Candidate {
  float score;
  int32_t left, right;
  size_t length;  // of the union; a candidate whose symbols have grown since is stale
  int32_t id;
  bool operator<(const Candidate& o) const { return score != o.score ? score < o.score : left > o.left; }
};

// How an Unused token came about, so that it can be taken apart again.
struct UnusedSplit {
  int32_t id;
  size_t left_length;
};

class ScoreMerger {
 public:
  ScoreMerger(const PieceVocabulary& v, std::string_view text) : v_(v), text_(text) {
    symbols_.reserve(text.size());
    for (size_t pos = 0; pos < text.size();) {
      const Utf8 c = read_utf8(text.substr(pos));
      const size_t length = c.status == Utf8Status::Ok ? c.length : 1;  // a broken byte stands alone
      const auto index = static_cast<int32_t>(symbols_.size());
      symbols_.push_back({pos, length, index - 1, index + 1});
      pos += length;
    }
    if (!symbols_.empty()) symbols_.back().next = -1;
  }

  void run(std::vector<int32_t>& out) {
    for (int32_t i = 1; i < static_cast<int32_t>(symbols_.size()); ++i) offer(i - 1, i);
    while (!heap_.empty()) {
      const Candidate c = heap_.top();
      heap_.pop();
      Symbol& left = at(c.left);
      Symbol& right = at(c.right);
      if (!left.length || !right.length || left.length + right.length != c.length) continue;
      left.length = c.length;
      right.length = 0;
      left.next = right.next;
      if (right.next >= 0) at(right.next).prev = c.left;
      offer(left.prev, c.left);
      offer(c.left, left.next);
    }
    for (int32_t i = symbols_.empty() ? -1 : 0; i >= 0; i = at(i).next) emit(text_.substr(at(i).begin, at(i).length), out);
  }

 private:
  Symbol& at(int32_t i) { return symbols_[static_cast<size_t>(i)]; }

  void offer(int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const size_t length = at(left).length + at(right).length;
    const int32_t id = v_.piece(text_.substr(at(left).begin, length));
    if (id < 0) return;
    heap_.push({v_.scores[static_cast<size_t>(id)], left, right, length, id});
    if (v_.types[static_cast<size_t>(id)] == TokenType::Unused) {
      const auto known = [&](const UnusedSplit& u) { return u.id == id; };
      const auto it = std::find_if(unused_.begin(), unused_.end(), known);
      if (it == unused_.end()) {
        unused_.push_back({id, at(left).length});
      } else {
        it->left_length = at(left).length;
      }
    }
  }

  void emit(std::string_view piece, std::vector<int32_t>& out) {
    const int32_t id = v_.piece(piece);
    if (id < 0) return v_.emit_bytes(piece, out);
    if (v_.types[static_cast<size_t>(id)] == TokenType::Unused) {
      for (const UnusedSplit& u : unused_) {
        if (u.id != id) continue;
        emit(piece.substr(0, u.left_length), out);  // both halves are shorter: this ends
        emit(piece.substr(u.left_length), out);
        return;
      }
    }
    out.push_back(id);
  }

  const PieceVocabulary& v_;
  std::string_view text_;
  std::vector<Symbol> symbols_;
  std::vector<UnusedSplit> unused_;
  std::priority_queue<Candidate> heap_;
};

}  // namespace

void encode_by_score(const PieceVocabulary& vocabulary, std::string_view text, std::vector<int32_t>& out) {
  ScoreMerger(vocabulary, text).run(out);
}

void UnigramModel::build(const PieceVocabulary& v) {
  vocabulary_ = &v;
  float lowest = std::numeric_limits<float>::max(), highest = -lowest;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.types[i] == TokenType::Normal) {
      lowest = std::min(lowest, v.scores[i]);
      highest = std::max(highest, v.scores[i]);
    }
    const bool usable = v.types[i] == TokenType::Normal || v.types[i] == TokenType::UserDefined || v.types[i] == TokenType::Unused;
    if (usable) longest_ = std::max(longest_, v.tokens[i].size());
  }
  unknown_score_ = lowest - 10.0f;  // SentencePiece's kUnkPenalty
  best_score_ = highest;
  if (!v.exact_scores.empty()) exact_unknown_ = *std::min_element(v.exact_scores.begin(), v.exact_scores.end()) - 10.0;
}

void UnigramModel::encode(std::string_view text, std::vector<int32_t>& out) const {
  // Sums are float, as SentencePiece keeps them, or double, as Hugging Face does: that decides between paths that are equal but
  // for rounding.
  if (vocabulary_->exact_scores.empty()) encode_by<float>(vocabulary_->scores, unknown_score_, text, out);
  else encode_by<double>(vocabulary_->exact_scores, exact_unknown_, text, out);
}

template <class Score>
void UnigramModel::encode_by(std::span<const Score> scores, Score unknown, std::string_view text, std::vector<int32_t>& out) const {
  const PieceVocabulary& v = *vocabulary_;
  struct Best {
    Score score = -std::numeric_limits<Score>::infinity();
    size_t begin = 0;
    int32_t id = -1;  // -1: unknown
  };
  std::vector<Best> best(text.size() + 1);
  best[0].score = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8 c = read_utf8(text.substr(pos));
    const size_t one = c.status == Utf8Status::Ok ? c.length : 1;
    const Score so_far = best[pos].score;
    bool single = false;
    const auto offer = [&](size_t end, Score score, int32_t id) {
      if (so_far + score > best[end].score) best[end] = {so_far + score, pos, id};
    };
    const size_t limit = std::min(text.size(), pos + longest_);
    for (size_t end = pos + one; end <= limit;) {
      const int32_t id = v.piece(text.substr(pos, end - pos));
      if (id >= 0 && v.types[static_cast<size_t>(id)] != TokenType::Unused) {
        const bool user = v.types[static_cast<size_t>(id)] == TokenType::UserDefined;
        offer(end, user ? best_score_ * static_cast<float>(end - pos) - 0.1f : scores[static_cast<size_t>(id)], id);
        single |= end == pos + one;
      }
      if (end == text.size()) break;
      const Utf8 next = read_utf8(text.substr(end));
      end += next.status == Utf8Status::Ok ? next.length : 1;
    }
    if (!single) offer(pos + one, unknown, -1);
    pos += one;
  }
  struct Step {
    size_t begin, end;
    int32_t id;
  };
  std::vector<Step> path;
  for (size_t end = text.size(); end > 0; end = best[end].begin) path.push_back({best[end].begin, end, best[end].id});
  std::reverse(path.begin(), path.end());
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i].id >= 0) {
      out.push_back(path[i].id);
      continue;
    }
    const size_t begin = path[i].begin;
    while (i + 1 < path.size() && path[i + 1].id < 0) ++i;  // neighbouring unknown characters are one unknown piece
    v.emit_bytes(text.substr(begin, path[i].end - begin), out);
  }
}

}  // namespace lumen::tok
