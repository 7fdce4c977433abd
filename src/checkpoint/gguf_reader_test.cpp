// The GGUF reader on good files, on one file made by another program, and on every kind of hostile bytes.
#include "checkpoint/gguf_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "checkpoint/gguf_test_bytes.h"

namespace lumen {
namespace {

using test::Bytes;
using test::header;
using test::parse;

// The bytes must be refused, with a message that names the file and contains every one of `parts`.
void expect_refused(const Bytes& b, std::initializer_list<const char*> parts) {
  auto p = parse(b.out);
  ASSERT_FALSE(p.result.ok()) << "accepted";
  const std::string& m = p.result.error().message;
  EXPECT_EQ(m.rfind("test.gguf: ", 0), 0u) << m;
  EXPECT_EQ(m.find('\n'), std::string::npos) << m;
  for (const char* part : parts) EXPECT_NE(m.find(part), std::string::npos) << m << "\n  lacks: " << part;
}

// A file with two keys and three tensors: f32 [2,3] at 0, type 2 [4,64] at 32, private type 1007 [5] at 192.
Bytes good(uint32_t version = 3) {
  Bytes b = header(3, 2, version);
  b.str("general.architecture").u32(8).str("llama").str("llama.tokens").u32(9).u32(8).u64(3).str("a").str("").str("ccc");
  b.str("one").u32(2).u64(3).u64(2).u32(0).u64(0);
  b.str("two").u32(2).u64(64).u64(4).u32(2).u64(32);
  b.str("own").u32(1).u64(5).u32(1007).u64(192);
  b.pad(32);
  for (int i = 0; i < 200; ++i) b.put<uint8_t>(i);
  return b;
}

TEST(GgufReader, reads_versions_2_and_3) {
  for (uint32_t version : {2u, 3u}) {
    auto p = parse(good(version).out);
    ASSERT_TRUE(p.result.ok()) << p.result.error().message;
    const Checkpoint& c = *p.result;
    EXPECT_EQ(c.version(), version);
    EXPECT_EQ(c.container(), "gguf");
    EXPECT_EQ(*c.get_string("general.architecture"), "llama");
    EXPECT_EQ(*c.get_strings("llama.tokens"), (std::vector<std::string_view>{"a", "", "ccc"}));
    ASSERT_EQ(c.tensors().size(), 3u);
    const CheckpointTensor& two = *c.find_tensor("two");
    EXPECT_EQ(two.dims, (std::vector<int64_t>{4, 64}));
    EXPECT_EQ(two.bytes, 4u * 2 * 18);
    EXPECT_EQ(two.room, 160u);
    EXPECT_EQ(c.data("two")->data[0], 32);
    EXPECT_EQ(c.data("one")->size, 24u);
    EXPECT_EQ(c.find_tensor("none"), nullptr);
    // Views, not copies.
    EXPECT_EQ(c.data("one")->data, p.bytes.get() + c.find_tensor("one")->offset);
    EXPECT_EQ(c.file_size(), good().out.size());
  }
}

TEST(GgufReader, an_unknown_type_opens_but_gives_no_data) {
  auto p = parse(good().out);
  const CheckpointTensor& own = *p.result->find_tensor("own");
  EXPECT_FALSE(own.bytes.has_value());
  EXPECT_EQ(own.room, 8u);
  auto d = p.result->data("own");
  ASSERT_FALSE(d.ok());
  for (const char* part : {"test.gguf", "'own'", "1007", "`gguf 1007`", ".lum"})
    EXPECT_NE(d.error().message.find(part), std::string::npos) << d.error().message;
  auto none = p.result->data("none");
  EXPECT_NE(none.error().message.find("'none'"), std::string::npos);
}

TEST(GgufReader, a_single_value_and_a_file_without_tensors) {
  auto p = parse(header(1, 0).str("s").u32(0).u32(0).u64(0).pad(32).put(1.5f).out);
  ASSERT_TRUE(p.result.ok()) << p.result.error().message;
  EXPECT_EQ(p.result->find_tensor("s")->dims, std::vector<int64_t>{1});
  EXPECT_EQ(p.result->data("s")->size, 4u);
  EXPECT_TRUE(parse(header(0, 0).out).result.ok());
}

TEST(GgufReader, the_file_another_program_made) {
  auto r = open_gguf(LUMEN_SOURCE_DIR "/tests/golden/tiny.gguf", test::test_geometry);  // see tests/golden/make_gguf.py
  ASSERT_TRUE(r.ok()) << r.error().message;
  const Checkpoint& c = *r;
  EXPECT_EQ(*c.get_string("general.architecture"), "tiny");
  EXPECT_EQ(*c.get_int("t.u8"), 200);
  EXPECT_EQ(*c.get_int("t.i8"), -100);
  EXPECT_EQ(*c.get_int("t.u16"), 60000);
  EXPECT_EQ(*c.get_int("t.i16"), -30000);
  EXPECT_EQ(*c.get_int("t.u32"), 4000000000);
  EXPECT_EQ(*c.get_int("t.i32"), -2000000000);
  EXPECT_EQ(*c.get_int("t.u64"), int64_t{1} << 60);
  EXPECT_EQ(*c.get_int("t.i64"), -(int64_t{1} << 60));
  EXPECT_EQ(*c.get_float("t.f32"), 0.15625);
  EXPECT_EQ(*c.get_float("t.f64"), 1e-300);
  EXPECT_TRUE(*c.get_bool("t.bool"));
  EXPECT_EQ(*c.get_string("t.string"), "한글 text");
  EXPECT_EQ(*c.get_ints("t.ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(*c.get_floats("t.floats"), (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(*c.get_strings("t.strings"), (std::vector<std::string_view>{"<s>", "", "안녕"}));
  EXPECT_EQ(*c.get_bools("t.bools"), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(c.find("t.nested")->render(), "[[1, 2], [3]]");
  EXPECT_EQ(c.find_tensor("f32")->dims, (std::vector<int64_t>{2, 3}));
  auto f = c.data("f32");
  for (int i = 0; i < 6; ++i) {
    float v;
    std::memcpy(&v, f->data + 4 * i, 4);
    EXPECT_EQ(v, i - 2.5f);
  }
  EXPECT_EQ(c.find_tensor("q4_0")->dims, (std::vector<int64_t>{3, 64}));
  auto q = c.data("q4_0");
  ASSERT_EQ(q->size, 3u * 2 * 18);
  for (size_t i = 0; i < q->size; ++i) EXPECT_EQ(q->data[i], static_cast<uint8_t>(i * 7));
}

TEST(GgufReader, refuses_what_is_not_gguf) {
  expect_refused(Bytes(), {"header", "expected a GGUF file"});
  expect_refused(Bytes().raw("GGU"), {"expected a GGUF file", "'GGU'"});
  expect_refused(Bytes().raw("PK\x03\x04zip"), {"'PK\\x03\\x04'"});
  expect_refused(header(0, 0, 1), {"expected GGUF version 2 or 3, found 1"});
  expect_refused(header(0, 0, 4), {"found 4"});
  expect_refused(header(0, 0, 0x03000000), {"big-endian", "little-endian"});
  EXPECT_FALSE(open_gguf("/nonexistent/x.gguf", test::test_geometry).ok());
  EXPECT_FALSE(open_gguf("/tmp", test::test_geometry).ok());
}

TEST(GgufReader, refuses_hostile_counts) {
  for (uint64_t n : {uint64_t{1} << 63, (uint64_t{1} << 63) - 1, UINT64_MAX, uint64_t{1} << 40, uint64_t{2}}) {
    expect_refused(header(n, 0), {"header", "tensor count", std::to_string(n).c_str(), "expected at most 0"});
    expect_refused(header(0, n), {"header", "metadata count", std::to_string(n).c_str(), "expected at most 0"});
  }
  // Enough bytes for the count in the header, but the keys take them.
  expect_refused(header(4, 1).str("k").u32(8).str(std::string(200, 'x')), {"tensor count is 4", "0 bytes follow the metadata"});
}

TEST(GgufReader, refuses_hostile_strings) {
  for (uint64_t n : {uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7, uint64_t{44}}) {
    std::string count = std::to_string(n);
    expect_refused(header(0, 1).u64(n).raw("key").u32(8).str("v").raw(""),
                   {"metadata key 0 of 1", "its name", count.c_str(), "past the end"});
    expect_refused(header(0, 1).str("key").u32(8).u64(n).raw("0123456789"), {"'key'", count.c_str(), "past the end", "at most 10"});
    expect_refused(header(1, 0).u64(n).raw("name").u32(0).u32(0).u64(0).raw("x"),
                   {"tensor 0 of 1", "its name", count.c_str(), "past the end"});
  }
  expect_refused(header(0, 1).str("").u32(4).u32(1), {"metadata key 0 of 1", "empty"});
  expect_refused(header(1, 0).str("").u32(0).u32(0).u64(0).raw("x"), {"tensor 0 of 1", "empty"});
  // What a message shows of a hostile name is harmless and short.
  expect_refused(header(0, 1).str("\x1b[2J" + std::string(5000, 'x')).u32(77), {"'\\x1b[2J", "…'", "unknown value type 77"});
}

TEST(GgufReader, refuses_hostile_arrays) {
  for (uint64_t n : {uint64_t{1} << 63, UINT64_MAX, (uint64_t{1} << 62) + 1, uint64_t{3}}) {
    std::string count = std::to_string(n);
    expect_refused(header(0, 1).str("key").u32(9).u32(4).u64(n).u64(0),
                   {"'key'", count.c_str(), "past the end"});  // n * 4 wraps for 2^62 + 1
    expect_refused(header(0, 1).str("key").u32(9).u32(8).u64(n).u64(0).u64(0), {"'key'", count.c_str(), "past the end"});
    expect_refused(header(0, 1).str("key").u32(9).u32(9).u64(n).u64(0).u64(0), {"'key'", count.c_str(), "past the end"});
  }
  expect_refused(header(0, 1).str("key").u32(9).u32(13).u64(0), {"'key'", "unknown array element type 13"});
  expect_refused(header(0, 1).str("key").u32(13).u64(0), {"'key'", "unknown value type 13"});
  expect_refused(header(0, 1).str("key").u32(9).u32(8).u64(2).str("a").u64(99), {"'key'", "element 1", "99"});
  Bytes deep = header(0, 1).str("key").u32(9);
  for (int i = 0; i < 100000; ++i) deep.u32(9).u64(1);
  deep.u32(0).u64(0);
  expect_refused(deep, {"'key'", "nested deeper than 4"});
}

TEST(GgufReader, nested_arrays_are_read_past_and_refused_only_when_asked) {
  Bytes b = header(0, 2)
                .str("nested")
                .u32(9)
                .u32(9)
                .u64(2)
                .u32(5)
                .u64(1)
                .put<int32_t>(-7)
                .u32(8)
                .u64(1)
                .str("x")
                .str("after")
                .u32(0)
                .put<uint8_t>(9);
  auto p = parse(b.out);
  ASSERT_TRUE(p.result.ok()) << p.result.error().message;
  EXPECT_EQ(*p.result->get_int("after"), 9);
  auto asked = p.result->get_ints("nested");
  ASSERT_FALSE(asked.ok());
  EXPECT_EQ(asked.error().message, "test.gguf: metadata key 'nested': expected an array of integers, found array of array");
  EXPECT_EQ(p.result->find("nested")->render(), "[[-7], [\"x\"]]");
}

TEST(GgufReader, refuses_hostile_alignments) {
  for (uint32_t n : {0u, 1u, 4u, 24u, 33u, 1u << 17, 1u << 31, UINT32_MAX})
    expect_refused(header(0, 1).str("general.alignment").u32(4).u32(n), {"'general.alignment'", "power of two", std::to_string(n).c_str()});
  expect_refused(header(0, 1).str("general.alignment").u32(8).str("32"), {"'general.alignment'", "found string \"32\""});
  expect_refused(header(0, 1).str("general.alignment").u32(9).u32(4).u64(0), {"'general.alignment'", "found array of u32"});
  expect_refused(header(0, 1).str("general.alignment").u32(5).put<int32_t>(-32), {"'general.alignment'", "found i32 -32"});
  auto p = parse(header(1, 1).str("general.alignment").u32(4).u32(64).str("t").u32(0).u32(0).u64(64).pad(64).raw(std::string(68, '!')).out);
  ASSERT_TRUE(p.result.ok()) << p.result.error().message;
  EXPECT_EQ(p.result->find_tensor("t")->offset, 192u);
}

// One tensor with the given shape fields and 256 bytes of data behind it.
Bytes one_tensor(std::initializer_list<uint64_t> ne, uint32_t type, uint64_t offset) {
  Bytes b = header(1, 0).str("weight").u32(static_cast<uint32_t>(ne.size()));
  for (uint64_t n : ne) b.u64(n);
  return b.u32(type).u64(offset).pad(32).raw(std::string(256, 'd'));
}

TEST(GgufReader, refuses_hostile_shapes) {
  expect_refused(header(1, 0).str("weight").u32(UINT32_MAX).raw(std::string(100, 'x')), {"'weight'", "4294967295 dimensions", "at most 4"});
  expect_refused(one_tensor({1, 1, 1, 1, 1}, 0, 0), {"'weight'", "5 dimensions"});
  expect_refused(one_tensor({4, 0}, 0, 0), {"'weight'", "dimension 1 is 0"});
  expect_refused(one_tensor({uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0), {"'weight'", "2^63 elements"});  // wraps to 0
  expect_refused(one_tensor({uint64_t{1} << 63}, 0, 0), {"'weight'", "2^63 elements"});                     // negative as i64
  expect_refused(one_tensor({(uint64_t{1} << 62) + 8}, 0, 0), {"'weight'", "2^63 bytes"});                  // * 4 wraps to 32
  expect_refused(one_tensor({uint64_t{1} << 40, 4}, 999, 0), {"'weight'", "2^63 bytes"});
  // Nothing to compute with a type that nobody knows: listed, without data.
  auto unknown = parse(one_tensor({uint64_t{1} << 62}, 77, 0).out);
  ASSERT_TRUE(unknown.result.ok());
  EXPECT_EQ(unknown.result->find_tensor("weight")->element_count(), int64_t{1} << 62);
  EXPECT_FALSE(unknown.result->data("weight").ok());
}

TEST(GgufReader, refuses_rows_that_do_not_fit_the_block) {
  expect_refused(one_tensor({48, 2}, 2, 0), {"'weight'", "rows of 48", "multiple of 32", "type 2"});
}

TEST(GgufReader, refuses_hostile_offsets) {
  expect_refused(one_tensor({4}, 0, 16), {"'weight'", "offset 16", "multiple of the alignment 32"});
  for (uint64_t offset : {uint64_t{256}, uint64_t{512}, uint64_t{1} << 63, UINT64_MAX - 31})
    expect_refused(one_tensor({4}, 0, offset), {"'weight'", std::to_string(offset).c_str(), "data section of 256 bytes", "truncated"});
  expect_refused(one_tensor({65}, 0, 0), {"'weight'", "260 bytes"});
  expect_refused(one_tensor({4}, 77, 256), {"'weight'"});  // unknown type: still inside the file
  auto two = [](uint64_t second, uint32_t type) {
    Bytes b = header(2, 0).str("first").u32(1).u64(10).u32(0).u64(0).str("second").u32(1).u64(1).u32(type).u64(second);
    return b.pad(32).raw(std::string(256, 'd'));
  };
  for (uint32_t type : {0u, 77u}) {
    EXPECT_TRUE(parse(two(64, type).out).result.ok());
    expect_refused(two(32, type), {"overlap", "'first'", "'second'"});
    expect_refused(two(0, type), {"overlap", "'first'", "'second'"});
  }
}

TEST(GgufReader, refuses_duplicate_names) {
  expect_refused(header(0, 2).str("k").u32(0).put<uint8_t>(1).str("k").u32(0).put<uint8_t>(2),
                 {"metadata key 1 of 2", "'k'", "second time"});
  Bytes b = header(2, 0);
  for (uint64_t offset : {0, 32}) b.str("t").u32(0).u32(0).u64(offset);
  expect_refused(b.pad(32).raw(std::string(64, 'd')), {"tensor 1 of 2", "'t'", "second time"});
}

TEST(GgufReader, refuses_every_truncation) {
  std::string all = good().out;
  for (size_t n = 0; n < all.size(); ++n) {
    auto p = parse(all.substr(0, n));
    if (p.result.ok()) {  // only inside the tensor whose size nobody knows
      EXPECT_GT(n, all.size() - 8) << n;
      test::use_everything(*p.result);
    } else {
      EXPECT_EQ(p.result.error().message.rfind("test.gguf: ", 0), 0u);
    }
  }
}

TEST(GgufReader, survives_damage) {
  std::string all = good().out;
  std::mt19937 random(1);
  int opened = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = all;
    for (int flips = 1 + random() % 4; flips > 0; --flips) {
      size_t at = random() % (all.size() - 200);  // the head: damage to tensor data is no concern of the reader
      if (random() % 2)
        damaged[at] ^= 1 << random() % 8;
      else
        damaged[at] = random() % 3 == 0 ? '\xFF' : static_cast<char>(random());
    }
    auto p = parse(damaged);
    if (p.result.ok()) ++opened, test::use_everything(*p.result);
  }
  EXPECT_GT(opened, 100);  // damage inside strings and numbers is not visible
  EXPECT_LT(opened, 19000);
}

}  // namespace
}  // namespace lumen
