// Encoding: how close decode(encode(x)) comes, against gguf's quantisers, against theory and against storing nothing at all.
#include "compiler/formats/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <set>
#include <sstream>

#include "compiler/formats/form_reader.h"
#include "compiler/formats/row_decoder.h"
#include "compiler/formats/test_formats.h"
#include "compiler/ir/interp.h"
#include "compiler/ir/scalar.h"
#include "compiler/sema/library.h"

namespace lumen::formats {
namespace {

using namespace testing;

// Bell-shaped numbers, alike in tests/golden/make_formats.py.
std::vector<float> numbers(size_t count) {
  uint64_t state = 0x9E3779B97F4A7C15ull;
  std::vector<float> out;
  for (size_t i = 0; i < count; ++i) {
    int64_t total = 0;
    for (int j = 0; j < 8; ++j) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      total += static_cast<int64_t>(state >> 48);
    }
    out.push_back(static_cast<float>(total - 8 * 32768) / 65536.0f);
  }
  return out;
}

// Encodes rows of 256 (or of one block, where that is longer) and decodes them; empty where encoding failed.
std::vector<float> round_trip(const ir::FormatType& f, const std::vector<float>& x, const float* importance = nullptr) {
  int64_t k = std::lcm(f.block, 256);
  std::vector<float> back(x.size());
  std::vector<uint8_t> row(static_cast<size_t>(ir::row_bytes(f, k)) + 16, 0xA5);
  for (size_t at = 0; at + static_cast<size_t>(k) <= x.size(); at += static_cast<size_t>(k)) {
    Status s = encode_row(f, x.data() + at, k, row.data(), importance ? importance + at : nullptr);
    EXPECT_TRUE(s.ok()) << s.error().message;
    if (!s) return {};
    for (int i = 0; i < 16; ++i) EXPECT_EQ(row[row.size() - 1 - static_cast<size_t>(i)], 0xA5) << "written past the row";
    ir::decode_row(f, row.data(), k, back.data() + at);
  }
  return back;
}

double rmse(const std::vector<float>& x, const std::vector<float>& y, const float* w = nullptr) {
  double sum = 0, weight = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double e = static_cast<double>(x[i]) - y[i], wi = w ? w[i] : 1;
    sum += wi * e * e;
    weight += wi;
  }
  return std::sqrt(sum / weight);
}

const sema::Library& library() {
  static sema::Library lib = sema::Library::standard().take();
  return lib;
}

TEST(Encode, NoWorseThanGguf) {
  std::ifstream in(std::string(LUMEN_SOURCE_DIR) + "/tests/golden/formats.txt");
  ASSERT_TRUE(in);
  std::vector<float> x = numbers(32 * 256);
  int compared = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what, name;
    double theirs = 0;
    words >> what >> name >> theirs;
    if (what != "encode") continue;
    auto f = library().format(name);
    ASSERT_TRUE(f.ok() && *f) << name;
    double ours = rmse(x, round_trip(**f, x));
    std::printf("%-6s %.6f, gguf %.6f (%.3f)\n", name.c_str(), ours, theirs, ours / theirs);
    EXPECT_LE(ours, 1.02 * theirs) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 5);
}

// Upper bounds relative to the numbers' deviation (0.82), a little above what the search reaches.
TEST(Encode, ErrorsNearTheory) {
  std::vector<float> x = numbers(64 * 256);
  double size = rmse(x, std::vector<float>(x.size(), 0.0f));
  struct Bound {
    const char* name;
    double relative;
  };
  for (Bound b : {Bound{"q2_k", 0.264},
                  {"q3_k", 0.1445},
                  {"q4_k", 0.0706},
                  {"q5_k", 0.0352},
                  {"q6_k", 0.0171},
                  {"q8_0", 0.00495},
                  {"iq4_nl", 0.0757},
                  {"iq4_xs", 0.0757},
                  {"mxfp4", 0.1162},
                  {"q4_0", 0.0816}}) {
    auto f = library().format(b.name);
    ASSERT_TRUE(f.ok() && *f) << b.name;
    double relative = rmse(x, round_trip(**f, x)) / size;
    std::printf("%-7s %.5f of %.5f\n", b.name, relative, b.relative);
    EXPECT_LE(relative, b.relative) << b.name;
    EXPECT_GT(relative, b.relative * 0.9) << b.name << ": the bound is loose";
  }
}

TEST(Encode, UsersFormats) {
  std::vector<float> x = numbers(60 * 256);
  double size = rmse(x, std::vector<float>(x.size(), 0.0f));
  double three = rmse(x, round_trip(three_bit(), x)) / size;
  std::printf("three_bit %.5f\n", three);
  EXPECT_LE(three, 0.20);
  EXPECT_LE(rmse(x, round_trip(six_bit(), x)) / size, 0.022);
  Builder t("ternary", 160);  // five digits in base 3 a byte
  int d = t.field("d", DType::F16, 1), q = t.field("q", DType::U8, 32);
  E power = table({1, 3, 9, 27, 81}, testing::k / 32);
  ir::FormatType f = t.done(t.at(d, 0) * (((((t.at(q, testing::k % 32) * power) & 255) * 3) >> 8) - 1));
  EXPECT_LE(rmse(x, round_trip(f, x)) / size, 0.45);
  Builder b("large_table", 32);  // not every raw code is reachable
  int bd = b.field("d", DType::F32, 1), bq = b.field("q", DType::U8, 32);
  std::vector<double> levels;
  for (int i = 0; i < 32; ++i) levels.push_back(i * i / 4 - 120);
  f = b.done(-b.at(bd, 0) * table(levels, b.at(bq, testing::k) & 31));
  EXPECT_LE(rmse(x, round_trip(f, x)) / size, 0.06);
}

TEST(Encode, PlainFloats) {
  std::vector<float> x = numbers(256);
  for (DType t : {DType::F32, DType::F16, DType::BF16}) {
    Builder b("plain", 1);
    int v = b.field("v", t, 1);
    std::vector<float> back = round_trip(b.done(b.at(v, 0)), x);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(back[i], ir::round_to(x[i], t));
  }
}

TEST(Encode, SpecialBlocks) {
  for (const ir::FormatType& f : {q4_0(), q4_1(), q8_0(), q4_k(), q6_k(), iq4_nl(), mxfp4(), three_bit(), six_bit()}) {
    SCOPED_TRACE(f.name);
    std::vector<float> zero(512, 0.0f), same(512, 0.5f), spike(512, 0.0f), tiny(512, 1e-30f), negative(512, -2.0f);
    for (size_t i = 0; i < 512; i += 64) spike[i + 7] = -3;
    EXPECT_LE(rmse(zero, round_trip(f, zero)), 1e-6);
    EXPECT_LE(rmse(same, round_trip(f, same)), 0.05);
    EXPECT_LE(rmse(spike, round_trip(f, spike)), 0.12);
    EXPECT_LE(rmse(tiny, round_trip(f, tiny)), 1e-6);
    EXPECT_LE(rmse(negative, round_trip(f, negative)), 0.2);
  }
}

TEST(Encode, ImportanceIsHeeded) {
  std::vector<float> x = numbers(16 * 256), w(x.size());
  for (size_t i = 0; i < w.size(); ++i) w[i] = i % 7 == 0 ? 20.0f : 0.1f;
  for (const ir::FormatType& f : {q4_0(), q4_1(), q4_k(), three_bit()})
    EXPECT_LT(rmse(x, round_trip(f, x, w.data()), w.data()), 0.9 * rmse(x, round_trip(f, x), w.data())) << f.name;
}

TEST(Encode, Errors) {
  std::vector<float> x(64, 1.0f);
  std::vector<uint8_t> row(1024);
  auto error = [&](const ir::FormatType& f, int64_t k) {
    Status s = encode_row(f, x.data(), k, row.data());
    return s ? "" : s.error().message;
  };
  EXPECT_EQ(error(q4_0(), 48), "format q4_0 takes rows of whole blocks of 32 elements, not 48");
  Builder b("whole", 32);
  int d = b.field("d", DType::F16, 1), q = b.field("q", DType::F16, 32);
  EXPECT_EQ(error(Builder(b).done(b.at(q, testing::k)), 64),
            "format whole cannot be written: it has no integer form (element 0 takes its code from 16 bits, at most 12 are looked at)");
  Builder c("tied", 32);
  d = c.field("d", DType::F16, 1), q = c.field("q", DType::U8, 32);
  ir::FormatType tied = Builder(c).done(c.at(d, 0) * c.at(q, testing::k) - c.at(d, 0) * c.at(d, 0));
  EXPECT_EQ(why_not_encodable(tied),
            "two of its scales, offsets and codes share bits, so they cannot be chosen one by one");
  x[5] = NAN;
  EXPECT_EQ(error(q4_0(), 64), "element 5 of the row to be written in format q4_0 is not a finite number");
}

TEST(Encode, InterpreterHook) {  // a computed tensor in a searched format
  ir::Function f;
  ir::Type in, out;
  in.dims = {ir::Dim(2), ir::Dim(64)};
  out = in;
  out.format = std::make_shared<ir::FormatType>(q4_0());
  ir::add_param(f, "x", in, ir::Role::Input);
  f.results = {ir::add_compute(f, out, {0}, {"n", "k"}, ir::make_load(0, DType::F32, {ir::make_index(0), ir::make_index(1)}))};
  ir::Tensor x = ir::make_tensor(in);
  std::vector<float> values = numbers(128);
  std::memcpy(x.data.data(), values.data(), 512);
  ir::Bindings b;
  b.params["x"] = &x;
  EXPECT_FALSE(ir::interpret(f, b).ok());
  install_encode_hook();
  auto got = ir::interpret(f, b);
  ir::set_encode_hook(nullptr);
  ASSERT_TRUE(got.ok()) << got.error().message;
  std::vector<uint8_t> want(36);
  for (int n = 0; n < 2; ++n) {
    ASSERT_TRUE(encode_row(*out.format, values.data() + 64 * n, 64, want.data()).ok());
    EXPECT_EQ(std::memcmp(want.data(), (*got)[0].bytes() + 36 * n, 36), 0);
  }
}

// Grids choose eight elements by one number, and eight-bit floats are no multiples of anything: those are read, not written.
TEST(Encode, StandardFormatsCanBeWrittenButForGridsAndSmallFloats) {
  const std::set<std::string> read_only = {"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "nvfp4_scaled",
                                           "float8_e4m3", "float8_e5m2", "mlx_mxfp8"};
  for (const std::string& name : library().format_names()) {
    auto f = library().format(name);
    if (!f || !*f) continue;
    EXPECT_EQ(why_not_encodable(**f).empty(), !read_only.count(name)) << name << ": " << why_not_encodable(**f);
  }
}

TEST(Encode, RowsDecodedInBatchesAreTheInterpreters) {  // fewer blocks than a batch, just one, some over
  std::vector<float> x = numbers(64 * 256);
  for (const ir::FormatType& f : {q4_0(), q8_0(), q4_k(), q6_k(), iq4_nl(), mxfp4(), three_bit(), six_bit()}) {
    ir::Type type;
    type.format = std::make_shared<ir::FormatType>(f);
    RowDecoder decoder(type);
    std::vector<uint8_t> row(static_cast<size_t>(ir::row_bytes(f, 64 * 256)));
    ASSERT_TRUE(encode_row(f, x.data(), 64 * 256, row.data()).ok());
    for (int64_t blocks : {1, 5, 16, 17, 35}) {
      std::vector<float> got(static_cast<size_t>(blocks * f.block)), want(got.size());
      decoder.decode(row.data(), blocks * f.block, got.data());
      ir::decode_row(f, row.data(), blocks * f.block, want.data());
      EXPECT_EQ(std::memcmp(got.data(), want.data(), 4 * got.size()), 0) << f.name << ", " << blocks << " blocks";
    }
  }
}

// LUMEN_MEASURE=1 prints elements a second of one thread.
TEST(Encode, Measure) {
  if (!std::getenv("LUMEN_MEASURE")) GTEST_SKIP();
  std::vector<float> x = numbers(128 * 256);
  for (const ir::FormatType& f : {q4_0(), q4_1(), q8_0(), q4_k(), q6_k(), iq4_nl(), mxfp4(), three_bit(), six_bit()}) {
    std::vector<uint8_t> row(static_cast<size_t>(ir::row_bytes(f, 128 * 256)));
    ASSERT_TRUE(encode_row(f, x.data(), 256, row.data()).ok());
    std::clock_t t0 = std::clock();
    ASSERT_TRUE(encode_row(f, x.data(), 128 * 256, row.data()).ok());
    std::printf("%-10s %6.2f M elements/s\n", f.name.c_str(), 128 * 256 / (static_cast<double>(std::clock() - t0) / CLOCKS_PER_SEC) / 1e6);
  }
}

}  // namespace
}  // namespace lumen::formats
