// Typed getters and rendering: values that fit, values that do not, and what the messages say.
#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include "checkpoint/gguf_test_bytes.h"

namespace lumen {
namespace {

using test::Bytes;

Bytes keys() {
  Bytes b = test::header(0, 11);
  b.str("u8").u32(0).put<uint8_t>(7).str("big").u32(10).u64(uint64_t{1} << 63).str("neg").u32(11).put<int64_t>(-5);
  b.str("f").u32(6).put(0.1f).str("yes").u32(7).put<uint8_t>(1).str("maybe").u32(7).put<uint8_t>(2).str("s").u32(8).str("hi\n\"");
  b.str("us").u32(9).u32(10).u64(2).u64(1).u64(UINT64_MAX).str("bs").u32(9).u32(7).u64(3).raw(std::string("\1\0\3", 3));
  b.str("fs").u32(9).u32(6).u64(5).put(1.f).put(2.f).put(3.f).put(4.f).put(5.f).str("none").u32(9).u32(8).u64(0);
  return b;
}

TEST(Checkpoint, getters_convert_what_fits) {
  auto p = test::parse(keys().out);
  ASSERT_TRUE(p.result.ok()) << p.result.error().message;
  const Checkpoint& c = *p.result;
  EXPECT_EQ(*c.get_int("u8"), 7);
  EXPECT_EQ(*c.get_int("neg"), -5);
  EXPECT_EQ(*c.get_float("neg"), -5.0);
  EXPECT_EQ(*c.get_float("big"), 0x1p63);
  EXPECT_EQ(*c.get_float("f"), double{0.1f});
  EXPECT_TRUE(*c.get_bool("yes"));
  EXPECT_EQ(*c.get_string("s"), "hi\n\"");
  EXPECT_EQ(c.get_floats("fs")->size(), 5u);
  EXPECT_TRUE(c.get_strings("none")->empty());
  EXPECT_EQ(c.find("absent"), nullptr);
  EXPECT_EQ(c.metadata()[0].key, "u8");
}

template <class T>
void expect_error(const Result<T>& r, const std::string& message) {
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().message, "test.gguf: metadata key " + message);
}

TEST(Checkpoint, getters_say_what_is_wrong) {
  auto p = test::parse(keys().out);
  const Checkpoint& c = *p.result;
  expect_error(c.get_int("absent"), "'absent' is missing: expected an integer");
  expect_error(c.get_strings("absent"), "'absent' is missing: expected an array of strings");
  expect_error(c.get_int("s"), "'s': expected an integer, found string \"hi\\n\\\"\"");
  expect_error(c.get_int("f"), "'f': expected an integer, found f32 0.100000001");
  expect_error(c.get_int("u8", 8, 4096), "'u8': expected an integer from 8 to 4096, found u8 7");
  expect_error(c.get_int("big"),
               "'big': expected an integer from -9223372036854775808 to 9223372036854775807, found u64 9223372036854775808");
  expect_error(c.get_string("u8"), "'u8': expected a string, found u8 7");
  expect_error(c.get_float("yes"), "'yes': expected a number, found bool true");
  expect_error(c.get_bool("u8"), "'u8': expected a bool, found u8 7");
  expect_error(c.get_bool("maybe"), "'maybe': expected a bool of 0 or 1, found 2");
  expect_error(c.get_bools("bs"), "'bs': element 2: expected a bool of 0 or 1, found 3");
  expect_error(c.get_ints("us"), "'us': element 1: expected an integer below 2^63, found 18446744073709551615");
  expect_error(c.get_ints("fs"), "'fs': expected an array of integers, found array of f32");
  expect_error(c.get_strings("us"), "'us': expected an array of strings, found array of u64");
  expect_error(c.get_floats("f"), "'f': expected an array of numbers, found f32 0.100000001");
  expect_error(c.get_string("fs"), "'fs': expected a string, found array of f32");
}

TEST(Checkpoint, values_render_for_people) {
  auto p = test::parse(keys().out);
  const Checkpoint& c = *p.result;
  EXPECT_EQ(c.find("fs")->render(), "[1, 2, 3, 4, … 5 in all]");
  EXPECT_EQ(c.find("fs")->render(0), "[5 in all]");
  EXPECT_EQ(c.find("none")->render(), "[]");
  EXPECT_EQ(c.find("s")->render(), "\"hi\\n\\\"\"");
  EXPECT_EQ(c.find("maybe")->render(), "true");
  EXPECT_EQ(quoted("한글"), "'한글'");
  EXPECT_EQ(quoted("한글", 3), "'한…'");
  EXPECT_EQ(quoted("a'\\\x07\x7f\xff\xc2\x9b\xe2\x82 \xed\xa0\x80"), "'a\\'\\\\\\x07\\x7f\\xff\\xc2\\x9b\\xe2\\x82 \\xed\\xa0\\x80'");
}

TEST(Checkpoint, survives_being_moved) {
  auto p = test::parse(keys().out);
  Checkpoint a = p.result.take();
  Checkpoint b = std::move(a);
  EXPECT_EQ(*b.get_string("s"), "hi\n\"");
}

}  // namespace
}  // namespace lumen
