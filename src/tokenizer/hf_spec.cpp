// See hf_spec.h.
#include "tokenizer/hf_spec.h"

#include <algorithm>
#include <limits>

#include "tokenizer/hf_stages.h"

namespace lumen {
namespace {

using tok::bool_of;
using tok::int_of;
using tok::string_of;

constexpr int64_t kMaxGap = 1 << 20;  // ids that no token has

Error wrong_field(const std::string& where, const std::string& what) { return Error{"tokenizer.json: " + where + ": expected " + what}; }

// What views of the spec point into.
struct Kept {
  std::shared_ptr<const void> texts;
  JsonDocument tokenizer, config, generation, model;
};

class Maker {
 public:
  Result<TokenizerSpec> make(const HfTokenizerTexts& t) {
    kept_->texts = t.keep;
    LUMEN_CHECK(parse("tokenizer.json", t.tokenizer, kept_->tokenizer));
    LUMEN_CHECK(parse("tokenizer_config.json", t.tokenizer_config, kept_->config));
    LUMEN_CHECK(parse("generation_config.json", t.generation_config, kept_->generation));
    LUMEN_CHECK(parse("config.json", t.config, kept_->model));
    const Json& root = kept_->tokenizer.root();
    if (!root.is_object()) return Error{"tokenizer.json: expected an object"};
    const Json* model = root.find("model");
    if (!model || !model->is_object()) return wrong_field("model", "an object");
    bool letters = false, text_letters = false;
    LUMEN_CHECK(tok::read_normalizer(root.find("normalizer"), *pipeline_));
    LUMEN_CHECK(tok::read_pretokenizer(root.find("pre_tokenizer"), *pipeline_, letters));
    LUMEN_CHECK(tok::read_post_processor(root.find("post_processor"), *pipeline_));
    LUMEN_CHECK(tok::read_decoder(root.find("decoder"), spec_, text_letters));
    LUMEN_CHECK(read_vocabulary(*model, root.find("added_tokens")));
    spec_.byte_level = letters;
    LUMEN_CHECK(read_model(*model));
    if (spec_.kind != TokenizerKind::Bpe && letters)
      return Error{"tokenizer.json: pre_tokenizer: ByteLevel goes with a BPE model only"};
    LUMEN_CHECK(read_special());
    LUMEN_CHECK(check_ids());
    spec_.pipeline = pipeline_;
    spec_.storage = kept_;
    return std::move(spec_);
  }

 private:
  static Status parse(const char* name, std::string_view text, JsonDocument& out) {
    if (text.empty()) return ok_status();
    auto parsed = JsonDocument::parse(text);
    if (!parsed) return Error{std::string(name) + ": " + parsed.error().message};
    out = parsed.take();
    return ok_status();
  }

  Status put(std::string_view text, int64_t id, TokenType type, size_t known) {
    if (id < 0 || id > static_cast<int64_t>(known) + kMaxGap)
      return wrong_field("the id of '" + std::string(text.substr(0, 40)) + "'", "a number near those of the other tokens, found " + std::to_string(id));
    size_t at = static_cast<size_t>(id);
    if (at >= spec_.tokens.size()) spec_.tokens.resize(at + 1), spec_.types.resize(at + 1, TokenType::Unused);
    spec_.tokens[at] = text;
    spec_.types[at] = type;
    return ok_status();
  }

  // Unigram keeps [text, score] by place, the others {text: id}.
  Status read_vocabulary(const Json& model, const Json* added) {
    const Json* vocab = model.find("vocab");
    if (!vocab || (!vocab->is_object() && !vocab->is_array())) return wrong_field("model: vocab", "an object or a list");
    size_t count = vocab->is_object() ? vocab->members().size() : vocab->items().size();
    size_t known = count + (added ? added->items().size() : 0);
    spec_.tokens.reserve(known);
    spec_.types.reserve(known);
    for (const JsonMember& m : vocab->members()) {
      if (!m.value.is(Json::Kind::Int)) return wrong_field("model: vocab: '" + std::string(m.key.substr(0, 40)) + "'", "an id");
      LUMEN_CHECK(put(m.key, m.value.as_int(), TokenType::Normal, known));
    }
    for (const Json& item : vocab->items()) {
      auto pair = item.items();
      if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_number()) return wrong_field("model: vocab", "[text, score]");
      LUMEN_CHECK(put(pair[0].as_string(), static_cast<int64_t>(spec_.tokens.size()), TokenType::Normal, known));
      spec_.scores.push_back(static_cast<float>(pair[1].as_double()));
      spec_.exact_scores.push_back(pair[1].as_double());
    }
    if (added && !added->is_array()) return wrong_field("added_tokens", "a list");
    for (const Json& a : added ? added->items() : std::span<const Json>()) {
      const Json* text = a.find("content");
      if (!text || !text->is_string()) return wrong_field("added_tokens: content", "a string");
      AddedToken t;
      int64_t id = int_of(a, "id", -1);
      bool special = bool_of(a, "special", false);
      LUMEN_CHECK(put(text->as_string(), id, special ? TokenType::Control : TokenType::UserDefined, known));
      t.id = static_cast<int32_t>(id);
      t.left_strip = bool_of(a, "lstrip", false);
      t.right_strip = bool_of(a, "rstrip", false);
      t.single_word = bool_of(a, "single_word", false);
      t.normalized = bool_of(a, "normalized", !special);
      pipeline_->added.push_back(t);
    }
    if (!spec_.scores.empty()) spec_.scores.resize(spec_.tokens.size(), 0), spec_.exact_scores.resize(spec_.tokens.size(), 0);
    return ok_status();
  }

  // -1: no token has this text. Linear, for the few that files name.
  int32_t id_of(std::string_view text) const {
    if (text.empty()) return -1;
    auto it = std::find(spec_.tokens.begin(), spec_.tokens.end(), text);
    return it == spec_.tokens.end() ? -1 : static_cast<int32_t>(it - spec_.tokens.begin());
  }

  Status read_model(const Json& m) {
    std::string type = string_of(m, "type");
    if (type.empty()) type = m.find("merges") ? "BPE" : m.find("unk_id") ? "Unigram" : m.find("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
    spec_.unk = id_of(string_of(m, "unk_token"));
    if (type == "BPE") return read_bpe(m);
    if (type == "Unigram") {
      spec_.kind = TokenizerKind::Unigram;
      if (spec_.scores.empty()) return wrong_field("model: vocab", "a list of [text, score]");
      spec_.unk = static_cast<int32_t>(std::clamp<int64_t>(int_of(m, "unk_id", -1), -1, INT32_MAX));
      spec_.byte_fallback = bool_of(m, "byte_fallback", false);
      return ok_status();
    }
    if (type == "WordPiece") {
      spec_.kind = TokenizerKind::WordPiece;
      spec_.add_space_prefix = true;  // decoding: words are joined by spaces
      spec_.subword_prefix = string_of(m, "continuing_subword_prefix", "##");
      spec_.max_word = static_cast<int>(std::clamp<int64_t>(int_of(m, "max_input_chars_per_word", 100), 1, 1 << 20));
      return ok_status();
    }
    if (type == "WordLevel") return spec_.kind = TokenizerKind::WordLevel, spec_.add_space_prefix = true, ok_status();
    return Error{"tokenizer.json: model: unknown type '" + type + "'; expected BPE, Unigram, WordPiece or WordLevel"};
  }

  Status read_bpe(const Json& m) {
    spec_.kind = TokenizerKind::Bpe;
    spec_.ignore_merges = bool_of(m, "ignore_merges", false);
    spec_.byte_fallback = bool_of(m, "byte_fallback", false);
    spec_.fuse_unk = bool_of(m, "fuse_unk", false);
    spec_.subword_prefix = string_of(m, "continuing_subword_prefix");
    spec_.word_suffix = string_of(m, "end_of_word_suffix");
    if (spec_.byte_level && (!spec_.subword_prefix.empty() || !spec_.word_suffix.empty()))
      return Error{"tokenizer.json: model: continuing_subword_prefix and end_of_word_suffix do not go with ByteLevel"};
    const Json* merges = m.find("merges");
    if (!merges || !merges->is_array()) return wrong_field("model: merges", "a list");
    spec_.merges.reserve(merges->items().size());
    for (const Json& item : merges->items()) {
      auto pair = item.items();
      if (pair.size() == 2 && pair[0].is_string() && pair[1].is_string()) {
        spec_.merges.push_back({pair[0].as_string(), pair[1].as_string()});
        continue;
      }
      std::string_view line = item.is_string() ? item.as_string() : std::string_view();
      size_t space = line.size() < 3 ? line.npos : line.find(' ', 1);
      if (space == line.npos || space + 1 == line.size())
        return wrong_field("model: merges: number " + std::to_string(spec_.merges.size()), "two parts");
      spec_.merges.push_back({line.substr(0, space), line.substr(space + 1)});
    }
    return ok_status();
  }

  // A token of tokenizer_config.json: a string, or an object with its content.
  int32_t named(const char* key) const {
    const Json* v = kept_->config.root().find(key);
    if (v && v->is_object()) v = v->find("content");
    return v && v->is_string() ? id_of(v->as_string()) : -1;
  }

  // The ids under `key` of a file: a number or a list of them.
  void add_ids(const JsonDocument& file, const char* key, std::vector<int32_t>& ids) const {
    const Json* v = file.root().find(key);
    if (!v) return;
    auto add = [&](const Json& j) {
      if (j.is(Json::Kind::Int) && j.as_int() >= 0 && j.as_int() < static_cast<int64_t>(spec_.tokens.size())) ids.push_back(static_cast<int32_t>(j.as_int()));
    };
    add(*v);
    for (const Json& j : v->items()) add(j);
  }

  Status read_special() {
    const Json& config = kept_->config.root();
    spec_.bos = named("bos_token");
    spec_.eos = named("eos_token");
    spec_.pad = named("pad_token");
    spec_.sep = named("sep_token");
    spec_.mask = named("mask_token");
    for (const JsonDocument* file : {&kept_->generation, &kept_->model}) {
      std::vector<int32_t> bos, eos;
      add_ids(*file, "bos_token_id", bos);
      add_ids(*file, "eos_token_id", eos);
      if (spec_.bos < 0 && !bos.empty()) spec_.bos = bos[0];
      if (spec_.eos < 0 && !eos.empty()) spec_.eos = eos[0];
      spec_.extra_eog.insert(spec_.extra_eog.end(), eos.begin(), eos.end());
    }
    // These two override what the post-processor says, where they are there.
    std::vector<int32_t>&before = pipeline_->before, &after = pipeline_->after;
    if (const Json* add = config.find("add_bos_token"); add && add->is(Json::Kind::Bool) && spec_.bos >= 0) {
      if (add->as_bool() && before.empty()) before.push_back(spec_.bos);
      if (!add->as_bool()) std::erase(before, spec_.bos);
    }
    if (const Json* add = config.find("add_eos_token"); add && add->is(Json::Kind::Bool) && spec_.eos >= 0) {
      if (add->as_bool() && after.empty()) after.push_back(spec_.eos);
      if (!add->as_bool()) std::erase(after, spec_.eos);
    }
    spec_.add_bos = spec_.bos >= 0 && !before.empty() && before.front() == spec_.bos;
    spec_.add_eos = spec_.eos >= 0 && !after.empty() && after.back() == spec_.eos;
    return ok_status();
  }

  Status check_ids() const {
    auto n = static_cast<int32_t>(spec_.tokens.size());
    for (const auto* ids : {&pipeline_->before, &pipeline_->after})
      for (int32_t id : *ids)
        if (id < 0 || id >= n) return wrong_field("post_processor", "ids below " + std::to_string(n) + ", found " + std::to_string(id));
    if (spec_.unk >= n) return wrong_field("model: unk_id", "an id below " + std::to_string(n));
    return ok_status();
  }

  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
  std::shared_ptr<Pipeline> pipeline_ = std::make_shared<Pipeline>();
  TokenizerSpec spec_;
};

}  // namespace

Result<TokenizerSpec> spec_from_hf(const HfTokenizerTexts& texts) { return Maker().make(texts); }

std::optional<std::string> chat_template_of(const Json& config) {
  const Json* t = config.find("chat_template");
  if (!t) return std::nullopt;
  if (t->is_string()) return std::string(t->as_string());
  std::optional<std::string> first;
  for (const Json& named : t->items()) {
    const Json* text = named.find("template");
    if (!text || !text->is_string()) continue;
    if (tok::string_of(named, "name") == "default") return std::string(text->as_string());
    if (!first) first = std::string(text->as_string());
  }
  return first;
}

}  // namespace lumen
