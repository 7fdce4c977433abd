// tokenizer.json files against what Hugging Face's `tokenizers` makes of them: tests/golden/tokenizer/hf, written by
// make_hf_tokenizer.py. Small files are there; real ones are read from $LUMEN_TEST_TOKENIZERS/NAME/tokenizer.json, else skipped.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tokenizer/hf_spec.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace lumen {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    char c = text[++i];
    if (c == 'x') {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
    }
  }
  return out;
}

Result<Tokenizer> load(const fs::path& json, std::string config = "") {
  auto text = std::make_shared<std::pair<std::string, std::string>>(read_file(json), std::move(config));
  HfTokenizerTexts t;
  t.tokenizer = text->first;
  t.tokenizer_config = text->second;
  t.keep = text;
  LUMEN_TRY(spec, spec_from_hf(t));
  return Tokenizer::create(std::move(spec));
}

// Ids of every text, and the texts of the ids.
void check(const fs::path& json, const fs::path& golden) {
  auto t = load(json);
  ASSERT_TRUE(t) << t.error().message;
  std::ifstream in(golden);
  ASSERT_TRUE(in) << golden;
  int count = 0, wrong = 0;
  for (std::string line, ids_line, back; std::getline(in, line) && std::getline(in, ids_line) && std::getline(in, back); ++count) {
    ASSERT_TRUE((line[0] == 'S' || line[0] == 'T') && ids_line[0] == '=' && back[0] == '>') << line;
    std::string text = unescape(std::string_view(line).substr(2));
    std::vector<int32_t> want;
    std::istringstream numbers(ids_line.substr(1));
    for (int32_t id; numbers >> id;) want.push_back(id);
    std::vector<int32_t> got = t->encode(text, {line[0] == 'S', true});
    EXPECT_EQ(got, want) << line;
    // Decoding replaces what is no UTF-8, byte by byte or run by run; texts with such bytes are left to the stream decoder's test.
    std::string decoded = t->decode(want, false), expected = unescape(std::string_view(back).substr(2));
    bool other = tok::is_valid_utf8(decoded) && decoded != expected;
    EXPECT_FALSE(other) << "decoded from " << line << ": '" << decoded << "', not '" << expected << "'";
    if ((got != want || other) && ++wrong > 8) FAIL() << "more of the same";
  }
  EXPECT_GT(count, 50);
}

std::vector<fs::path> files(const char* extension) {
  std::vector<fs::path> out;
  for (const auto& e : fs::directory_iterator(fs::path(LUMEN_SOURCE_DIR) / "tests/golden/tokenizer/hf"))
    if (e.path().extension() == extension) out.push_back(e.path());
  return out;
}

TEST(HfTokenizer, SmallFiles) {
  auto all = files(".json");
  EXPECT_GE(all.size(), 13u);
  for (const fs::path& json : all) {
    SCOPED_TRACE(json.filename().string());
    check(json, fs::path(json).replace_extension(".txt"));
  }
}

TEST(HfTokenizer, RealFiles) {
  const char* dir = std::getenv("LUMEN_TEST_TOKENIZERS");
  if (!dir) GTEST_SKIP() << "LUMEN_TEST_TOKENIZERS names no directory of tokenizers";
  int found = 0;
  for (const fs::path& golden : files(".txt")) {
    fs::path json = fs::path(dir) / golden.stem() / "tokenizer.json";
    if (!fs::exists(json)) continue;
    SCOPED_TRACE(golden.stem().string());
    check(json, golden);
    ++found;
  }
  if (found == 0) GTEST_SKIP() << dir << " holds no tokenizer that a golden is for";
}

constexpr const char* kSmall = R"({"added_tokens": [{"id": 0, "content": "<s>", "special": true}, {"id": 1, "content": "</s>", "special": true}],
  "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": ["a b"]}})";

Result<Tokenizer> small(std::string json, std::string config = "", std::string generation = "") {
  auto text = std::make_shared<std::vector<std::string>>(std::vector<std::string>{std::move(json), std::move(config), std::move(generation)});
  HfTokenizerTexts t;
  t.tokenizer = (*text)[0];
  t.tokenizer_config = (*text)[1];
  t.generation_config = (*text)[2];
  t.keep = text;
  LUMEN_TRY(spec, spec_from_hf(t));
  return Tokenizer::create(std::move(spec));
}

TEST(HfTokenizer, ConfigNamesSpecialTokens) {
  auto t = small(kSmall, R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": true})", R"({"eos_token_id": [1, 2]})");
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ(t->spec().bos, 0);
  EXPECT_EQ(t->spec().eos, 1);
  EXPECT_EQ(t->encode("ab"), (std::vector<int32_t>{0, 4}));
  EXPECT_EQ(t->encode("ab", {false, true}), (std::vector<int32_t>{4}));
  EXPECT_TRUE(t->is_eog(1));
  EXPECT_TRUE(t->is_eog(2));
  EXPECT_EQ(t->encode("a</s>", {false, true}), (std::vector<int32_t>{2, 1}));
  EXPECT_EQ(t->encode("a</s>", {false, false}), (std::vector<int32_t>{2}));  // and nothing that the vocabulary lacks
}

TEST(HfTokenizer, MistakesAreNamed) {
  auto refused = [](const std::string& json, const char* part) {
    auto t = small(json);
    ASSERT_FALSE(t) << json;
    EXPECT_NE(t.error().message.find(part), std::string::npos) << t.error().message;
  };
  refused("[1]", "object");
  refused("{", "tokenizer.json: JSON line 1");
  refused("{}", "model");
  refused(R"({"model": {"type": "XYZ", "vocab": {"a": 0}}})", "unknown type 'XYZ'");
  refused(R"({"model": {"type": "BPE", "vocab": {"a": 0}}})", "merges");
  refused(R"({"model": {"type": "BPE", "vocab": {"a": 4000000000}, "merges": []}})", "the id of 'a'");
  refused(R"({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}})", "the id of 'a'");
  refused(R"({"model": {"type": "BPE", "vocab": {"a": "x"}, "merges": []}})", "'a'");
  refused(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}})", "merges: number 0");
  refused(R"({"model": {"type": "Unigram", "vocab": [["a"]]}})", "[text, score]");
  refused(R"({"model": {"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.5]]}})", "unk_id");
  auto stage = [&](const std::string& stage, const char* part) {
    refused("{" + stage + R"(, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})", part);
  };
  stage(R"("normalizer": {"type": "Odd"})", "normalizer: unknown type 'Odd'");
  stage(R"("normalizer": {"type": "Replace"})", "pattern");
  stage(R"("normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"})", "character map");
  stage(R"("pre_tokenizer": {"type": "Odd"})", "pre_tokenizer: unknown type 'Odd'");
  stage(R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})", "(");
  stage(R"("pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"})", "unknown behavior 'Odd'");
  stage(R"("pre_tokenizer": {"type": "Sequence"})", "pretokenizers");
  stage(R"("post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]})", "<s>");
  stage(R"("post_processor": {"type": "BertProcessing", "sep": ["x", 9], "cls": ["y", 9]})", "ids below 1");
  stage(R"("decoder": {"type": "CTC"})", "decoder: unknown type 'CTC'");
  stage(R"("added_tokens": 7)", "added_tokens");
}

TEST(HfTokenizer, ChatTemplate) {
  auto of = [](const std::string& json) {
    auto d = JsonDocument::parse(json);
    return chat_template_of(d->root());
  };
  EXPECT_EQ(of(R"({"chat_template": "x"})"), "x");
  EXPECT_EQ(of(R"({"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]})"), "d");
  EXPECT_EQ(of(R"({"chat_template": [{"name": "rag", "template": "r"}]})"), "r");
  EXPECT_EQ(of("{}"), std::nullopt);
}

}  // namespace
}  // namespace lumen
