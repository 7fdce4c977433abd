// Forms of hand-built formats, reasons for those without one, and the constructs that classification must see through.
#include <gtest/gtest.h>

#include "compiler/formats/describe.h"
#include "compiler/formats/form_reader.h"
#include "compiler/formats/test_formats.h"

namespace lumen::formats {
namespace {

using namespace testing;
using testing::k;

TEST(Classify, KnownShapes) {
  EXPECT_EQ(describe(q4_0()), "codes: 4 bits, 0..15, bias -8; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(q4_1()), "codes: 4 bits, 0..15, bias 0; scale: f16 / 32; offset: f16 / 32");
  EXPECT_EQ(describe(q5_0()), "codes: 5 bits, 0..31, bias -16; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(q5_1()), "codes: 5 bits, 0..31, bias 0; scale: f16 / 32; offset: f16 / 32");
  EXPECT_EQ(describe(q8_0()), "codes: 8 bits, 0..255, bias -128; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(q4_k()), "codes: 4 bits, 0..15, bias 0; scale: f16 / 256, i8 / 32 (0..63); offset: f16 / 256, i8 / 32 (0..63)");
  EXPECT_EQ(describe(q6_k()), "codes: 6 bits, 0..63, bias -32; scale: f16 / 256, i8 / 16 (-128..127); offset: none");
  EXPECT_EQ(describe(three_bit()), "codes: 3 bits, 0..7, bias 0; scale: f16 / 16; offset: f16 / 64");
  EXPECT_EQ(describe(six_bit()), "codes: 6 bits, 0..63, bias -31; scale: bf16 / 64, i8 / 16 (1..31); offset: none");
  EXPECT_EQ(describe(iq4_nl()),
            "codes: 4 bits, 0..15, code book [-127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113]; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(mxfp4()),
            "codes: 4 bits, 0..15, code book [0 1 2 3 4 6 8 12 0 -1 -2 -3 -4 -6 -8 -12]; scale: bf16 / 32; offset: none");
}

TEST(Classify, RawIsTheBitField) {
  ir::FormatType f = q4_0();
  ASSERT_TRUE(f.form);
  EXPECT_EQ(to_text(f, f.form->raw[1]), "u8(and(i32(qs[1]), 15))");
  // The smallest expression that gives the code: a byte shifted by four needs no mask.
  EXPECT_EQ(to_text(f, f.form->raw[17]), "u8(shr(i32(qs[1]), 4))");
}

// d * q - 8 * d and d * (low + 4 * high) are codes under one scale; a constant offset is no code.
TEST(Classify, LinearRegrouping) {
  Builder b("x", 32);
  int d = b.field("d", DType::F16, 1), qs = b.field("qs", DType::U8, 16);
  E n = nibble(b.at(qs, k % 16), k / 16), s = b.at(d, 0);
  EXPECT_EQ(describe(Builder(b).done(s * n - E(8.0) * s)), "codes: 4 bits, 0..15, bias -8; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * (n & 3) + s * (n & 12))), "codes: 4 bits, 0..15, bias 0; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * n + E(0.5))), "codes: 4 bits, 0..15, bias 0; scale: f16 / 32; offset: f16 / 32");
  EXPECT_EQ(describe(Builder(b).done(s * (n - 8) / E(3.0))), "codes: 4 bits, 0..15, bias -8; scale: f32 / 32; offset: none");
  EXPECT_EQ(describe(Builder(b).done(-(s * n))), "codes: 4 bits, 0..15, bias 0; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(Builder(b).done(E(1.0) * (n - 8))), "codes: 4 bits, 0..15, bias -8; scale: none; offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * (E(2) * n - 15))),
            "codes: 4 bits, 0..15, code book [-15 -13 -11 -9 -7 -5 -3 -1 1 3 5 7 9 11 13 15]; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * (n * E(0.5)))), "codes: 4 bits, 0..15, bias 0; scale: f32 / 32; offset: none");
}

// A sign bit and a magnitude; scales in integer products; half-integer scales.
TEST(Classify, Products) {
  Builder b("x", 32);
  int d = b.field("d", DType::F16, 1), sc = b.field("sc", DType::U8, 2), qs = b.field("qs", DType::U8, 32);
  E q = b.at(qs, k), s = b.at(d, 0), g = b.at(sc, k / 16);
  EXPECT_EQ(describe(Builder(b).done(select(less(q, 128), s * (q & 127), -(s * (q & 127))))),
            "codes: 8 bits, 0..254, bias -127; scale: f16 / 32; offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * ((g & 15) * (q & 63)))),
            "codes: 6 bits, 0..63, bias 0; scale: f16 / 32, i8 / 16 (0..15); offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * (E(0.5) + (g & 15)) * E(0.25) * (q & 3))),
            "codes: 2 bits, 0..3, bias 0; scale: f32 / 32, i8 / 16 (1..31); offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * (g * g) * (q & 3))), "codes: 2 bits, 0..3, bias 0; scale: f32 / 16; offset: none");
  EXPECT_EQ(describe(Builder(b).done(s * g * (q & 3) - s * E(3.0))),
            "codes: 2 bits, 0..3, bias 0; scale: f16 / 32, u8 / 16 (0..255); offset: f32 / 32");
}

TEST(Classify, TernaryDigits) {  // five base-3 digits a byte: no bit field, but a code of two bits
  Builder b("x", 80);
  int d = b.field("d", DType::F16, 1), q = b.field("q", DType::U8, 16);
  E power = table({1, 3, 9, 27, 81}, k / 16);
  E digit = (((b.at(q, k % 16) * power) & 255) * 3) >> 8;
  EXPECT_EQ(describe(b.done(b.at(d, 0) * (digit - 1))), "codes: 2 bits, 0..2, bias -1; scale: f16 / 16; offset: none");
}

TEST(Classify, LargeTablesExpand) {
  Builder b("x", 32);
  int d = b.field("d", DType::F16, 1), q = b.field("q", DType::U8, 32);
  std::vector<double> levels;
  for (int i = 0; i < 32; ++i) levels.push_back(i * i / 8 - 60);
  EXPECT_EQ(describe(b.done(b.at(d, 0) * table(levels, b.at(q, k) & 31))),
            "codes: 7 bits, 0..120, bias -60; scale: f16 / 32; offset: none");
}

TEST(Classify, Reasons) {
  Builder b("x", 32);
  int d = b.field("d", DType::F16, 4), q = b.field("q", DType::U8, 32), m = b.field("m", DType::F16, 32);
  E x = b.at(q, k);
  auto why = [](const ir::FormatType& f) {
    EXPECT_FALSE(f.form);
    return f.why_no_form;
  };
  EXPECT_EQ(why(Builder(b).done(b.at(m, k))), "element 0 takes its code from 16 bits, at most 12 are looked at");
  EXPECT_EQ(why(Builder(b).done(b.at(d, 0))), "element 0 has no bits of its own: every run of 16 elements shares all of them");
  EXPECT_EQ(why(Builder(b).done(b.at(d, k / 8) * x)),
            "element 0 takes its code from 24 bits, at most 12 are looked at (16 of them are shared with other elements, but not by runs "
            "of 16 as a scale's are)");
  EXPECT_EQ(why(Builder(b).done(b.at(d, 0) * (x * x))), "its codes are multiples of 1.000000 from 0 to 65025 of it, more than 8 bits hold");
  EXPECT_EQ(why(Builder(b).done(b.at(d, 0) * (x & 15) + b.at(d, 1) * (x >> 4))), "element 0 is a sum of two codes under different scales");
  E root{ir::make_op(ir::Op::Sqrt, {(b.at(d, 0) * x).p})};
  EXPECT_EQ(why(Builder(b).done(root)), "element 0: 'sqrt' mixes scale bits and code bits");
  Builder h("huge", 1 << 20);
  int b0 = h.field("b", DType::U8, 1 << 20);
  EXPECT_EQ(why(h.done(E(1.0) * h.at(b0, k))), "blocks of 1048576 elements, and every element is looked at only in blocks of up to 4096");
  Builder c("y", 8);
  int e = c.field("e", DType::U8, 8);
  EXPECT_EQ(why(c.done(E(1.0) * c.at(e, k))), "blocks of 8 elements, and integer dot products take 16 at a time");
}

TEST(Classify, FormReproducesValue) {
  std::mt19937 rng(7);
  for (const ir::FormatType& f : {q4_0(), q4_1(), q5_0(), q5_1(), q8_0(), q4_k(), q6_k(), iq4_nl(), mxfp4(), three_bit(), six_bit()}) {
    ASSERT_TRUE(f.form) << f.name;
    FormReader reader(f, *f.form);
    BlockProgram value(f, {f.value});
    std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes));
    for (int trial = 0; trial < 8; ++trial) {
      random_block(f, rng, block.data());
      reader.read(block.data());
      for (int i = 0; i < f.block; ++i) {
        value.run(block.data(), i);
        double size = std::fabs(reader.scaled(i)) + std::fabs(reader.offset(i));
        ASSERT_NEAR(value.real(0), reader.value(i), 1e-6 * size) << f.name << " element " << i;
      }
    }
  }
}

}  // namespace
}  // namespace lumen::formats
