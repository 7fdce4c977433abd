// MLX's layouts and eight-bit floats: values against mx.dequantize's, error 0 (integer codes have no sign of zero: -0 is 0); forms;
// where their fields lie.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "compiler/formats/describe.h"
#include "compiler/formats/row_decoder.h"
#include "compiler/ir/interp.h"
#include "compiler/sema/library.h"

namespace lumen::formats {
namespace {

const sema::Library& library() {
  static sema::Library lib = sema::Library::standard().take();
  return lib;
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> r;
  for (size_t i = 0; i + 1 < text.size(); i += 2) r.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return r;
}

ir::FormatRef format(const std::string& name) {
  auto f = library().format(name);
  EXPECT_TRUE(f.ok()) << f.error().message;
  return f ? *f : nullptr;
}

// tests/golden/mlx.txt, written by make_mlx.py beside it.
TEST(Mlx, ValuesEqualDequantize) {
  std::ifstream in(std::string(LUMEN_SOURCE_DIR) + "/tests/golden/mlx.txt");
  ASSERT_TRUE(in);
  std::set<std::string> names;
  for (std::string what, name, blocks_hex, values_hex, base; in >> what >> name >> blocks_hex >> values_hex;) {
    SCOPED_TRACE(name);
    ir::FormatRef f = format(name);
    ASSERT_TRUE(f);
    std::vector<uint8_t> blocks = from_hex(blocks_hex), bits = from_hex(values_hex);
    int64_t k = static_cast<int64_t>(bits.size()) / 4;
    ASSERT_EQ(ir::row_bytes(*f, k), static_cast<int64_t>(blocks.size()));
    std::vector<float> fast(static_cast<size_t>(k)), slow(fast);
    ir::Type type{DType::F32, f, {}};
    RowDecoder(type).decode(blocks.data(), k, fast.data());
    ir::decode_row(*f, blocks.data(), k, slow.data());
    for (size_t i = 0; i < fast.size(); ++i) {
      float want;
      std::memcpy(&want, bits.data() + 4 * i, 4);
      for (float got : {fast[i], slow[i]})
        ASSERT_TRUE(std::isnan(want) ? std::isnan(got) : got == want) << "element " << i << ": " << got << ", not " << want;
    }
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 38u);  // 7 widths × (3 groups in f32, one in f16, one in bf16), three MX modes
}

TEST(Mlx, AffineWidthsHaveIntegerForms) {
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128}) {
      ir::FormatRef f = format("mlx_affine<" + std::to_string(bits) + ", " + std::to_string(group) + ", bf16>");
      ASSERT_TRUE(f);
      ASSERT_TRUE(f->form) << f->name << ": " << f->why_no_form;
      EXPECT_EQ(f->form->bits, bits) << describe(*f);
      ASSERT_EQ(f->form->scale.size(), 1u) << describe(*f);
      ASSERT_EQ(f->form->offset.size(), 1u) << describe(*f);
      EXPECT_EQ(f->form->scale[0].stored, DType::BF16);
      EXPECT_EQ(f->form->scale[0].extent, group);
    }
  EXPECT_TRUE(format("mlx_mxfp4")->form) << format("mlx_mxfp4")->why_no_form;
  EXPECT_TRUE(format("mlx_nvfp4")->form) << format("mlx_nvfp4")->why_no_form;
}

TEST(Mlx, FieldsInOtherTensors) {
  ir::FormatRef f = format("mlx_affine<4, 64, f16>");
  ASSERT_EQ(f->fields.size(), 3u);
  EXPECT_EQ(f->fields[0].beside, "");
  EXPECT_EQ(f->fields[1].beside, "scales");
  EXPECT_EQ(f->fields[2].beside, "biases");
  ir::FormatRef b = format("float8_e4m3_blocks<f32>");
  EXPECT_EQ(b->fields[1].beside, "weight_scale_inv");
  EXPECT_EQ(b->fields[1].rows, 128);
  EXPECT_EQ(b->fields[1].elements, 128);
}

// All 256 codes, by the definition: 1 sign, 4 and 3 bits under bias 7; 5 and 2 under 15.
TEST(Float8, EveryCode) {
  auto define = [](int c, int mantissa, int bias, bool infinities) {
    int e = (c & 127) >> mantissa, m = c & ((1 << mantissa) - 1), top = (127 >> mantissa);
    double sign = c > 127 ? -1 : 1, one = 1 << mantissa;
    if (infinities && e == top) return m ? std::nan("") : sign * INFINITY;
    if (!infinities && (c & 127) == 127) return std::nan("");
    return sign * (e == 0 ? std::ldexp(m / one, 1 - bias) : std::ldexp(1 + m / one, e - bias));
  };
  std::vector<uint8_t> codes(256);
  for (int i = 0; i < 256; ++i) codes[static_cast<size_t>(i)] = static_cast<uint8_t>(i);
  std::vector<float> x(256);
  for (bool e5 : {false, true}) {
    ir::FormatRef f = format(e5 ? "float8_e5m2" : "float8_e4m3");
    ir::decode_row(*f, codes.data(), 256, x.data());
    for (int i = 0; i < 256; ++i) {
      double want = e5 ? define(i, 2, 15, true) : define(i, 3, 7, false);
      EXPECT_TRUE(std::isnan(want) ? std::isnan(x[static_cast<size_t>(i)]) : x[static_cast<size_t>(i)] == want) << f->name << " " << i;
    }
  }
}

}  // namespace
}  // namespace lumen::formats
