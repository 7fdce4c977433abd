// The hand-written splitters against PCRE2 on the same patterns, over random text; the regex helper; named pre-tokenizers.
#include "tokenizer/splitters.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer/pretokenizer.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode.h"

namespace lumen::tok {
namespace {

std::vector<std::string_view> split_with_pcre(const Regex& regex, std::string_view text) {
  std::vector<std::string_view> pieces;
  size_t done = 0;
  Regex::Match m;
  while (done < text.size() && regex.find(text, done, m)) {
    if (m.begin > done) pieces.push_back(text.substr(done, m.begin - done));
    pieces.push_back(text.substr(m.begin, m.end - m.begin));
    done = m.end;
  }
  if (done < text.size()) pieces.push_back(text.substr(done));
  return pieces;
}

// Characters that stand at the patterns' borders, and ordinary ones. Only code points that PCRE2's and utf8proc's versions of
// Unicode class alike can be compared.
std::vector<uint32_t> alphabet() {
  std::vector<uint32_t> codes;
  const auto letter = *Regex::compile(R"(^\p{L}$)"), number = *Regex::compile(R"(^\p{N}$)"), mark = *Regex::compile(R"(^\p{M}$)");
  size_t differ = 0;
  for (uint32_t code = 1; code <= 0x10FFFF; code += code < 0x3100 ? 1 : 97) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, code);
    Regex::Match m;
    const CharClass ours = classify(code);
    const bool same = letter.find(text, 0, m) == (ours == kLetter) && number.find(text, 0, m) == (ours == kNumber) &&
                      mark.find(text, 0, m) == (ours == kMark);
    if (same) {
      codes.push_back(code);
    } else {
      ++differ;
    }
  }
  EXPECT_LT(differ, 200u);  // newly assigned characters only
  EXPECT_GT(codes.size(), 20000u);
  return codes;
}

std::string random_text(std::mt19937& rng, const std::vector<uint32_t>& codes) {
  static const std::u32string kBorder = U"  \t\n\r\n''sStTdDmMlLrReEvV019aZ한.,!_-/\u00a0\u3000\u0301\u017f\u2028\u0085\u180e½";
  std::string text;
  const size_t length = rng() % 24;
  for (size_t i = 0; i < length; ++i) append_utf8(text, rng() % 8 ? kBorder[rng() % kBorder.size()] : codes[rng() % codes.size()]);
  return text;
}

const char* const kPatterns[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"(\p{N})",
    R"([^\n]+|[\n]+)",
};

TEST(Splitters, DoWhatTheirPatternsSay) {
  const std::vector<uint32_t> codes = alphabet();
  for (const char* pattern : kPatterns) {
    const auto splitter = known_splitter(pattern);
    ASSERT_TRUE(splitter) << pattern;
    const auto regex = Regex::compile(pattern);
    ASSERT_TRUE(regex.ok());
    std::mt19937 rng(7);
    for (int i = 0; i < 20000; ++i) {
      const std::string text = random_text(rng, codes);
      std::vector<std::string_view> ours;
      split(*splitter, text, ours);
      ASSERT_EQ(ours, split_with_pcre(*regex, text)) << pattern << "\n" << ::testing::PrintToString(text);
    }
  }
}

TEST(Splitters, OtherPatternsAreNotKnown) {
  EXPECT_FALSE(known_splitter(R"(\p{L}+)"));
  EXPECT_FALSE(known_splitter(""));
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  const auto regex = Regex::compile(R"(\s+|[^\s]+|\S)");
  ASSERT_TRUE(regex.ok());
  Regex::Match m;
  ASSERT_TRUE(regex->find("\u180ea b", 0, m));
  EXPECT_EQ(m.end, 4u);  // U+180E is no space
  ASSERT_TRUE(regex->find("\u3000\u0085x", 0, m));
  EXPECT_EQ(m.end, 5u);
  EXPECT_EQ(spell_out_whitespace(R"([]\]\\]\\)"), R"([]\]\\]\\)");
}

TEST(Regex, SaysWhatIsWrong) {
  const auto regex = Regex::compile("a(b");
  ASSERT_FALSE(regex.ok());
  EXPECT_NE(regex.error().message.find("'a(b'"), std::string::npos);
}

// A pattern that backtracks without end must give up and come back.
TEST(Regex, RunawayPatternsEnd) {
  const auto regex = Regex::compile("(a+a+)+(a*)*b$");
  ASSERT_TRUE(regex.ok());
  Regex::Match m;
  EXPECT_FALSE(regex->find(std::string(60, 'a') + "!", 0, m));
}

std::vector<std::string> cut(std::vector<SplitRule> rules, std::string_view text) {
  const auto pretokenizer = Pretokenizer::create(rules);
  EXPECT_TRUE(pretokenizer.ok());
  std::vector<std::string_view> words;
  pretokenizer->split(text, words);
  return {words.begin(), words.end()};
}

TEST(Pretokenizer, StagesCutWhatTheOnesBeforeLeft) {
  EXPECT_EQ(cut({{R"(\p{N})"}, {R"( ?\p{L}+)"}}, "ab 12c"), (std::vector<std::string>{"ab", " ", "1", "2", "c"}));
  EXPECT_EQ(cut({{R"(\p{N}+)", true}}, "ab 12c3"), (std::vector<std::string>{"12", "3"}));
  EXPECT_EQ(cut({{R"(\p{N})", true}}, "a12"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(cut({{R"((?=(\d{3})+(?!\d)))"}}, "x12345678"), (std::vector<std::string>{"x12", "345", "678"}));  // empty matches cut
  EXPECT_EQ(cut({}, "a b"), (std::vector<std::string>{"a b"}));
  EXPECT_TRUE(cut({{"a"}}, "").empty());
}

TEST(Pretokenizer, EveryNameCompilesAndLosesNothing) {
  const std::string text = "Hello, wörld! 한국어 123456 don't\n\n  x\t漢字カナ <a@b.c> IMGIMGAZ ½ \u0e01\u0e33 ''\r\n ";
  int names = 0;
  for (const char* name : {"gpt-2",    "smollm",   "llama-bpe",  "dbrx",     "glm4",         "qwen2",          "deepseek-r1-qwen",
                           "qwen35",   "ufakzeka", "laguna",     "minicpm5", "deepseek-llm", "deepseek-coder", "deepseek-v3",
                           "spark2_5", "falcon",   "default",    "tekken",   "gpt-4o",       "tiny_aya",       "youtu",
                           "bloom",    "viking",   "chameleon",  "jais-2",   "superbpe",     "bailingmoe",     "seed-coder",
                           "exaone",   "exaone4",  "exaone-moe", "gemma4",   "sarvam-moe"}) {
    const auto named = named_pretokenizer(name);
    ASSERT_TRUE(named) << name;
    std::vector<SplitRule> rules;
    for (const std::string& p : named->patterns) rules.push_back({p});
    std::string joined;
    for (const std::string& word : cut(rules, text)) joined += word;
    EXPECT_EQ(joined, text) << name;
    ++names;
  }
  EXPECT_EQ(names, 33);
  EXPECT_FALSE(named_pretokenizer("gpt"));
  EXPECT_FALSE(named_pretokenizer(""));
  EXPECT_FALSE(named_pretokenizer("gpt-2 phi-2"));
}

}  // namespace
}  // namespace lumen::tok
