// UTF-8 reading against the rules of the Unicode standard (table 3-7), classes and normalisation.
#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace lumen::tok {
namespace {

TEST(Utf8, EveryCodePointRoundTrips) {
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8 c = read_utf8(text + "x");
    ASSERT_EQ(c.status, Utf8Status::Ok) << code;
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.length, text.size());
    ASSERT_EQ(sequence_length(text[0]), text.size());
    if (text.size() > 1) {
      ASSERT_EQ(read_utf8(std::string_view(text).substr(0, text.size() - 1)).status, Utf8Status::Truncated);
    }
  }
}

TEST(Utf8, RefusesIllFormedSequences) {
  const struct {
    std::string_view text;
    uint32_t length;
    Utf8Status status;
  } cases[] = {
      {"\x80", 1, Utf8Status::Invalid},
      {"\xBF", 1, Utf8Status::Invalid},
      {"\xC0\xAF", 1, Utf8Status::Invalid},
      {"\xC1\xBF", 1, Utf8Status::Invalid},
      {"\xE0\x9F\xBF", 1, Utf8Status::Invalid},
      {"\xED\xA0\x80", 1, Utf8Status::Invalid},
      {"\xF0\x8F\xBF\xBF", 1, Utf8Status::Invalid},
      {"\xF4\x90\x80\x80", 1, Utf8Status::Invalid},
      {"\xF5", 1, Utf8Status::Invalid},
      {"\xFF", 1, Utf8Status::Invalid},
      {"\xE2\x82x", 2, Utf8Status::Invalid},
      {"\xF0\x9F\x98x", 3, Utf8Status::Invalid},
      {"\xE2\x82", 2, Utf8Status::Truncated},
      {"\xF0\x9F\x98", 3, Utf8Status::Truncated},
      {"\xC2", 1, Utf8Status::Truncated},
  };
  for (const auto& c : cases) {
    const Utf8 read = read_utf8(c.text);
    EXPECT_EQ(read.status, c.status) << ::testing::PrintToString(c.text);
    EXPECT_EQ(read.length, c.length) << ::testing::PrintToString(c.text);
    EXPECT_FALSE(is_valid_utf8(c.text));
  }
  EXPECT_EQ(replace_invalid("a\xE2\x82z\xFF"), "a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD");
  EXPECT_TRUE(is_valid_utf8("0123456789 한국어 \xF0\x9F\x98\x80"));
  EXPECT_FALSE(is_valid_utf8("0123456\x80 9 0123456789"));
}

TEST(Classes, FollowUnicode) {
  EXPECT_EQ(classify('a'), kLetter);
  EXPECT_EQ(classify(U'한'), kLetter);
  EXPECT_EQ(classify(0x2B0), kLetter);  // modifier letter
  EXPECT_EQ(classify('7'), kNumber);
  EXPECT_EQ(classify(0xBD), kNumber);    // one half
  EXPECT_EQ(classify(0x2167), kNumber);  // roman eight
  EXPECT_EQ(classify(0x301), kMark);
  for (const uint32_t space : {0x9u, 0xDu, 0x20u, 0x85u, 0xA0u, 0x1680u, 0x2000u, 0x200Au, 0x2028u, 0x2029u, 0x202Fu, 0x205Fu, 0x3000u}) {
    EXPECT_EQ(classify(space), kSpace) << space;
  }
  EXPECT_EQ(classify(0x180E), kOther);  // white space only before Unicode 6.3
  EXPECT_EQ(classify(0x200B), kOther);
  EXPECT_EQ(classify('_'), kOther);
  for (uint32_t code = 0; code < 128; ++code)
    EXPECT_EQ(classify(code), classify_slow(code) == kOther && ((code >= 9 && code <= 13)) ? kSpace : classify_slow(code));
}

TEST(Normalization, ComposesOnlyWhenAsked) {
  EXPECT_EQ(normalize("e\u0301 \u1112\u1161\u11ab", Normalization::Nfc), "\u00e9 한");
  EXPECT_EQ(normalize("e\u0301", Normalization::None), "e\u0301");
  EXPECT_EQ(normalize("é", Normalization::Nfd), "e\u0301");
  EXPECT_EQ(normalize("ﬁ", Normalization::Nfkc), "fi");
  EXPECT_TRUE(surely_normal("plain, 한국어, 漢字, é", Normalization::Nfc));
  EXPECT_FALSE(surely_normal("e\u0301", Normalization::Nfc));
  EXPECT_FALSE(surely_normal("가\u11a8", Normalization::Nfc));  // a syllable that takes the final consonant in
}

// The quick look may say no too often, never yes wrongly.
TEST(Normalization, QuickLookIsNeverWrong) {
  for (uint32_t first = 0x20; first < 0x3000; first += 7) {
    for (const uint32_t second : {0x301u, 0x61u, 0x11A8u, 0xAC00u, 0x4E00u, 0xF900u, 0x340u}) {
      std::string text;
      append_utf8(text, first);
      append_utf8(text, second);
      if (surely_normal(text, Normalization::Nfc)) {
        // Past the quick look: force the full one by a prefix that it does not know.
        EXPECT_EQ(normalize("\u0e01" + text, Normalization::Nfc), "\u0e01" + text) << first << " " << second;
      }
    }
  }
}

TEST(Spaces, EscapeAndBack) {
  EXPECT_EQ(escape_spaces(" a  b"), "▁a▁▁b");
  EXPECT_EQ(unescape_spaces("▁a▁▁b\xE2\x96"), " a  b\xE2\x96");
}

}  // namespace
}  // namespace lumen::tok
