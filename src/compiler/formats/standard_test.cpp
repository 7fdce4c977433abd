// The standard formats as their .lum files declare them: their values against PyPI gguf's, their forms as text, their packing.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

#include "base/filetest.h"
#include "compiler/formats/block_reader.h"
#include "compiler/formats/classify.h"
#include "compiler/formats/describe.h"
#include "compiler/formats/form_reader.h"
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

// tests/golden/formats.txt, written by make_formats.py beside it: bit for bit, by the interpreter and by the decoder of packing.
TEST(Standard, ValuesEqualGguf) {
  std::ifstream in(std::string(LUMEN_SOURCE_DIR) + "/tests/golden/formats.txt");
  ASSERT_TRUE(in);
  int formats = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what, name, blocks_hex, values_hex;
    int type = -1;
    words >> what >> name;
    if (what != "decode") continue;
    words >> type >> blocks_hex >> values_hex;
    SCOPED_TRACE(name);
    std::vector<uint8_t> blocks = from_hex(blocks_hex), bits = from_hex(values_hex);
    int64_t k = static_cast<int64_t>(bits.size()) / 4;
    auto element = library().element_by_gguf_type(type);
    ASSERT_TRUE(element.ok()) << element.error().message;
    ASSERT_TRUE(*element) << "no format declares GGUF type " << type;
    std::vector<float> fast(static_cast<size_t>(k)), slow(static_cast<size_t>(k));
    RowDecoder(**element).decode(blocks.data(), k, fast.data());
    EXPECT_EQ(std::memcmp(fast.data(), bits.data(), bits.size()), 0) << "RowDecoder";
    ++formats;
    if (!(*element)->format) continue;
    EXPECT_EQ((*element)->format->name, name);
    ASSERT_EQ(ir::row_bytes(*(*element)->format, k), static_cast<int64_t>(blocks.size()));
    ir::decode_row(*(*element)->format, blocks.data(), k, slow.data());
    for (int64_t i = 0; i < k; ++i) {
      float want;
      std::memcpy(&want, bits.data() + 4 * i, 4);
      ASSERT_EQ(std::memcmp(&slow[static_cast<size_t>(i)], &want, 4), 0)
          << "element " << i << ": " << slow[static_cast<size_t>(i)] << ", not " << want;
    }
  }
  EXPECT_EQ(formats, 28);
}

// The "cover" lines: thousands of blocks of any bits (make_formats.py says how they are made), so that every row of a grid, every
// byte of a field and every scale comes up; of their values a hash is kept.
TEST(Standard, ValuesOfAnyBits) {
  std::ifstream in(std::string(LUMEN_SOURCE_DIR) + "/tests/golden/formats.txt");
  ASSERT_TRUE(in);
  int formats = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what, name, hash_hex;
    int type = -1, count = 0;
    words >> what >> name;
    if (what != "cover") continue;
    words >> type >> count >> hash_hex;
    SCOPED_TRACE(name);
    auto element = library().element_by_gguf_type(type);
    ASSERT_TRUE(element.ok()) << element.error().message;
    ASSERT_TRUE(*element && (*element)->format) << "no format declares GGUF type " << type;
    const ir::FormatType& f = *(*element)->format;
    std::vector<uint8_t> blocks(static_cast<size_t>((count * f.block_bytes + 3) / 4 * 4));
    uint64_t state = 0x9E3779B97F4A7C15ull + static_cast<uint64_t>(type), hash = 0xCBF29CE484222325ull;
    for (size_t at = 0; at < blocks.size(); at += 4) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      uint32_t word = static_cast<uint32_t>(state >> 32);
      std::memcpy(&blocks[at], &word, 4);
    }
    int64_t k = static_cast<int64_t>(count) * f.block, some = 16 * f.block;
    std::vector<float> values(static_cast<size_t>(k)), slow(static_cast<size_t>(some));
    RowDecoder(**element).decode(blocks.data(), k, values.data());
    for (float v : values) {
      uint32_t bits = 0x7FC00000;
      if (!std::isnan(v)) std::memcpy(&bits, &v, 4);
      hash = (hash ^ bits) * 0x100000001B3ull;
    }
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
    EXPECT_EQ(text, hash_hex);
    ir::decode_row(f, blocks.data(), some, slow.data());
    for (int64_t i = 0; i < some; ++i) {
      float a = slow[static_cast<size_t>(i)], b = values[static_cast<size_t>(i)];
      ASSERT_TRUE(std::memcmp(&a, &b, 4) == 0 || (std::isnan(a) && std::isnan(b))) << "element " << i << ": " << a << ", not " << b;
    }
    ++formats;
  }
  EXPECT_EQ(formats, 25);
}

std::string levels_text(const ir::FormatType& f, const std::string& what, const std::vector<ir::ScaleLevel>& levels) {
  std::string r;
  for (const ir::ScaleLevel& l : levels)
    r += what + "[0]: " + to_text(f, l.value[0]) + "\n" + what + "[last]: " + to_text(f, l.value.back()) + "\n";
  return r;
}

// "# test: form NAME": the description, then some of the expressions behind it. A format in the input is added to the library.
std::string form_text(const filetest::Case& c) {
  sema::Library lib = sema::Library::standard().take();
  std::istringstream words(c.command);
  std::string command, name;
  words >> command >> name;
  if (command != "form" || name.empty()) return "unknown command '" + c.command + "'\n";
  std::vector<Diag> diags = lib.add(std::make_shared<Source>(Source{c.name, c.input}));
  if (!diags.empty()) return render(diags);
  auto found = lib.format(name);
  if (!found) return found.error().message;
  if (!*found) return "a plain scalar type\n";
  const ir::FormatType& f = **found;
  std::string r = describe(f) + "\n";
  if (!f.form) return r;
  r += "raw[0]: " + to_text(f, f.form->raw[0]) + "\nraw[last]: " + to_text(f, f.form->raw.back()) + "\n";
  return r + levels_text(f, "scale", f.form->scale) + levels_text(f, "offset", f.form->offset);
}

TEST(Standard, Files) { filetest::run_filetests("formats", form_text); }

// The form of every standard block format reproduces the interpreter's values, and none of them packs through the slow path.
TEST(Standard, FormsReproduceValues) {
  std::mt19937 rng(11);
  int forms = 0;
  for (const std::string& name : library().format_names()) {
    SCOPED_TRACE(name);
    auto found = library().format(name);
    if (!found || !*found || !(*found)->form) continue;
    const ir::FormatType& f = **found;
    ++forms;
    FormReader reader(f, *f.form);
    BlockReader fast(f);
    EXPECT_TRUE(fast.fast());
    BlockReader::Scratch scratch(fast);
    std::vector<uint8_t> raw(static_cast<size_t>(f.block));
    std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes));
    for (int trial = 0; trial < 4; ++trial) {
      random_block(f, rng, block.data());
      reader.read(block.data());
      fast.read_codes(block.data(), raw.data(), scratch);
      fast.begin_levels(block.data(), scratch);
      for (int k = 0; k < f.block; ++k) {
        ASSERT_EQ(raw[static_cast<size_t>(k)], reader.raw(k)) << "element " << k;
        for (size_t i = 0; i < f.form->scale.size(); ++i) {
          const ir::ScaleLevel& l = f.form->scale[i];
          double level = reader.scale(static_cast<int>(i), k);
          ASSERT_EQ(BlockReader::level_bits(block.data(), fast.entry(i, static_cast<size_t>(k / l.extent)), scratch), stored_bits(level, l.stored))
              << "scale " << i << " of element " << k;
        }
        for (size_t i = 0; i < f.form->offset.size(); ++i) {
          const ir::ScaleLevel& l = f.form->offset[i];
          const BlockReader::Entry& entry = fast.entry(f.form->scale.size() + i, static_cast<size_t>(k / l.extent));
          ASSERT_EQ(BlockReader::level_bits(block.data(), entry, scratch), stored_bits(reader.offset_level(static_cast<int>(i), k), l.stored))
              << "offset " << i << " of element " << k;
        }
        double want = ir::decode(f, block.data(), k);
        if (!std::isfinite(want)) continue;
        ASSERT_NEAR(want, reader.value(k), 1e-6 * (std::fabs(reader.scaled(k)) + std::fabs(reader.offset(k)))) << "element " << k;
      }
    }
  }
  EXPECT_GE(forms, 25);
}

// A measurement, not a test: LUMEN_MEASURE=1 prints what a format costs at the start of the program, and how fast it is packed.
TEST(Standard, Measure) {
  if (!std::getenv("LUMEN_MEASURE")) GTEST_SKIP();
  auto ms_since = [](std::clock_t t0) { return 1e3 * static_cast<double>(std::clock() - t0) / CLOCKS_PER_SEC; };
  std::clock_t start = std::clock();
  sema::Library lib = sema::Library::standard().take();
  std::printf("%-10s %7.2f ms to parse\n", "library", ms_since(start));
  for (const std::string& name : lib.format_names()) {
    std::clock_t t0 = std::clock();
    auto found = lib.format(name);
    double elaborate = ms_since(t0);
    if (!found || !*found || !(*found)->form) continue;
    const ir::FormatType& f = **found;
    ir::FormatType again = f;
    t0 = std::clock();
    classify(again);
    double classified = ms_since(t0);
    t0 = std::clock();
    BlockReader reader(f);
    double planned = ms_since(t0);
    BlockReader::Scratch scratch(reader);
    std::vector<uint8_t> blocks(static_cast<size_t>(f.block_bytes) * 64), raw(static_cast<size_t>(f.block));
    std::mt19937 rng(1);
    for (int b = 0; b < 64; ++b) random_block(f, rng, blocks.data() + b * f.block_bytes);
    t0 = std::clock();
    int rounds = (1 << 24) / (64 * f.block);
    for (int i = 0; i < rounds; ++i)
      for (int b = 0; b < 64; ++b) reader.read_codes(blocks.data() + b * f.block_bytes, raw.data(), scratch);
    double read = ms_since(t0);
    std::printf("%-10s %7.2f ms to make, of it %6.2f ms to classify; %6.2f ms for the reader, %6.0f M codes/s\n", name.c_str(), elaborate,
                classified, planned, 64e-3 * rounds * f.block / read);
  }
}

}  // namespace
}  // namespace lumen::formats
