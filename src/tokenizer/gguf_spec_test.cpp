// spec_from_gguf over metadata made here: defaults that GGUF leaves unsaid, and one clear line for each kind of bad metadata.
#include "tokenizer/gguf_spec.h"

#include <gtest/gtest.h>

#include <map>
#include <variant>

#include "tokenizer/tokenizer.h"

namespace lumen {
namespace {

using Strings = std::vector<std::string_view>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<double>;
using Value = std::variant<std::string_view, int64_t, bool, Strings, Ints, Floats>;

class FakeMetadata : public MetadataView {
 public:
  std::map<std::string, Value, std::less<>> values;
  Value& operator[](const char* name) { return values[std::string("tokenizer.ggml.") + name]; }
  bool has(std::string_view key) const override { return values.find(key) != values.end(); }
  std::optional<std::string_view> get_string(std::string_view key) const override { return get<std::string_view>(key); }
  std::optional<int64_t> get_int(std::string_view key) const override { return get<int64_t>(key); }
  std::optional<bool> get_bool(std::string_view key) const override { return get<bool>(key); }
  std::optional<Strings> get_strings(std::string_view key) const override { return get<Strings>(key); }
  std::optional<Ints> get_ints(std::string_view key) const override { return get<Ints>(key); }
  std::optional<Floats> get_floats(std::string_view key) const override { return get<Floats>(key); }
  std::optional<std::string_view> get_bytes(std::string_view key) const override { return get<std::string_view>(key); }

 private:
  template <class T>
  std::optional<T> get(std::string_view key) const {
    const auto it = values.find(key);
    if (it == values.end() || !std::holds_alternative<T>(it->second)) return std::nullopt;
    return std::get<T>(it->second);
  }
};

FakeMetadata bpe() {
  FakeMetadata m;
  m["model"] = std::string_view("gpt2");
  m["pre"] = std::string_view("llama-bpe");
  m["tokens"] = Strings{"a", "b", "ab", "<s>"};
  m["token_type"] = Ints{1, 1, 1, 3};
  m["merges"] = Strings{"a b"};
  return m;
}
FakeMetadata sentencepiece() {
  FakeMetadata m;
  m["model"] = std::string_view("llama");
  m["tokens"] = Strings{"<unk>", "<s>", "</s>", "a"};
  m["scores"] = Floats{0, 0, 0, -1};
  m["token_type"] = Ints{2, 3, 3, 1};
  return m;
}

TEST(GgufSpec, BytePairs) {
  FakeMetadata m = bpe();
  const auto spec = spec_from_gguf(m);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->kind, TokenizerKind::Bpe);
  EXPECT_TRUE(spec->ignore_merges && spec->byte_level && !spec->add_bos);  // bos by default, but none is named
  ASSERT_EQ(spec->merges.size(), 1u);
  EXPECT_EQ(spec->merges[0].right, "b");
  m["bos_token_id"] = int64_t{3};
  EXPECT_TRUE(spec_from_gguf(m)->add_bos);
  m["add_bos_token"] = false;
  EXPECT_FALSE(spec_from_gguf(m)->add_bos);
  m["eos_token_id"] = int64_t{0xFFFFFFFF};  // written for "none"
  EXPECT_EQ(spec_from_gguf(m)->eos, -1);
  const auto t = Tokenizer::create(*spec_from_gguf(m));
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->encode("ab"), std::vector<int32_t>{2});
}

TEST(GgufSpec, NoPreTokenizerMeansTheDefault) {
  FakeMetadata m = bpe();
  m.values.erase("tokenizer.ggml.pre");
  EXPECT_EQ(spec_from_gguf(m)->rules.size(), 4u);
}

TEST(GgufSpec, SentencePiece) {
  FakeMetadata m = sentencepiece();
  const auto spec = spec_from_gguf(m);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->kind, TokenizerKind::SentencePiece);
  EXPECT_TRUE(spec->add_bos && spec->add_space_prefix && spec->escape_spaces && !spec->add_eos);
  EXPECT_EQ(spec->unk, 0);
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->eos, 2);
  EXPECT_EQ(spec->types[3], TokenType::Normal);
  m["add_space_prefix"] = false;
  EXPECT_FALSE(spec_from_gguf(m)->add_space_prefix);
}

void expect_error(const FakeMetadata& m, const char* key, const char* what) {
  const auto spec = spec_from_gguf(m);
  ASSERT_FALSE(spec.ok()) << key;
  const std::string& message = spec.error().message;
  EXPECT_EQ(message.find(std::string("tokenizer.ggml.") + key), 0u) << message;
  EXPECT_NE(message.find(what), std::string::npos) << message;
}

TEST(GgufSpec, SaysWhichKeyIsWrong) {
  const auto changed = [](FakeMetadata m, const char* key, Value value) {
    m[key] = std::move(value);
    return m;
  };
  const auto without = [](FakeMetadata m, const char* key) {
    m.values.erase(std::string("tokenizer.ggml.") + key);
    return m;
  };
  expect_error(FakeMetadata(), "model", "missing");
  expect_error(changed(bpe(), "model", int64_t{1}), "model", "a string");
  expect_error(changed(bpe(), "model", std::string_view("rwkv")), "model", "'rwkv'");
  expect_error(changed(bpe(), "pre", std::string_view("nope")), "pre", "'nope'");
  expect_error(without(bpe(), "tokens"), "tokens", "missing");
  expect_error(changed(bpe(), "tokens", Ints{1}), "tokens", "an array of strings");
  expect_error(changed(bpe(), "token_type", Ints{1}), "token_type", "4 numbers");
  expect_error(changed(bpe(), "token_type", Strings{"x"}), "token_type", "an array of integers");
  expect_error(changed(sentencepiece(), "scores", Floats{1}), "scores", "4 numbers");
  expect_error(without(bpe(), "merges"), "merges", "missing");
  expect_error(changed(bpe(), "merges", Strings{"a b", "ab"}), "merges", "merge 1");
  expect_error(changed(bpe(), "merges", Strings{"a "}), "merges", "merge 0");
  expect_error(changed(bpe(), "eos_token_id", int64_t{4}), "eos_token_id", "below 4, found 4");
  expect_error(changed(bpe(), "eos_token_id", int64_t{-2}), "eos_token_id", "found -2");
  expect_error(changed(bpe(), "eos_token_id", true), "eos_token_id", "a token id");
  expect_error(changed(bpe(), "add_bos_token", int64_t{1}), "add_bos_token", "true or false");
}

TEST(GgufSpec, OddTypesAndMissingScores) {
  FakeMetadata m = sentencepiece();
  m["token_type"] = Ints{2, 3, 99, -1};
  EXPECT_EQ(spec_from_gguf(m)->types[2], TokenType::Undefined);
  m.values.erase("tokenizer.ggml.scores");
  const auto made = Tokenizer::create(*spec_from_gguf(m));
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find("no scores"), std::string::npos);
}

}  // namespace
}  // namespace lumen
