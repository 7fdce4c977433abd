// Formats: what declarations become, values of hand-made blocks, and declarations that must be refused.
#include <gtest/gtest.h>

#include "compiler/ir/interp.h"
#include "compiler/sema/library.h"

namespace lumen::sema {
namespace {

Library with(const std::string& text) {
  Library lib;
  auto errors = lib.add(std::make_shared<Source>(Source{"f.lum", text}));
  EXPECT_TRUE(errors.empty()) << render(errors);
  return lib;
}
std::string error_of(const std::string& text, const std::string& name = "f") {
  Library lib = with(text);
  auto f = lib.format(name);
  return f ? "no error" : f.error().message;
}
#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Format, BlockFieldsAndValues) {
  Library lib = with(R"(
format f {
  gguf 77
  block [4] { d: f16  m: i8  qs: u8[2] }
  table levels: i8 = [-8, -3, -1, 0, 1, 3, 8, 20, 0, 0, 0, 0, 0, 0, 0, 0]
  let code(k) = nibble(qs[k / 2], k % 2)
  value(k) = d * levels[code(k)] + m
})");
  auto f = lib.format("f");
  ASSERT_TRUE(f.ok()) << f.error().message;
  const ir::FormatType& t = **f;
  EXPECT_EQ(t.block_bytes, 5);
  EXPECT_EQ(t.gguf_type, 77);
  EXPECT_EQ(t.fields[2].offset, 3);
  EXPECT_EQ(t.fields[2].count, 2);
  EXPECT_EQ(t.source.substr(0, 8), "format f");
  EXPECT_EQ(t.source.back(), '}');
  uint16_t d = float_to_half(0.5f);
  uint8_t block[] = {static_cast<uint8_t>(d & 255), static_cast<uint8_t>(d >> 8), 0xFE, 0x70, 0x15};
  float expected[] = {0.5f * -8 - 2, 0.5f * 20 - 2, 0.5f * 3 - 2, 0.5f * -3 - 2};
  for (int k = 0; k < 4; ++k) EXPECT_EQ(ir::decode(t, block, k), expected[k]);
  EXPECT_EQ(lib.format_by_gguf_type(77), *f);
  EXPECT_EQ(lib.format_by_gguf_type(78), nullptr);
}

TEST(Format, BitsCrossEntries) {
  // 3-bit codes as one stream; 8 codes in 3 bytes, and the same stream in u32 words.
  Library lib = with(R"(
format bytes { block [8] { qs: u8[3] }  value(k) = bits(qs, 3 * k, 3) }
format words { block [32] { qs: u32[3] }  value(k) = bits(qs, 3 * k, 3) })");
  auto bytes = lib.format("bytes"), words = lib.format("words");
  ASSERT_TRUE(bytes.ok() && words.ok());
  uint8_t stream[12];
  for (int i = 0; i < 12; ++i) stream[i] = static_cast<uint8_t>(37 * i + 11);
  for (int k = 0; k < 32; ++k) {
    int expected = 0;
    for (int b = 0; b < 3; ++b) expected |= (stream[(3 * k + b) / 8] >> ((3 * k + b) % 8) & 1) << b;
    EXPECT_EQ(ir::decode(**words, stream, k), expected);
    EXPECT_EQ(ir::decode(**bytes, stream + k / 8 * 3, k % 8), expected);
  }
}

TEST(Format, RowPlanes) {
  Library lib = std::move(*Library::standard());
  auto f = lib.format("act_q8<64>");
  ASSERT_TRUE(f.ok()) << f.error().message;
  const ir::FormatType& t = **f;
  EXPECT_EQ(t.name, "act_q8<64>");
  EXPECT_TRUE(t.row_planes);
  EXPECT_EQ(t.block, 64);
  EXPECT_EQ(t.fields[0].per, 1);
  EXPECT_EQ(t.fields[1].per, 64);
  EXPECT_EQ(t.fields[2].per, 16);
  ASSERT_TRUE(t.fields[2].derive != nullptr);
  EXPECT_EQ(t.fields[2].derive->type, DType::I16);
  EXPECT_EQ(t.encode, ir::EncodeRule::AbsMax);
  EXPECT_EQ(t.code_field, 0);
  EXPECT_EQ(t.scale_field, 1);
  EXPECT_EQ(*lib.format("act_q8< 64 >"), *f);  // one type for one name
  EXPECT_HAS(lib.format("act_q8").error().message, "takes 1 parameters, found 0");
  EXPECT_HAS(lib.format("act_q8<x>").error().message, "'group' is a positive integer");
}

TEST(Format, TwoAxesAndTypeParameters) {
  Library lib = with(R"(
format affine<bits_n, group, S: float> {
  planes { w: u32[N, K * bits_n / 32]  s: S[N, K / group]  b: S[N, K / group] }
  value(n, k) = s[n, k / group] * bits(w[n, k * bits_n / 32], k * bits_n % 32, bits_n) + b[n, k / group]
})");
  auto f = lib.format("affine<4, 64, f16>");
  ASSERT_TRUE(f.ok()) << f.error().message;
  EXPECT_EQ((*f)->fields[0].per, 8);
  EXPECT_EQ((*f)->fields[1].type, DType::F16);
  EXPECT_EQ((*f)->block, 64);
  EXPECT_HAS(lib.format("affine<3, 64, f16>").error().message, "one entry for a whole number of elements");
  EXPECT_HAS(lib.format("affine<4, 64, i8>").error().message, "'S' is a float type");
}

TEST(Format, PlainScalars) {
  Library lib = std::move(*Library::standard());
  auto none = lib.format("f16");
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, nullptr);
  auto f16 = lib.element_by_gguf_type(1), f32 = lib.element_by_gguf_type(0), q8 = lib.element_by_gguf_type(8),
       no = lib.element_by_gguf_type(999);
  ASSERT_TRUE(f16.ok() && f32.ok() && q8.ok() && no.ok());
  EXPECT_EQ((*f16)->scalar, DType::F16);
  EXPECT_EQ((*f16)->format, nullptr);
  EXPECT_EQ((*f32)->scalar, DType::F32);
  EXPECT_EQ((*q8)->format->name, "q8_0");
  EXPECT_FALSE(no->has_value());
}

TEST(Format, EveryStandardFormatElaborates) {
  Library lib = std::move(*Library::standard());
  int count = 0;
  for (const std::string& name : lib.format_names()) {
    if (!lib.format_decl(name)->generics.empty()) continue;
    auto f = lib.format(name);
    EXPECT_TRUE(f.ok()) << f.error().message;
    count += f.ok() && *f;
  }
  EXPECT_GE(count, 12);
}

TEST(Format, Refused) {
  EXPECT_HAS(error_of("format f { block [4] { q: u8[3] }  value(k) = q[k] }"), "the field 'q' has 3 entries; element 3 reads entry 3");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4] }\n table t = [1, 2, 3]\n value(k) = t[q[k] & 3] }"),
             "a table has 3 entries; element 0 reads entry between 0 and 3");
  EXPECT_EQ(error_of("format f { block [4] { q: u8[4] }\n table t = [1, 2, 3]\n value(k) = t[q[k] % 3] }"), "no error");
  EXPECT_EQ(error_of("format f { block [4] { q: u8[2] }\n value(k) = if k < 2 then q[k] else q[k - 2] }"), "no error");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4]  i: u8 }\n value(k) = q[i] }"), "reads entry between 0 and 255");
  EXPECT_HAS(error_of("format f { block [0] { q: u8 }\n value(k) = q }"), "the block lies between 1 and 4096, found 0");
  EXPECT_HAS(error_of("format f { block [4] { q: u8  q: u8 }\n value(k) = q }"), "'q' is declared twice");
  EXPECT_HAS(error_of("format f { block [4] { q: f64 }\n value(k) = q }"), "no f64 elements");
  EXPECT_HAS(error_of("format f { block [4] { q: u8 }\n value(k) = q + d }"), "f.lum:2:17: error: unknown name 'd'\n");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4] }\n value(k) = q }"), "has several entries: index it");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4] }\n value(k) = q[k] / 0 }"), "division by zero");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4] }\n let a(x) = b(x)\n let b(x) = a(x)\n value(k) = a(k) }"),
             "There is no recursion");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4]  d: f16 }\n value(k) = q[d] }"), "an index is an integer, found a float");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4] }\n value(k) = q[k] < 3 }"), "found a truth value");
  EXPECT_HAS(error_of("format f { block [4] { q: u8[4] }\n table t: i8 = [200]\n value(k) = t[0] }"), "does not fit i8");
  EXPECT_HAS(error_of("format f { planes { q: i8[N, K]  p: i8[N, K] }\n value(k) = q[k]\n encode absmax }"),
             "needs one field of i8 codes, found 'q' and 'p'");
  EXPECT_HAS(error_of("format f { block [2] { q: f[2] }\n value(k) = q[k] }"), "the format 'f' is made of itself");
  EXPECT_HAS(error_of("format f { block [2] { q: i8[2] }\n value(k) = q[k] }", "g"), "unknown format 'g'");
}

TEST(Library, NewerDeclarationsReplace) {
  Library lib = with("format f { block [1] { q: i8 }\n value(k) = q }\nfn g(x: f32[T]) -> f32[T] { y[t] = x[t] }");
  EXPECT_EQ((*lib.format("f"))->block, 1);
  ASSERT_TRUE(lib.add(std::make_shared<Source>(Source{"u.lum", "format f { block [2] { q: i8 }\n value(k) = q }"})).empty());
  EXPECT_EQ((*lib.format("f"))->block, 2);
  auto twice = lib.add(std::make_shared<Source>(Source{"u.lum", "let a = 1\nlet a = 2"}));
  ASSERT_EQ(twice.size(), 1u);
  EXPECT_HAS(twice[0].message, "declared twice");
  EXPECT_FALSE(lib.add_directory("/nonexistent").ok());
}

}  // namespace
}  // namespace lumen::sema
