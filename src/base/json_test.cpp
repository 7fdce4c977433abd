// JSON read and written: values, escapes, places of mistakes, depth.
#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/json_text.h"

namespace lumen {
namespace {

std::string error_of(std::string_view text, uint32_t depth = 100) {
  auto d = JsonDocument::parse(text, depth);
  return d ? "none" : d.error().message;
}

TEST(Json, ValuesOfEveryKind) {
  std::string text = R"({"a": [1, -2.5, 1e3, true, false, null, "x"], "b": {"c": "d"}, "a2": 9223372036854775807, "big": 9223372036854775808})";
  auto d = JsonDocument::parse(text);
  ASSERT_TRUE(d) << d.error().message;
  const Json& root = d->root();
  ASSERT_TRUE(root.is_object());
  EXPECT_EQ(root.members().size(), 4u);
  auto a = root.find("a")->items();
  ASSERT_EQ(a.size(), 7u);
  EXPECT_EQ(a[0].as_int(), 1);
  EXPECT_EQ(a[1].as_double(), -2.5);
  EXPECT_EQ(a[2].as_double(), 1000.0);
  EXPECT_TRUE(a[3].as_bool());
  EXPECT_FALSE(a[4].as_bool());
  EXPECT_TRUE(a[5].is_null());
  EXPECT_EQ(a[6].as_string(), "x");
  EXPECT_EQ(root.find("b")->find("c")->as_string(), "d");
  EXPECT_EQ(root.find("a2")->as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(root.find("big")->kind(), Json::Kind::Float);
  EXPECT_EQ(root.find("none"), nullptr);
  EXPECT_EQ(a[0].find("x"), nullptr);
}

TEST(Json, StringsAndTheLastOfEqualKeys) {
  std::string text = "{\"k\": \"1\", \"k\": \"a\\u00e9\\ud83d\\ude00\\n\\ud800\", \"\\u006b2\": \"plain \xC3\xA9\"}";
  auto d = JsonDocument::parse(text);
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->root().find("k")->as_string(), "a\xC3\xA9\xF0\x9F\x98\x80\n\xEF\xBF\xBD");
  EXPECT_EQ(d->root().find("k2")->as_string(), "plain \xC3\xA9");
}

TEST(Json, WhatIsWrittenReadsBack) {
  EXPECT_EQ(json_string("a\"\\\n\x01\x7f\xC3\xA9"), "\"a\\\"\\\\\\n\\u0001\\u007f\xC3\xA9\"");
  EXPECT_EQ(json_string("x\xE2\x82z\xFF\xC3"), "\"x\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\"") << "one U+FFFD for each run that is no UTF-8";
  std::string text = "{\"a\": [1, -2, 3.0, 1e-05, 0.1], \"b\": {\"c\": null, \"d\": true}, \"e\": [], \"f\": \"\\n\"}";
  auto d = JsonDocument::parse(text);
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(json_text(d->root()), text);
}

TEST(Json, MistakesNameTheirPlace) {
  EXPECT_EQ(error_of("{\"a\": 1,\n  \"b\" 2}"), "JSON line 2 column 7: expected ':'");
  EXPECT_EQ(error_of("[1, 2"), "JSON line 1 column 6: expected ',' or ']'");
  EXPECT_EQ(error_of("[1] x"), "JSON line 1 column 5: expected nothing more after the value");
  EXPECT_EQ(error_of("01"), "JSON line 1 column 1: expected a value") << "a number has no leading zero";
  for (const char* bad : {"", "nul", "{", "[1,]", "{\"a\":}", "\"x", "\"\x01\"", "\"\\x\"", "1.", "-", "1e", "{1:2}", "[tru]", "+1", "NaN"})
    EXPECT_NE(error_of(bad), "none") << bad;
}

TEST(Json, DepthIsLimited) {
  EXPECT_EQ(error_of("[[[1]]]", 3), "none");
  EXPECT_NE(error_of("[[[[1]]]]", 3), "none");
  EXPECT_NE(error_of(std::string(1'000'000, '[')), "none");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  EXPECT_NE(error_of(deep), "none");
}

}  // namespace
}  // namespace lumen
