// The kernels that every device's kernels_test.cpp runs: functions of the standard library after the passes, with random parameters.
// What a device computes must equal what the interpreter says of the same function: kernel_check_test.h.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "compiler/ir/interp.h"
#include "compiler/passes/passes.h"
#include "compiler/sema/test_ir.h"

namespace lumen::kernel_cases {

using Symbols = std::map<std::string, int64_t>;
using Params = std::map<std::string, ir::Tensor>;
using Bind = std::map<std::string, sema::StaticValue>;

struct Case {
  std::string what;  // for messages
  ir::Function f;    // results: its own, then the requantised activations
  Symbols symbols;
  Params params;
  int token_hint = 0;
};

// Random storage: integer fields any bits, floats of moderate size.
inline void fill(ir::Tensor& t, std::mt19937& rng) {
  std::uniform_real_distribution<float> real(-1, 1);
  auto put = [&](uint8_t* at, DType d, float scale) {
    float x = scale * real(rng);
    uint16_t half = d == DType::F16 ? float_to_half(x) : float_to_bfloat(x);
    if (d == DType::F32)
      std::memcpy(at, &x, 4);
    else
      std::memcpy(at, &half, 2);
  };
  auto any_bits = [&](uint8_t* at, int n) {
    for (int i = 0; i < n; ++i) at[i] = static_cast<uint8_t>(rng());
  };
  if (!t.type.format) {
    DType scalar = t.type.scalar;
    for (size_t i = 0; i < t.data.size(); i += size_of(scalar))
      if (is_float(scalar))
        put(&t.data[i], scalar, 1);
      else
        any_bits(&t.data[i], size_of(scalar));
    return;
  }
  const ir::FormatType& f = *t.type.format;
  auto fill_block = [&](uint8_t* block) {
    for (const ir::FormatField& field : f.fields) {
      bool exponent = field.type == DType::U8 && f.fields.size() == 2 && field.count == 1;  // a block's scale as a power of two
      for (int i = 0; i < field.count; ++i) {
        uint8_t* at = block + field.offset + i * size_of(field.type);
        if (is_float(field.type))
          put(at, field.type, 0.02f);
        else if (exponent)
          *at = static_cast<uint8_t>(110 + rng() % 16);
        else
          any_bits(at, size_of(field.type));
      }
    }
  };
  // A code, or a scale put together from bits of integers, may be no number, of which a comparison says nothing.
  auto finite = [&](const uint8_t* block) {
    for (int k = 0; k < f.block; ++k)
      if (!std::isfinite(ir::decode(f, block, k))) return false;
    return true;
  };
  for (size_t b = 0; b + f.block_bytes <= t.data.size(); b += f.block_bytes) {
    do fill_block(&t.data[b]);
    while (!finite(&t.data[b]));
  }
}

inline Params random_params(const ir::Function& f, const Symbols& symbols, uint32_t seed) {
  std::mt19937 rng(seed);
  Params out;
  for (const ir::Value& v : f.values) {
    if (v.kind != ir::ValueKind::Param) continue;
    ir::Type type = v.type;
    for (ir::Dim& d : type.dims)
      if (!d.is_const()) d = ir::Dim(symbols.at(d.symbol));
    fill(out[v.name] = ir::make_tensor(type), rng);
  }
  return out;
}

inline void set_ints(Case& c, const char* name, const std::vector<int32_t>& v) {
  ASSERT_TRUE(c.params.count(name)) << name;
  ASSERT_EQ(c.params[name].data.size(), v.size() * 4) << name;
  std::memcpy(c.params[name].data.data(), v.data(), v.size() * 4);
}

// A function of the standard library, through the passes, with random parameters.
inline Case make_case(const std::string& fn, const Bind& bind, const Symbols& symbols, uint32_t seed, bool integer_dots, int token_hint) {
  auto f = sema::elaborate_function(sema::testing::standard_library(), fn, bind);
  EXPECT_TRUE(f) << f.error().message;
  if (!f) return {};
  passes::run(*f, {.integer_dots = integer_dots, .activation = sema::testing::activation});
  for (const ir::Value& v : f->values)
    if (v.kind == ir::ValueKind::Compute && v.type.format) f->results.push_back(v.id);
  Params params = random_params(*f, symbols, seed);
  return {fn, f.take(), symbols, std::move(params), token_hint};
}

// --- the cases ---------------------------------------------------------------------------------------------------

// Names of the formats that weights can have.
inline std::vector<std::string> weight_formats() {
  std::vector<std::string> out;
  for (const std::string& name : sema::testing::standard_library().format_names()) {
    auto f = sema::testing::standard_library().format(name);
    if (f && !(*f && (*f)->row_planes)) out.push_back(name);  // an error: it takes parameters
  }
  return out;
}

inline Case linear_case(const std::string& format, int64_t k, int64_t n, int64_t t, bool integer, int token_hint) {
  auto seed = static_cast<uint32_t>(k * 31 + n * 7 + t);
  Case c = make_case("linear", {{"K", k}, {"N", n}, {"W", format}}, {{"T", t}}, seed, integer, token_hint);
  c.what = "linear<" + format + "> K=" + std::to_string(k) + " N=" + std::to_string(n) + " T=" + std::to_string(t);
  if (!integer) c.what += " exact";
  return c;
}

// Rows of a table in its own storage, the last one and one of them twice.
inline Case embedding_case(const std::string& format) {
  ir::FormatRef f = sema::testing::find_format(format);
  Case c = make_case("embedding", {{"D", f && f->block > 1 ? 2 * int64_t{f->block} : int64_t{24}}, {"V", int64_t{9}}, {"W", format}}, {{"T", 5}}, 11, true, 0);
  set_ints(c, "tokens", {3, 8, 0, 3, 5});
  c.what = "embedding<" + format + ">";
  return c;
}

inline std::vector<Case> row_cases(std::initializer_list<int64_t> tokens) {
  const std::vector<std::pair<std::string, Bind>> kernels = {{"rms_norm", {{"D", int64_t{576}}, {"eps", 1e-5}}},
                                                             {"rms_norm", {{"D", int64_t{13}}, {"eps", 1e-5}}},
                                                             {"head_rms_norm", {{"H", int64_t{3}}, {"C", int64_t{64}}, {"eps", 1e-6}}},
                                                             {"softmax", {{"D", int64_t{100}}}},
                                                             {"bias_add", {{"N", int64_t{33}}}},
                                                             {"rope", {{"H", int64_t{3}}, {"C", int64_t{64}}, {"F", int64_t{32}}}},
                                                             {"rope", {{"H", int64_t{2}}, {"C", int64_t{40}}, {"F", int64_t{10}}}}};
  std::vector<Case> out;
  for (const auto& [fn, bind] : kernels)
    for (int64_t t : tokens) {
      out.push_back(make_case(fn, bind, {{"T", t}}, 5, true, 0));
      out.back().what += " T=" + std::to_string(t);
    }
  return out;
}

// Two sequences in one batch: a few single tokens, or (prompt) 70 tokens that come in blocks, 39 of one sequence in front of 31 of the
// other, so that a block holds both and pages are shared across its end. hint: 1 and 4 are plans for decoding, 0 is for prompts.
inline Case attention_case(int64_t heads, int64_t groups, int64_t width, int64_t window, bool prompt = false, int hint = 0) {
  int64_t tokens = prompt ? 70 : 3;
  Case c = make_case("attention",
                     {{"H", heads},
                      {"G", groups},
                      {"C", width},
                      {"D", width},
                      {"KF", std::string("f16")},
                      {"VF", std::string("f16")},
                      {"window", window},
                      {"scale", 1.0 / std::sqrt(static_cast<double>(width))}},
                     {{"T", tokens}, {"S", 2}, {"B", 4}, {"P", 8}}, 3, true, hint);
  std::vector<int> seq = {0, 1, 1}, pos = {70, 3, 33};
  if (prompt) {
    seq.clear(), pos.clear();
    for (int i = 0; i < 39; ++i) seq.push_back(0), pos.push_back(50 + i);
    for (int i = 0; i < 31; ++i) seq.push_back(1), pos.push_back(i);
  }
  set_ints(c, "seq", seq);
  set_ints(c, "pos", pos);
  set_ints(c, "table", {5, 0, 7, 1, 2, 3, 4, 6});
  c.what += " H=" + std::to_string(heads) + " C=" + std::to_string(width) + " window=" + std::to_string(window) + " T=" + std::to_string(tokens);
  return c;
}

}  // namespace lumen::kernel_cases
