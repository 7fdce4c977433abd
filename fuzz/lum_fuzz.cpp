// Fuzz target: any text goes through the parser without a crash, and what parses prints to text that parses to the same tree
// and prints the same again. clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Isrc fuzz/lum_fuzz.cpp
// src/compiler/syntax/{lexer,expr,stmt,parser,printer,tree}.cpp src/base/diag.cpp -o lum_fuzz; seeds: lum/*/*.lum
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "compiler/syntax/parser.h"

namespace {

lumen::syntax::Parsed parse(std::string text) {
  return lumen::syntax::parse(std::make_shared<const lumen::Source>(lumen::Source{"fuzz.lum", std::move(text)}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lumen::syntax::Parsed first = parse(std::string(reinterpret_cast<const char*>(data), size));
  if (!first.errors.empty()) {
    LUMEN_ASSERT(!lumen::render(first.errors).empty());
    return 0;
  }
  std::string printed = lumen::syntax::print(first.file);
  lumen::syntax::Parsed second = parse(printed);
  LUMEN_ASSERT(second.errors.empty());
  LUMEN_ASSERT(lumen::syntax::print(second.file) == printed);
  LUMEN_ASSERT(lumen::syntax::print_tree(second.file) == lumen::syntax::print_tree(first.file));
  return 0;
}
