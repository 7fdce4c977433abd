// The streaming decoder: whole characters only, nothing lost, U+FFFD for what cannot become one.
#include "tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer/tokenizer_test_vocabulary.h"
#include "tokenizer/unicode.h"

namespace lumen {
namespace {

std::string feed(const std::vector<std::string>& parts, bool finish = true) {
  Utf8Assembler assembler;
  std::string out;
  for (const std::string& part : parts) out += assembler.push(part);
  return finish ? out + assembler.finish() : out;
}

TEST(Utf8Assembler, WaitsForWholeCharacters) {
  Utf8Assembler a;
  EXPECT_EQ(a.push("x\xED"), "x");
  EXPECT_TRUE(a.waiting());
  EXPECT_EQ(a.push("\x95"), "");
  EXPECT_EQ(a.push("\x9C!"), "한!");
  EXPECT_FALSE(a.waiting());
  EXPECT_EQ(a.finish(), "");
}

TEST(Utf8Assembler, ReplacesWhatCannotBecomeACharacter) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(feed({"\xFF"}, false), r);  // at once: no waiting for what cannot come
  EXPECT_EQ(feed({"\xED", "x"}), r + "x");
  EXPECT_EQ(feed({"\xF0\x9F", "\x98", "한"}), r + "한");
  EXPECT_EQ(feed({"\xE2\x82"}), r);
  EXPECT_EQ(feed({"\xED", "\xA0\x80"}), r + r + r);  // a surrogate
  EXPECT_EQ(feed({"\xC0", "\xAF"}), r + r);
  EXPECT_EQ(feed({"\xF0\x9F\x98", "\xF0\x9F\x98\x80"}), r + "\U0001F600");
}

// However the bytes are cut, the same text comes out, always valid.
TEST(Utf8Assembler, CutsDoNotMatter) {
  std::mt19937 rng(3);
  const std::string kPool[] = {"a", "é", "한", "\U0001F600", "\xFF", "\xE2\x82", "\xF0\x9F", "\x80", " "};
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    for (size_t n = rng() % 8; n-- > 0;) bytes += kPool[rng() % std::size(kPool)];
    const std::string whole = feed({bytes});
    EXPECT_TRUE(tok::is_valid_utf8(whole));
    std::vector<std::string> parts;
    for (size_t pos = 0; pos < bytes.size();) {
      const size_t n = 1 + rng() % 3;
      parts.push_back(bytes.substr(pos, n));
      pos += n;
    }
    EXPECT_EQ(feed(parts), whole);
    EXPECT_EQ(whole == bytes, tok::is_valid_utf8(bytes));
  }
}

TEST(StreamDecoder, GivesTheTextOfTheIds) {
  const Tokenizer t = make_byte_level();
  const std::vector<int32_t> ids = t.encode("한 <end>lo\xF0\x9F\x98\x80", {.add_special = true, .parse_special = true});
  StreamDecoder skipping(t), showing(t, false);
  std::string skipped, shown;
  for (const int32_t id : ids) {
    const std::string part = skipping.push(id);
    EXPECT_TRUE(tok::is_valid_utf8(part));
    skipped += part;
    shown += showing.push(id);
  }
  EXPECT_EQ(skipped + skipping.finish(), "한 lo\U0001F600");
  EXPECT_EQ(shown + showing.finish(), "<bos>한 <end>lo\U0001F600");
  EXPECT_EQ(skipping.push(-1) + skipping.push(1 << 30), "");
}

TEST(StreamDecoder, LeavesTheFirstSpaceOutWhereAsked) {
  const Tokenizer t = make_sentencepiece();
  const std::vector<int32_t> ids = t.encode("hello hello", {.add_special = false});
  StreamDecoder begin(t, true, true), middle(t);
  std::string from_begin, from_middle;
  for (const int32_t id : ids) from_begin += begin.push(id), from_middle += middle.push(id);
  EXPECT_EQ(from_begin, "hello hello");
  EXPECT_EQ(from_middle, " hello hello");
  EXPECT_EQ(t.decode(ids), "hello hello");
}

}  // namespace
}  // namespace lumen
