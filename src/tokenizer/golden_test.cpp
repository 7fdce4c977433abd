// Goldens in tests/golden/tokenizer (made by tests/golden/make_tokenizer.py): two tiny SentencePiece vocabularies that lie there, and
// real ones in GGUF files in the directory LUMEN_TEST_MODELS. Also llama.cpp's own ggml-vocab-*.gguf with their .inp and .out, in
// the directory LUMEN_TEST_VOCABS. What is not there is skipped.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "checkpoint/gguf_reader.h"
#include "tokenizer/bpe.h"
#include "tokenizer/gguf_spec.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace lumen {
namespace {

using Ids = std::vector<int32_t>;

template <class T>
std::optional<T> value_of(Result<T> result) {
  return result.ok() ? std::optional<T>(result.take()) : std::nullopt;
}

class CheckpointMetadata : public MetadataView {
 public:
  explicit CheckpointMetadata(const Checkpoint& c) : c_(c) {}
  bool has(std::string_view key) const override { return c_.find(key) != nullptr; }
  std::optional<std::string_view> get_string(std::string_view key) const override { return value_of(c_.get_string(key)); }
  std::optional<int64_t> get_int(std::string_view key) const override { return value_of(c_.get_int(key)); }
  std::optional<bool> get_bool(std::string_view key) const override { return value_of(c_.get_bool(key)); }
  std::optional<std::vector<std::string_view>> get_strings(std::string_view key) const override { return value_of(c_.get_strings(key)); }
  std::optional<std::vector<int64_t>> get_ints(std::string_view key) const override { return value_of(c_.get_ints(key)); }
  std::optional<std::vector<double>> get_floats(std::string_view key) const override { return value_of(c_.get_floats(key)); }
  std::optional<std::string_view> get_bytes(std::string_view key) const override {
    const MetaValue* v = c_.find(key);
    const bool bytes = v && v->type == MetaType::Array && (v->element == MetaType::U8 || v->element == MetaType::I8);
    return bytes ? std::optional(std::string_view(reinterpret_cast<const char*>(v->data), v->size)) : std::nullopt;
  }

 private:
  const Checkpoint& c_;
};

struct Loaded {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Tokenizer> tokenizer;
};

Loaded load(const std::string& path) {
  Loaded loaded;
  auto file = open_gguf(path, [](uint32_t) { return std::nullopt; });
  EXPECT_TRUE(file.ok()) << file.error().message;
  if (!file.ok()) return loaded;
  loaded.checkpoint = std::make_unique<Checkpoint>(file.take());
  const auto start = std::chrono::steady_clock::now();
  auto spec = spec_from_gguf(CheckpointMetadata(*loaded.checkpoint));
  EXPECT_TRUE(spec.ok()) << path << ": " << spec.error().message;
  if (!spec.ok()) return loaded;
  const auto middle = std::chrono::steady_clock::now();
  auto tokenizer = Tokenizer::create(spec.take());
  EXPECT_TRUE(tokenizer.ok()) << path << ": " << tokenizer.error().message;
  if (!tokenizer.ok()) return loaded;
  const auto end = std::chrono::steady_clock::now();
  loaded.tokenizer = std::make_unique<Tokenizer>(tokenizer.take());
  const auto ms = [](auto d) { return std::chrono::duration<double, std::milli>(d).count(); };
  std::printf("%s: %d tokens, metadata %.1f ms, create %.1f ms\n", std::filesystem::path(path).filename().c_str(), loaded.tokenizer->size(),
              ms(middle - start), ms(end - middle));
  return loaded;
}

std::string unescape(const std::string& line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      out.push_back(line[i]);
      continue;
    }
    switch (line[++i]) {
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'x':
        out.push_back(static_cast<char>(std::stoi(line.substr(i + 1, 2), nullptr, 16))), i += 2;
        break;
      default:
        out.push_back(line[i]);
    }
  }
  return out;
}

Ids numbers(const std::string& text) {
  Ids ids;
  std::istringstream in(text);
  for (int32_t id; in >> id;) ids.push_back(id);
  return ids;
}

void check_golden(const Tokenizer& tokenizer, const std::string& name) {
  const std::string golden = std::string(LUMEN_SOURCE_DIR) + "/tests/golden/tokenizer/" + name + ".txt";
  std::ifstream file(golden);
  ASSERT_TRUE(file) << golden;
  int cases = 0;
  for (std::string text, ids; std::getline(file, text);) {
    if (text.starts_with("#")) continue;
    ASSERT_TRUE(std::getline(file, ids) && ids.starts_with("=")) << golden << ": no ids after " << text;
    const bool special = text.starts_with("S ");
    const Ids ours = tokenizer.encode(unescape(text.substr(2)), {.add_special = special, .parse_special = special});
    EXPECT_EQ(ours, numbers(ids.substr(1))) << text;
    ++cases;
  }
  EXPECT_GT(cases, 100);
}

// Small vocabularies that lie beside their goldens, so these always run.
TEST(SentencePieceGoldens, Unigram) {
  const Loaded loaded = load(std::string(LUMEN_SOURCE_DIR) + "/tests/golden/tokenizer/sentencepiece_unigram.gguf");
  ASSERT_TRUE(loaded.tokenizer);
  check_golden(*loaded.tokenizer, "sentencepiece_unigram");
}
TEST(SentencePieceGoldens, Bpe) {
  const Loaded loaded = load(std::string(LUMEN_SOURCE_DIR) + "/tests/golden/tokenizer/sentencepiece_bpe.gguf");
  ASSERT_TRUE(loaded.tokenizer);
  check_golden(*loaded.tokenizer, "sentencepiece_bpe");
}

class Models : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("LUMEN_TEST_MODELS");
    if (!folder) GTEST_SKIP() << "set LUMEN_TEST_MODELS to a directory with smollm2.gguf, gemma3-270m.gguf, qwen2.5-coder-0.5b.gguf";
    const std::string path = std::string(folder) + "/" + GetParam() + ".gguf";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
    loaded_ = load(path);
    ASSERT_TRUE(loaded_.tokenizer);
  }
  Loaded loaded_;
};

TEST_P(Models, Goldens) { check_golden(*loaded_.tokenizer, GetParam()); }

TEST_P(Models, EveryTextComesBack) {
  const Tokenizer& t = *loaded_.tokenizer;
  // Bytes that this vocabulary has no token for (leads of planes without characters) cannot come back.
  std::string missing;
  for (int byte = 0; byte < 256; ++byte) {
    char hex[8];
    std::snprintf(hex, sizeof hex, "<0x%02X>", byte);
    const bool byte_level = t.spec().kind == TokenizerKind::Bpe;
    if (t.id_of(byte_level ? tok::byte_letter(static_cast<uint8_t>(byte)) : hex) < 0) missing.push_back(static_cast<char>(byte));
  }
  std::mt19937 rng(23);
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    for (size_t n = rng() % 40; n-- > 0;) {
      uint32_t code = rng() % 2 ? rng() % 128 : rng() % 4 ? 0xAC00 + rng() % 11172 : rng() % 0x110000;
      if (code >= 0xD800 && code <= 0xDFFF) code = '\n';
      std::string character;
      tok::append_utf8(character, code);
      if (character.find_first_of(missing) == std::string::npos) text += character;
    }
    const std::string expected = tok::normalize(text, t.spec().normalization);
    const Ids ids = t.encode(text, {.add_special = true, .parse_special = false});
    ASSERT_EQ(t.decode(ids), expected) << ::testing::PrintToString(text);
    StreamDecoder stream(t);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    ASSERT_EQ(streamed + stream.finish(), expected);
  }
  EXPECT_LT(missing.size(), 32u);
}

TEST_P(Models, KnowsWhereGenerationEnds) {
  const Tokenizer& t = *loaded_.tokenizer;
  EXPECT_TRUE(t.is_eog(t.spec().eos));
  const char* const turn = t.id_of("<|im_end|>") >= 0 ? "<|im_end|>" : "<end_of_turn>";
  EXPECT_TRUE(t.is_eog(t.id_of(turn)));
  EXPECT_FALSE(t.is_eog(t.encode("Paris", {.add_special = false})[0]));
  for (const int32_t id : t.eog()) EXPECT_TRUE(t.is_special(id)) << t.text(id);
}

TEST_P(Models, Speed) {
  const Tokenizer& t = *loaded_.tokenizer;
  std::string text;
  std::mt19937 rng(29);
  for (int i = 0; i < 20000; ++i) {
    std::string word(1, ' ');
    for (size_t n = 1 + rng() % 8; n-- > 0;) word.push_back(static_cast<char>('a' + rng() % 26));
    text += i % 9 == 0 ? " 한국어\n" : word;
  }
  const auto start = std::chrono::steady_clock::now();
  const size_t count = t.encode(text).size();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%s: %zu bytes, %zu tokens, %.1f MB/s\n", GetParam(), text.size(), count, static_cast<double>(text.size()) / 1e6 / seconds);
  EXPECT_LT(seconds, 5);
}

INSTANTIATE_TEST_SUITE_P(Gguf, Models, ::testing::Values("smollm2", "gemma3-270m", "qwen2.5-coder-0.5b"), [](const auto& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

std::string slurp(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

TEST(LlamaCppVocabularies, GiveTheirExpectations) {
  const char* folder = std::getenv("LUMEN_TEST_VOCABS");
  if (!folder) GTEST_SKIP() << "set LUMEN_TEST_VOCABS to llama.cpp's models directory (ggml-vocab-*.gguf, .inp, .out)";
  const std::string mark = "\n__ggml_vocab_test__\n";
  int vocabularies = 0;
  for (const char* name : {"gpt-2", "llama-bpe", "llama-spm", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder", "falcon", "mpt",
                           "refact", "starcoder", "command-r", "phi-3", "gemma-4"}) {
    const std::string path = std::string(folder) + "/ggml-vocab-" + name + ".gguf";
    if (!std::filesystem::exists(path) || !std::filesystem::exists(path + ".inp") || !std::filesystem::exists(path + ".out")) continue;
    const Loaded loaded = load(path);
    ASSERT_TRUE(loaded.tokenizer);
    std::string inputs = slurp(path + ".inp");
    std::istringstream outputs(slurp(path + ".out"));
    int cases = 0;
    for (std::string ids; std::getline(outputs, ids); ++cases) {
      const size_t end = inputs.find(mark);
      const std::string text = inputs.substr(0, end);
      inputs.erase(0, end == inputs.npos ? end : end + mark.size());
      // llama.cpp leaves out the normalisation that this model's own tokenizer does.
      if (tok::normalize(text, loaded.tokenizer->spec().normalization) != text) continue;
      EXPECT_EQ(loaded.tokenizer->encode(text, {.add_special = false, .parse_special = false}), numbers(ids))
          << name << ": " << ::testing::PrintToString(text);
    }
    EXPECT_GT(cases, 30) << name;
    ++vocabularies;
  }
  std::printf("%d vocabularies\n", vocabularies);
  EXPECT_GT(vocabularies, 0);
}

}  // namespace
}  // namespace lumen
