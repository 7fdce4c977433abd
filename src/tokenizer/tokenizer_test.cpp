// Encoding and decoding with small vocabularies made here: merges, scores, unigram paths, special tokens, errors.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "tokenizer/tokenizer_test_vocabulary.h"
#include "tokenizer/unicode.h"

namespace lumen {
namespace {

using Ids = std::vector<int32_t>;
constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};

std::string random_utf8(std::mt19937& rng, size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) {
    uint32_t code = rng() % 3 ? rng() % 128 : rng() % 0x110000;
    if (code >= 0xD800 && code <= 0xDFFF) code = ' ';
    tok::append_utf8(text, code);
  }
  return text;
}

TEST(Bpe, MergesByRankThenFromTheLeft) {
  const Tokenizer t = make_byte_level();
  const auto id = [&](const char* text) { return t.id_of(text); };
  EXPECT_EQ(t.encode("hello", kPlain), Ids{id("hello")});
  EXPECT_EQ(t.encode(" hello", kPlain), Ids{id("Ġhello")});
  EXPECT_EQ(t.encode("helo", kPlain), (Ids{id("he"), id("lo")}));  // l+o ranks before he+l
  EXPECT_EQ(t.encode("her", kPlain), (Ids{id("h"), id("er")}));    // e+r before h+e
  EXPECT_EQ(t.encode("", kPlain), Ids{});
}

TEST(Bpe, BeginsWithBosWhereTheModelWantsIt) {
  const Tokenizer t = make_byte_level();
  EXPECT_EQ(t.encode("h"), (Ids{256, t.id_of("h")}));
  EXPECT_EQ(t.encode(""), Ids{256});
}

// Short words and long ones take different roads to the same ids.
TEST(Bpe, LongWordsAgreeWithShortOnes) {
  const Tokenizer t = make_byte_level();
  std::mt19937 rng(5);
  for (int i = 0; i < 200; ++i) {
    std::string word;
    while (word.size() < 60) word += "helor"[rng() % 5];
    // A letter that merges with nothing splits the long word into parts that must come out as they do alone.
    std::string joined;
    Ids expected;
    for (int part = 0; part < 4; ++part) {
      std::string piece = word.substr(0, 20 + rng() % 40);
      for (const int32_t id : t.encode(piece, kPlain)) expected.push_back(id);
      expected.push_back(t.id_of("x"));
      joined += piece + "x";
      std::shuffle(word.begin(), word.end(), rng);
    }
    EXPECT_EQ(t.encode(joined, kPlain), expected) << joined;
  }
}

TEST(Bpe, EveryTextComesBack) {
  const Tokenizer t = make_byte_level();
  std::mt19937 rng(11);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_utf8(rng, rng() % 60);
    EXPECT_EQ(t.decode(t.encode(text, kPlain)), text);
  }
  const std::string repeated = random_utf8(rng, 4000) + " hello her" + random_utf8(rng, 10) + std::string(500, ' ');
  EXPECT_EQ(t.decode(t.encode(repeated + repeated, kPlain)), repeated + repeated);  // through the word cache
}

TEST(Bpe, WordCacheChangesNothing) {
  const Tokenizer t = make_byte_level();
  std::string text;
  Ids expected;
  for (int i = 0; i < 500; ++i) {
    const char* const words[] = {" hello", " her", " x", " helo", " lol", "!?"};
    const std::string word = words[static_cast<size_t>(i * i + i / 7) % 6];
    text += word;
    for (const int32_t id : t.encode(word, kPlain)) expected.push_back(id);
  }
  EXPECT_EQ(t.encode(text, kPlain), expected);
}

TEST(Bpe, BrokenBytesAreReplacementCharacters) {
  const Tokenizer t = make_byte_level();
  EXPECT_EQ(t.decode(t.encode("a\xFF\xE2\x82z", kPlain)), "a\uFFFD\uFFFD\uFFFDz");
}

TEST(Bpe, MergesWhoseTokensAreMissingEndAsBytes) {
  SpecBuilder b = byte_level_builder();
  b.merge("q", "r", false);
  b.merge("qr", "s");  // a token made from a part that is none
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_EQ(t.encode("qr", kPlain), (Ids{t.id_of("q"), t.id_of("r")}));
  EXPECT_EQ(t.encode("qrs", kPlain), Ids{t.id_of("qrs")});
}

TEST(Bpe, WholeWordsCanWinOverMerges) {
  SpecBuilder b = byte_level_builder();
  const int32_t word = b.token("olleh");
  EXPECT_EQ(Tokenizer::create(b.spec)->encode("olleh", kPlain).size(), 5u);
  b.spec.ignore_merges = true;
  EXPECT_EQ(Tokenizer::create(b.spec)->encode("olleh", kPlain), Ids{word});
  b.spec.types[static_cast<size_t>(word)] = TokenType::Control;  // plain text never becomes a control token
  EXPECT_EQ(Tokenizer::create(b.spec)->encode("olleh", kPlain).size(), 5u);
}

TEST(Bpe, RawUtf8FallsBackToBytes) {
  SpecBuilder b;
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    b.token(text);
  }
  b.token("▁");
  b.token("a");
  b.token("\n");
  const int32_t two = b.token("\n\n");
  b.merge("▁", "a");
  b.spec.byte_level = false;
  b.spec.escape_spaces = b.spec.newline_runs = true;
  b.spec.rules = {{"[^\\n]+|[\\n]+"}};
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_EQ(t.encode(" a한", kPlain), (Ids{t.id_of("▁a"), 0xED, 0x95, 0x9C}));
  EXPECT_EQ(t.encode("\n\n", kPlain), Ids{two});
  EXPECT_EQ(t.decode(t.encode("a a  한\n\n\U0001F600", kPlain)), "a a  한\n\n\U0001F600");
  EXPECT_EQ(t.type(0x41), TokenType::Byte);
}

TEST(Special, FoundInTextLongestFirst) {
  SpecBuilder b = byte_level_builder();
  const int32_t longer = b.token("<bos>>", TokenType::Control);
  const Tokenizer t = tokenizer_of(b.spec);
  const EncodeOptions parse{.add_special = false, .parse_special = true};
  EXPECT_EQ(t.encode("<bos>>", parse), Ids{longer});
  EXPECT_EQ(t.encode("h<end><bos>h", parse), (Ids{t.id_of("h"), 257, 256, t.id_of("h")}));
  EXPECT_EQ(t.encode("<en", parse).size(), 3u);
  EXPECT_EQ(t.encode("<end>", kPlain).size(), 5u);  // not parsed: five letters
  EXPECT_EQ(t.encode("<user>", kPlain), Ids{258});  // user-defined: always
  EXPECT_EQ(t.decode(t.encode("<end>", kPlain)), "<end>");
  EXPECT_EQ(t.decode(Ids{t.id_of("h"), 257, 258}), "h<user>");
  EXPECT_EQ(t.decode(Ids{t.id_of("h"), 257, 258}, false), "h<end><user>");
}

TEST(Special, SwallowsWhitespaceWhereAsked) {
  SpecBuilder b = byte_level_builder();
  b.spec.strip_left = {257};
  b.spec.strip_right = {257, 256};
  const Tokenizer t = tokenizer_of(b.spec);
  const int32_t h = t.id_of("h"), space = t.id_of("Ġ");
  const EncodeOptions parse{.add_special = false, .parse_special = true};
  EXPECT_EQ(t.encode("h \n<end>\t h", parse), (Ids{h, 257, h}));
  EXPECT_EQ(t.encode("h <bos> h", parse), (Ids{h, space, 256, h}));
  EXPECT_EQ(t.encode(" <end>  ", parse), Ids{257});
}

TEST(Special, EndOfGeneration) {
  SpecBuilder b = byte_level_builder();
  const int32_t im_end = b.token("<|im_end|>");  // mislabelled as normal
  const int32_t turn = b.token("<end_of_turn>", TokenType::Control);
  const int32_t html = b.token("</s>", TokenType::UserDefined);
  const int32_t file = b.token("<|file_sep|>", TokenType::Control);
  const int32_t own = b.token("<stop>", TokenType::Control);
  b.spec.extra_eog = {own};
  const Tokenizer t = tokenizer_of(b.spec);
  for (const int32_t id : {257, im_end, turn, file, own}) EXPECT_TRUE(t.is_eog(id)) << id;
  for (const int32_t id : {256, 258, html, 0, -1, 1 << 20}) EXPECT_FALSE(t.is_eog(id)) << id;
  EXPECT_EQ(t.type(im_end), TokenType::Control);
  EXPECT_EQ(t.spec().eot, im_end);
  EXPECT_EQ(t.eog().size(), 5u);
}

TEST(Special, HarmonyMessagesDoNotEndTheTurn) {
  SpecBuilder b = byte_level_builder();
  const int32_t end = b.token("<|end|>", TokenType::Control);
  EXPECT_TRUE(Tokenizer::create(b.spec)->is_eog(end));
  const int32_t ret = b.token("<|return|>", TokenType::Control), call = b.token("<|call|>", TokenType::Control);
  const int32_t channel = b.token("<|channel|>", TokenType::Control);
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_FALSE(t.is_eog(end));
  EXPECT_TRUE(t.is_eog(ret) && t.is_eog(call));
  EXPECT_FALSE(t.is_special(channel));
}

TEST(SentencePiece, MergesByScore) {
  const Tokenizer t = make_sentencepiece();
  EXPECT_EQ(t.encode("hello", kPlain), Ids{t.id_of("▁hello")});
  EXPECT_EQ(t.encode("hell", kPlain), (Ids{t.id_of("▁h"), t.id_of("el"), t.id_of("l")}));
  EXPECT_EQ(t.encode(""), Ids{1});
  EXPECT_EQ(t.decode(t.encode("hello  hello")), "hello  hello");
}

TEST(SentencePiece, FallsBackToBytes) {
  const Tokenizer t = make_sentencepiece();
  EXPECT_EQ(t.encode("한", kPlain), (Ids{t.id_of("▁"), 3 + 0xED, 3 + 0x95, 3 + 0x9C}));
  EXPECT_EQ(t.encode("\xFFh", kPlain), (Ids{t.id_of("▁"), 3 + 0xFF, t.id_of("h")}));  // a broken byte is kept
  std::mt19937 rng(13);
  for (int i = 0; i < 1000; ++i) {
    const std::string text = random_utf8(rng, rng() % 40);
    EXPECT_EQ(t.decode(t.encode(text, kPlain)), text);
  }
}

// "<s" + ">" would make the text of a control token; plain text must not.
TEST(SentencePiece, PlainTextNeverBecomesAControlToken) {
  const Tokenizer t = make_sentencepiece();
  EXPECT_EQ(t.encode("<s>", kPlain), (Ids{t.id_of("▁"), t.id_of("<s"), t.id_of(">")}));
  EXPECT_EQ(t.encode("<0x41>", kPlain).size(), 7u);
  EXPECT_EQ(t.encode("<s>h", {.add_special = false}), (Ids{1, t.id_of("▁h")}));
  EXPECT_EQ(t.encode("h@@h", kPlain), (Ids{t.id_of("▁h"), t.id_of("@@"), t.id_of("▁h")}));
}

TEST(SentencePiece, UnusedPiecesAreTakenApart) {
  SpecBuilder b = sentencepiece_builder();
  const auto hello = static_cast<size_t>(Tokenizer::create(b.spec)->id_of("▁hello"));
  b.spec.types[hello] = TokenType::Unused;
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_EQ(t.encode("hello", kPlain), (Ids{t.id_of("▁h"), t.id_of("ello")}));
}

TEST(SentencePiece, TrimsWhereTheModelDoes) {
  SpecBuilder b = sentencepiece_builder();
  b.spec.remove_extra_whitespaces = true;
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_EQ(t.encode("  hello   hello ", kPlain), (Ids{t.id_of("▁hello"), t.id_of("▁hello")}));
  EXPECT_EQ(t.encode("   ", kPlain), Ids{});
}

TEST(Unigram, TakesTheBestPath) {
  SpecBuilder b;
  b.spec.kind = TokenizerKind::Unigram;
  b.spec.unk = b.token("<unk>", TokenType::Unknown);
  const struct {
    const char* text;
    float score;
  } pieces[] = {{"▁", -3}, {"a", -4}, {"b", -4}, {"ab", -5}, {"abc", -20}, {"bc", -6}, {"c", -4}, {"▁a", -4.5f}};
  for (const auto& p : pieces) b.token(p.text, TokenType::Normal, p.score);
  b.spec.add_space_prefix = b.spec.escape_spaces = true;
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_EQ(t.encode("abc", kPlain), (Ids{t.id_of("▁a"), t.id_of("bc")}));  // -10.5 beats ▁ ab c (-12), ▁ abc (-23)
  EXPECT_EQ(t.encode("ab ab", kPlain), (Ids{t.id_of("▁"), t.id_of("ab"), t.id_of("▁"), t.id_of("ab")}));  // -8 beats ▁a b (-8.5)
  EXPECT_EQ(t.encode("a한글b", kPlain), (Ids{t.id_of("▁a"), 0, t.id_of("b")}));                           // neighbouring unknowns are one
}

// A character map as SentencePiece writes it, for one rule: "A" becomes "a". Root at 0 with offset 1; unit 1^'A' is the child.
TEST(Unigram, ReadsACharacterMap) {
  std::vector<uint32_t> units(256 + 2, 0);
  units[0] = 1u << 10;
  units['A' ^ 1] = static_cast<uint32_t>(('A' ^ 1) ^ 200) << 10 | 1u << 8 | 'A';
  units[200] = 0x80000000u | 0;
  std::string map;
  const auto put = [&](uint32_t v) { map.append(reinterpret_cast<const char*>(&v), 4); };
  put(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t u : units) put(u);
  map += std::string("a\0", 2);
  SpecBuilder b = sentencepiece_builder();
  b.spec.charsmap = b.keep(map);
  b.token("a");
  const Tokenizer t = tokenizer_of(b.spec);
  EXPECT_EQ(t.encode("AhA", kPlain), (Ids{t.id_of("▁"), t.id_of("a"), t.id_of("h"), t.id_of("a")}));
  for (size_t cut = 0; cut < map.size(); cut += 7) {
    b.spec.charsmap = b.keep(map.substr(0, cut));
    const auto made = Tokenizer::create(b.spec);
    EXPECT_EQ(made.ok(), cut == 0 || cut == 4 + units.size() * 4) << cut;
  }
}

void expect_error(const TokenizerSpec& spec, const char* part) {
  const auto made = Tokenizer::create(spec);
  ASSERT_FALSE(made.ok()) << part;
  EXPECT_NE(made.error().message.find(part), std::string::npos) << made.error().message;
  EXPECT_EQ(made.error().message.find('\n'), std::string::npos);
}

TEST(Create, SaysWhatIsWrong) {
  expect_error({}, "vocabulary is empty");
  const auto with = [](auto change) {
    SpecBuilder b = byte_level_builder();
    change(b.spec);
    return b.spec;
  };
  expect_error(with([](TokenizerSpec& s) { s.scores.pop_back(); }), "scores");
  expect_error(with([](TokenizerSpec& s) { s.types.pop_back(); }), "token types");
  expect_error(with([](TokenizerSpec& s) { s.eos = 100000; }), "eos token is 100000");
  expect_error(with([](TokenizerSpec& s) { s.pad = -7; }), "pad token is -7");
  expect_error(with([](TokenizerSpec& s) { s.bos = -1; }), "bos");
  expect_error(with([](TokenizerSpec& s) { s.eos = -1, s.add_eos = true; }), "eos");
  expect_error(with([](TokenizerSpec& s) { s.pre = "no-such"; }), "unknown pre-tokenizer 'no-such'");
  expect_error(with([](TokenizerSpec& s) { s.rules = {{"(("}}; }), "pattern '(('");
  expect_error(with([](TokenizerSpec& s) { s.extra_eog = {-1}; }), "outside");
  expect_error(with([](TokenizerSpec& s) { s.kind = TokenizerKind::SentencePiece, s.scores.clear(); }), "no scores");
  expect_error(with([](TokenizerSpec& s) { s.charsmap = "xx"; }), "character map");
}

TEST(Create, OutOfRangeIdsAreHarmless) {
  const Tokenizer t = make_byte_level();
  for (const int32_t id : {-1, t.size(), 1 << 30}) {
    EXPECT_TRUE(t.text(id).empty() && t.piece(id).empty() && !t.is_special(id));
    EXPECT_EQ(t.type(id), TokenType::Undefined);
  }
  EXPECT_EQ(t.decode(Ids{-5, 1 << 29}), "");
}

TEST(Create, DamagedVocabulariesDoNotCrash) {
  std::mt19937 rng(17);
  for (int i = 0; i < 300; ++i) {
    SpecBuilder b;
    const size_t n = 1 + rng() % 40;
    for (size_t k = 0; k < n; ++k) {
      std::string text;
      for (size_t l = rng() % 4; l-- > 0;) text.push_back(static_cast<char>(rng() % 3 ? 'a' + rng() % 3 : rng() % 256));
      b.token(text, static_cast<TokenType>(rng() % 7), static_cast<float>(rng() % 9));
    }
    for (size_t k = rng() % 20; k-- > 0;) {
      b.spec.merges.push_back({b.spec.tokens[rng() % n], b.spec.tokens[rng() % n]});
    }
    b.spec.kind = static_cast<TokenizerKind>(rng() % 3);
    b.spec.byte_level = rng() % 2;
    b.spec.escape_spaces = rng() % 2;
    b.spec.unk = rng() % 2 ? 0 : -1;
    const auto t = Tokenizer::create(b.spec);
    ASSERT_TRUE(t.ok());
    for (const int32_t id : t->encode("abc aabbcc \xFF 한 bca" + random_utf8(rng, 200))) ASSERT_TRUE(t->valid(id));
  }
}

TEST(Create, ManyThreadsShareOne) {
  const Tokenizer t = make_byte_level();
  const std::string text = "hello her hello <end> 한국어 lol " + std::string(300, 'l');
  const Ids expected = t.encode(text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) wrong += t.encode(text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace lumen
