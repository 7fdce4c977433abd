// The standard formats as their .lum files declare them: their values against PyPI gguf's, their forms as text, their packing.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/filetest.h"
#include "compiler/formats/block_reader.h"
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
  EXPECT_EQ(formats, 16);
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
    EXPECT_TRUE(BlockReader(f).fast());
    std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes));
    for (int trial = 0; trial < 4; ++trial) {
      random_block(f, rng, block.data());
      reader.read(block.data());
      for (int k = 0; k < f.block; ++k) {
        double want = ir::decode(f, block.data(), k);
        if (!std::isfinite(want)) continue;
        ASSERT_NEAR(want, reader.value(k), 1e-6 * (std::fabs(reader.scaled(k)) + std::fabs(reader.offset(k)))) << "element " << k;
      }
    }
  }
  EXPECT_GE(forms, 13);
}

}  // namespace
}  // namespace lumen::formats
