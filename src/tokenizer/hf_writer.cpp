// See hf_writer.h. What the fields mean: Hugging Face's `tokenizers`; how scores become merges: as transformers' converter of SentencePiece
// models orders them, best score first, then the longer left part.
#include "tokenizer/hf_writer.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/json_text.h"
#include "tokenizer/unicode.h"

namespace lumen {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, SentencePiece's space

std::string flag(bool b) { return b ? "true" : "false"; }

Error no_form(const std::string& what) { return Error{"a tokenizer.json has no form for this tokenizer: " + what}; }

Status check(const TokenizerSpec& s) {
  if (s.pipeline) return no_form("it comes out of a tokenizer.json");
  bool letters = s.kind == TokenizerKind::Bpe && s.byte_level, pieces = s.kind == TokenizerKind::SentencePiece;
  if (!letters && !pieces) return no_form("expected byte-level BPE or SentencePiece's BPE");
  if (s.newline_runs) return no_form("it keeps runs of newlines together, whatever its merges say");
  if (s.remove_extra_whitespaces || !s.charsmap.empty()) return no_form("it normalises text by SentencePiece's rules");
  if (letters && (s.add_space_prefix || s.escape_spaces)) return no_form("a byte-level vocabulary with escaped spaces");
  if (pieces && s.scores.size() != s.tokens.size()) return no_form("its pieces have no scores");
  std::unordered_set<std::string_view> seen;
  for (std::string_view t : s.tokens) {
    if (!tok::is_valid_utf8(t)) return no_form("token " + std::to_string(seen.size()) + " is no UTF-8");
    if (!seen.insert(t).second) return no_form("two tokens are written " + std::string(t));
  }
  for (const Merge& m : s.merges)
    if (!tok::is_valid_utf8(m.left) || !tok::is_valid_utf8(m.right))
      return no_form("merge " + std::to_string(&m - s.merges.data()) + " is no UTF-8");
  return ok_status();
}

class Writer {
 public:
  Writer(const TokenizerSpec& spec, const Tokenizer& made) : s_(spec), made_(made), letters_(spec.kind == TokenizerKind::Bpe) {}

  std::string tokenizer() const {
    return "{\n\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n\"added_tokens\": " + added() + ",\n\"normalizer\": " + normalizer() +
           ",\n\"pre_tokenizer\": " + pre_tokenizer() + ",\n\"post_processor\": " + post_processor() + ",\n\"decoder\": " + decoder() +
           ",\n\"model\": " + model() + "\n}\n";
  }

  std::string config(std::string_view chat_template) const {
    std::string out = "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"clean_up_tokenization_spaces\": false,\n  \"add_bos_token\": " +
                      flag(made_.spec().add_bos) + ",\n  \"add_eos_token\": " + flag(made_.spec().add_eos);
    for (auto [key, id] : {std::pair<const char*, int32_t>{"bos_token", s_.bos}, {"eos_token", s_.eos}, {"unk_token", s_.unk}, {"pad_token", s_.pad}})
      if (id >= 0) out += std::string(",\n  \"") + key + "\": " + json_string(token(id));
    if (!chat_template.empty()) out += ",\n  \"chat_template\": " + json_string(chat_template);
    return out + "\n}\n";
  }

  std::string generation() const {
    std::string ends;
    for (int32_t id : made_.eog()) ends += (ends.empty() ? "" : ", ") + std::to_string(id);
    std::string out = "{\n  \"eos_token_id\": [" + ends + "]";
    if (s_.bos >= 0) out += ",\n  \"bos_token_id\": " + std::to_string(s_.bos);
    return out + "\n}\n";
  }

 private:
  std::string_view token(int32_t id) const { return s_.tokens[static_cast<size_t>(id)]; }

  // What is looked for in the text before all else.
  std::string added() const {
    std::string out = "[";
    auto has = [](const std::vector<int32_t>& ids, int32_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
    for (int32_t id = 0; id < made_.size(); ++id) {
      TokenType t = made_.type(id);
      if (t != TokenType::Control && t != TokenType::UserDefined && t != TokenType::Unknown) continue;
      out += std::string(out.size() > 1 ? "," : "") + "\n {\"id\": " + std::to_string(id) + ", \"content\": " + json_string(token(id)) +
             ", \"single_word\": false, \"lstrip\": " + flag(has(s_.strip_left, id)) + ", \"rstrip\": " + flag(has(s_.strip_right, id)) +
             ", \"normalized\": false, \"special\": " + flag(t != TokenType::UserDefined) + "}";
    }
    return out + "]";
  }

  std::string normalizer() const {
    if (!letters_) {
      std::string replace = "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": " + json_string(kSpace) + "}";
      if (!s_.add_space_prefix) return replace;
      return "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": " + json_string(kSpace) + "}, " + replace + "]}";
    }
    switch (s_.normalization) {
      case Normalization::None:
        return "null";
      case Normalization::Nfc:
        return "{\"type\": \"NFC\"}";
      case Normalization::Nfd:
        return "{\"type\": \"NFD\"}";
      case Normalization::Nfkc:
        return "{\"type\": \"NFKC\"}";
      case Normalization::Nfkd:
        return "{\"type\": \"NFKD\"}";
    }
    return "null";
  }

  static std::string byte_level() { return R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false})"; }

  std::string pre_tokenizer() const {
    if (!letters_) return "null";
    std::string out = "{\"type\": \"Sequence\", \"pretokenizers\": [";
    for (const SplitRule& r : s_.rules)
      out += "{\"type\": \"Split\", \"pattern\": {\"Regex\": " + json_string(r.pattern) + "}, \"behavior\": \"" +
             (r.drop_unmatched ? "Removed" : "Isolated") + "\", \"invert\": " + flag(r.drop_unmatched) + "}, ";
    return out + byte_level() + "]}";
  }

  std::string post_processor() const {
    const TokenizerSpec& m = made_.spec();
    std::string plain = letters_ ? byte_level() : "null";
    if (!m.add_bos && !m.add_eos) return plain;
    std::string special;
    auto list = [&](const char* type, bool second) {
      std::string number = second ? "1" : "0", items;
      auto add = [&](int32_t id) { items += "{\"SpecialToken\": {\"id\": " + json_string(token(id)) + ", \"type_id\": " + number + "}}, "; };
      if (m.add_bos) add(m.bos);
      items += std::string("{\"Sequence\": {\"id\": \"") + type + "\", \"type_id\": " + number + "}}, ";
      if (m.add_eos) add(m.eos);
      return items.substr(0, items.size() - 2);
    };
    for (auto [used, id] : {std::pair{m.add_bos, m.bos}, {m.add_eos && !(m.add_bos && m.bos == m.eos), m.eos}})
      if (used)
        special += (special.empty() ? "" : ", ") + json_string(token(id)) + ": {\"id\": " + json_string(token(id)) + ", \"ids\": [" +
                   std::to_string(id) + "], \"tokens\": [" + json_string(token(id)) + "]}";
    std::string single = list("A", false);
    return "{\"type\": \"TemplateProcessing\", \"single\": [" + single + "], \"pair\": [" + single + ", " + list("B", true) +
           "], \"special_tokens\": {" + special + "}}";
  }

  std::string decoder() const {
    if (letters_) return byte_level();
    std::string out = "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": " + json_string(kSpace) +
                      "}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}";
    if (s_.add_space_prefix) out += ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}";
    return out + "]}";
  }

  std::string model() const {
    std::string vocab, merges;
    for (size_t id = 0; id < s_.tokens.size(); ++id)
      vocab += std::string(id ? ",\n " : "\n ") + json_string(s_.tokens[id]) + ": " + std::to_string(id);
    for (const Merge& m : letters_ ? s_.merges : merges_by_score())
      merges += std::string(merges.empty() ? "\n " : ",\n ") + "[" + json_string(m.left) + ", " + json_string(m.right) + "]";
    std::string unk = !letters_ && s_.unk >= 0 ? json_string(token(s_.unk)) : "null";
    return "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": " + unk +
           ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": " + flag(!letters_) +
           ", \"byte_fallback\": " + flag(!letters_) + ", \"ignore_merges\": " + flag(letters_ && s_.ignore_merges) + ",\n\"vocab\": {" + vocab +
           "},\n\"merges\": [" + merges + "]}";
  }

  // Every way to make a piece of two others: of two neighbours those merge first whose union scores best.
  std::vector<Merge> merges_by_score() const {
    std::unordered_map<std::string_view, int32_t> ids;
    auto usable = [&](int32_t id) {
      TokenType t = made_.type(id);
      return t == TokenType::Normal || t == TokenType::UserDefined || t == TokenType::Unused;
    };
    for (int32_t id = 0; id < made_.size(); ++id)
      if (usable(id)) ids.emplace(token(id), id);
    struct Ranked {
      Merge merge;
      float score;
      size_t left, right;  // characters
    };
    std::vector<Ranked> all;
    std::vector<size_t> cuts;
    for (int32_t id = 0; id < made_.size(); ++id) {
      if (!usable(id)) continue;
      std::string_view t = token(id);
      cuts.clear();
      for (size_t at = 0; at < t.size(); at += tok::sequence_length(static_cast<uint8_t>(t[at]))) cuts.push_back(at);
      for (size_t c = 1; c < cuts.size(); ++c) {
        std::string_view left = t.substr(0, cuts[c]), right = t.substr(cuts[c]);
        if (ids.count(left) && ids.count(right)) all.push_back({{left, right}, s_.scores[static_cast<size_t>(id)], c, cuts.size() - c});
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const Ranked& a, const Ranked& b) {
      return a.score != b.score ? a.score > b.score : a.left != b.left ? a.left > b.left : a.right > b.right;
    });
    std::vector<Merge> out;
    for (const Ranked& r : all) out.push_back(r.merge);
    return out;
  }

  const TokenizerSpec& s_;
  const Tokenizer& made_;
  bool letters_;
};

}  // namespace

Result<HfTokenizerFiles> hf_tokenizer_files(const TokenizerSpec& spec, const Tokenizer& made, std::string_view chat_template) {
  LUMEN_CHECK(check(spec));
  Writer w(spec, made);
  return HfTokenizerFiles{w.tokenizer(), w.config(chat_template), w.generation()};
}

}  // namespace lumen
