// Packed bytes read back by the words of layout.h and compared with the form, for every kind of form and both row counts.
#include <gtest/gtest.h>

#include <cstring>
#include <ctime>

#include "compiler/formats/block_reader.h"
#include "compiler/formats/form_reader.h"
#include "compiler/formats/layout.h"
#include "compiler/formats/test_formats.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using namespace testing;

struct Weight {
  ir::Type type;
  int64_t row_bytes = 0;
  std::vector<uint8_t> data;
  const uint8_t* row(int64_t n) const { return data.data() + n * row_bytes; }
};

Weight random_weight(const ir::FormatType& f, int64_t n, int64_t k, unsigned seed) {
  Weight w;
  auto format = std::make_shared<ir::FormatType>(f);
  w.type.format = format;
  w.type.dims = {ir::Dim(n), ir::Dim(k)};
  w.row_bytes = ir::row_bytes(f, k);
  w.data.resize(static_cast<size_t>(n * w.row_bytes));
  std::mt19937 rng(seed);
  for (int64_t b = 0; b < n * k / f.block; ++b) random_block(f, rng, w.data.data() + b * f.block_bytes);
  return w;
}

double read_number(DType t, const uint8_t* p) { return is_float(t) ? read_float(t, p) : static_cast<double>(read_integer(t, p)); }

// Code of element k of row r of a group, from the comment in layout.h.
int read_code(const PackedLayout& l, const uint8_t* group, int64_t k, int r) {
  const uint8_t* unit = group + k / l.chunk * l.chunk_bytes + l.codes + k % l.chunk / kUnit * l.unit_bytes;
  int e = static_cast<int>(k % kUnit), code = 0, low = 0;
  for (int b : l.planes) {
    int column = e / 4, v = column % b, s = column / b;
    uint8_t byte = unit[(v * l.rows + r) * 4 + e % 4];
    code |= (byte >> (b * s) & ((1 << b) - 1)) << low;
    low += b;
    unit += b * l.rows * 4;
  }
  return code;
}

double read_level(const PackedLayout& l, const PackedLevel& p, const uint8_t* group, int64_t k, int r) {
  const uint8_t* chunk = group + k / l.chunk * l.chunk_bytes;
  int64_t in = k % l.chunk, slot = p.pairs ? ((in / 32) * l.rows + r) * 2 + in / 16 % 2 : in / p.extent * l.rows + r;
  return read_number(p.stored, chunk + p.offset + slot * size_of(p.stored));
}

void expect_packed(const ir::FormatType& f, int64_t n, int64_t k, int rows, int tile_groups) {
  SCOPED_TRACE(f.name + " " + std::to_string(n) + " x " + std::to_string(k) + ", " + std::to_string(rows) + " rows");
  ASSERT_TRUE(f.form) << f.why_no_form;
  Weight w = random_weight(f, n, k, 3);
  ASSERT_TRUE(has_integer_layout(w.type));
  PackedLayout l = packed_layout(w.type, rows, tile_groups);
  std::vector<uint8_t> out(static_cast<size_t>(l.bytes()) + 64, 0xA5);
  int64_t half = l.groups / 2;
  auto row = [&](int64_t i) { return w.row(i); };
  pack(w.type, l, row, half, l.groups, out.data());
  pack(w.type, l, row, 0, half, out.data());
  for (int i = 0; i < 64; ++i) ASSERT_EQ(out[static_cast<size_t>(l.bytes() + i)], 0xA5) << "written past the end";
  FormReader reader(f, *f.form);
  for (int64_t at = 0; at < l.groups * rows; ++at) {
    const uint8_t* group = out.data() + at / rows * l.group_bytes();
    int r = static_cast<int>(at % rows);
    for (int64_t i = 0; i < k; ++i) {
      int e = static_cast<int>(i % f.block);
      if (at < n && e == 0) reader.read(w.row(at) + i / f.block * f.block_bytes);
      ASSERT_EQ(read_code(l, group, i, r), at < n ? reader.raw(e) : 0) << "row " << at << " element " << i;
      for (size_t s = 0; s < l.scale.size(); ++s)
        ASSERT_EQ(read_level(l, l.scale[s], group, i, r), at < n ? reader.scale(static_cast<int>(s), e) : 0)
            << "row " << at << " element " << i;
      for (size_t s = 0; s < l.offset.size(); ++s)
        ASSERT_EQ(read_level(l, l.offset[s], group, i, r), at < n ? reader.offset_level(static_cast<int>(s), e) : 0)
            << "row " << at << " element " << i;
    }
  }
}

std::vector<ir::FormatType> all_formats() {
  return {q4_0(), q4_1(), q5_0(), q5_1(), q8_0(), q4_k(), q6_k(), iq4_nl(), mxfp4(), three_bit(), six_bit()};
}

TEST(Pack, ReadsBack) {
  for (const ir::FormatType& f : all_formats()) {
    expect_packed(f, 8, f.block * 3, 8, 1);
    expect_packed(f, 21, 256, 16, 2);
    expect_packed(f, 5, 512, 4, 1);
  }
}

TEST(Pack, OddForms) {
  Builder t("ternary", 160);  // digits in base 3: no bit field, but one byte each
  int d = t.field("d", DType::F16, 1), q = t.field("q", DType::U8, 32);
  E power = table({1, 3, 9, 27, 81}, testing::k / 32);
  expect_packed(Builder(t).done(t.at(d, 0) * (((((t.at(q, testing::k % 32) * power) & 255) * 3) >> 8) - 1)), 9, 320, 8, 1);
  Builder s("sixteen", 16);  // blocks shorter than a unit; a scale that is computed
  int a = s.field("a", DType::F16, 2), c = s.field("c", DType::U8, 16);
  expect_packed(Builder(s).done(s.at(a, 0) * s.at(a, 1) * s.at(c, testing::k)), 9, 96, 8, 1);
  Builder x("crossing", 32);  // a code that adds bits of two bytes
  int e = x.field("e", DType::U8, 33), g = x.field("g", DType::F32, 1);
  expect_packed(Builder(x).done(x.at(g, 0) * ((x.at(e, testing::k) & 15) + (x.at(e, testing::k + 1) >> 4))), 9, 96, 8, 1);
}

TEST(Pack, FastPathsAreTaken) {
  for (const ir::FormatType& f : all_formats()) EXPECT_TRUE(BlockReader(f).fast()) << f.name;
}

TEST(Pack, Floats) {
  std::mt19937 rng(5);
  for (DType stored : {DType::F32, DType::F16, DType::BF16})
    for (DType element : {DType::F32, DType::F16, DType::BF16}) {
      ir::Type type;
      type.scalar = stored;
      type.dims = {ir::Dim(11), ir::Dim(7)};
      int size = size_of(stored);
      std::vector<uint8_t> data(static_cast<size_t>(11 * 7 * size));
      for (int i = 0; i < 77; ++i) {
        uint64_t bits = ir::float_bits(ir::round_to(std::ldexp(static_cast<float>(rng() % 1000) - 500, -6), stored), stored);
        std::memcpy(data.data() + i * size, &bits, static_cast<size_t>(size));
      }
      PackedLayout l = packed_float_layout(type, 8, 1, element);
      std::vector<uint8_t> out(static_cast<size_t>(l.bytes()), 0xA5);
      pack(
          type, l, [&](int64_t n) { return data.data() + n * 7 * size; }, 0, l.groups, out.data());
      for (int64_t n = 0; n < l.groups * 8; ++n)
        for (int64_t i = 0; i < 7; ++i) {
          float got = read_float(element, out.data() + n / 8 * l.group_bytes() + (i * 8 + n % 8) * size_of(element));
          float want = n < 11 ? ir::round_to(read_float(stored, data.data() + (n * 7 + i) * size), element) : 0.0f;
          ASSERT_EQ(got, want);
        }
    }
}

TEST(Pack, FormatsAsFloats) {
  ir::FormatType f = q4_k();
  Weight w = random_weight(f, 5, 512, 9);
  PackedLayout l = packed_float_layout(w.type, 8, 1, DType::F32);
  std::vector<uint8_t> out(static_cast<size_t>(l.bytes()));
  pack(
      w.type, l, [&](int64_t n) { return w.row(n); }, 0, l.groups, out.data());
  BlockProgram value(f, {f.value});
  for (int64_t n = 0; n < 5; ++n)
    for (int64_t i = 0; i < 512; ++i) {
      value.run(w.row(n) + i / 256 * f.block_bytes, i % 256);
      ASSERT_EQ(read_float(DType::F32, out.data() + (i * 8 + n) * 4), value.real(0));
    }
}

// Not a test of speed (machines differ), a measurement: LUMEN_MEASURE=1 prints source MB/s of one thread.
TEST(Pack, Measure) {
  if (!std::getenv("LUMEN_MEASURE")) GTEST_SKIP();
  for (const ir::FormatType& f : all_formats()) {
    Weight w = random_weight(f, 512, 4096 / f.block * f.block, 1);
    PackedLayout l = packed_layout(w.type, 8, 2);
    std::vector<uint8_t> out(static_cast<size_t>(l.bytes()));
    auto once = [&] {
      pack(
          w.type, l, [&](int64_t n) { return w.row(n); }, 0, l.groups, out.data());
    };
    once();
    std::clock_t t0 = std::clock();  // processor time: neighbours do not count
    for (int i = 0; i < 20; ++i) once();
    double s = static_cast<double>(std::clock() - t0) / CLOCKS_PER_SEC;
    std::printf("%-10s %7.0f MB/s in, %7.0f M elements/s\n", f.name.c_str(), 20.0 * w.data.size() / s / 1e6, 20.0 * 512 * 4096 / s / 1e6);
  }
}

}  // namespace
}  // namespace lumen::formats
