// Models: a small llama bound to a file in memory, run by the interpreter and compared with the same model written out in C++;
// and every way in which a file may not fit its declaration.
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/ir/interp.h"
#include "compiler/sema/fake_source.h"

namespace lumen::sema {
namespace {

using testing::FakeSource;
using testing::tiny_llama;

const Library& standard() {
  static Result<Library> lib = Library::standard();
  if (!lib) ADD_FAILURE() << lib.error().message;
  return *lib;
}

Result<ModelInstance> llama(const FakeSource& source) { return instantiate(standard(), *standard().model_for("gguf", "llama"), source); }

std::string model_error(const std::string& text, const FakeSource& source) {
  Library lib = std::move(*Library::standard());
  auto errors = lib.add(std::make_shared<Source>(Source{"user.lum", text}));
  if (!errors.empty()) return render(errors);
  auto m = instantiate(lib, *lib.model("m"), source);
  return m ? "no error" : m.error().message;
}

TEST(Model, Llama) {
  auto m = llama(tiny_llama());
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(m->name, "llama");
  EXPECT_EQ(ir::verify(m->forward), "");
  EXPECT_EQ(m->states.size(), 4u);
  EXPECT_EQ(m->residuals.size(), 3u);
  EXPECT_EQ(std::get<int64_t>(m->config["C"]), 4);
  EXPECT_EQ(std::get<double>(m->config["theta"]), 100.0);
  // `output` is the embedding here, and so no weight of its own; 2 + 9 * 2 weights.
  EXPECT_EQ(m->weights.size(), 20u);
  for (const Weight& w : m->weights) {
    EXPECT_NE(w.param, "output");
    if (w.param == "wk[1]") {
      EXPECT_EQ(w.from.kind, WeightExpr::RopeRows);
      EXPECT_EQ(w.from.heads, 1);
      EXPECT_EQ(w.from.rotated, 4);
      EXPECT_EQ(w.from.args[0].name, "blk.1.attn_k.weight");
    }
  }
  ASSERT_EQ(m->forward.results.size(), 1u);
  EXPECT_EQ(to_string(m->forward.values[static_cast<size_t>(m->forward.results[0])].type), "f32[R, 10]");
  EXPECT_EQ(to_string(m->states[0].type), "f16[P, 1, 32, 4]");
  for (size_t i = 0; i + 1 < m->forward.values.size(); ++i) {  // parameters first
    bool param = m->forward.values[i].kind == ir::ValueKind::Param, next = m->forward.values[i + 1].kind == ir::ValueKind::Param;
    EXPECT_TRUE(param || !next);
  }
}

TEST(Model, OutputOfItsOwn) {
  FakeSource s = tiny_llama();
  s.add("output.weight", {10, 8}, DType::F16);
  auto m = llama(s);
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(m->weights.size(), 21u);
  EXPECT_EQ(m->weights.back().param, "output");
  EXPECT_EQ(to_string(m->weights.back().type), "f16[10, 8]");
}

TEST(Model, OptionalWeight) {
  FakeSource s = tiny_llama();
  s.add("rope_freqs.weight", {2});
  auto m = llama(s);
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(m->weights.size(), 21u);
}

TEST(Model, ConvertsNormsAndKeepsFormats) {
  FakeSource s = tiny_llama();
  s.keys["llama.embedding_length"] = int64_t{32};
  auto q8 = *standard().format("q8_0");
  for (auto& [name, type] : s.tensors)
    for (ir::Dim& d : type.dims)
      if (d.value == 8) d.value = 32;
  s.keys["llama.rope.dimension_count"] = int64_t{16};
  for (int l = 0; l < 2; ++l) {
    std::string p = "blk." + std::to_string(l) + ".";
    s.add(p + "attn_k.weight", {16, 32}, DType::F32, q8);
    s.add(p + "attn_v.weight", {16, 32}, DType::F32, q8);
    s.add(p + "ffn_down.weight", {32, 12}, DType::F16);
    s.add(p + "ffn_norm.weight", {32}, DType::BF16);
  }
  auto m = llama(s);
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(ir::verify(m->forward), "");
  for (const Weight& w : m->weights) {
    if (w.param == "wv[0]") {
      EXPECT_EQ(to_string(w.type), "q8_0[16, 32]");
    }
    if (w.param == "w_down[0]") {
      EXPECT_EQ(to_string(w.type), "f16[32, 12]");
    }
    if (w.param == "ffn_norm[0]") {
      EXPECT_EQ(to_string(w.type), "f32[32]");
    }
  }
}

TEST(Model, MissingThings) {
  FakeSource s = tiny_llama();
  s.keys.erase("llama.block_count");
  EXPECT_EQ(llama(s).error().message, "fake.gguf: found no 'llama.block_count', which gives 'layers' of the model 'llama' (expected int)");
  s = tiny_llama();
  s.keys["llama.block_count"] = std::string("two");
  EXPECT_EQ(llama(s).error().message, "fake.gguf: 'layers' of the model 'llama': expected int, found a string (\"two\")");
  s = tiny_llama();
  s.tensors.erase("blk.1.ffn_up.weight");
  EXPECT_EQ(llama(s).error().message,
            "fake.gguf: found no tensor 'blk.1.ffn_up.weight', which gives the weight 'w_up[1]' of the model 'llama'");
  s = tiny_llama();
  s.add("blk.0.ffn_up.weight", {12, 9});
  EXPECT_EQ(llama(s).error().message,
            "fake.gguf: the weight 'w_up[0]' of the model 'llama': expected [12, 8], found f32[12, 9] in the tensor 'blk.0.ffn_up.weight'");
  s = tiny_llama();
  s.add("blk.0.ffn_norm.weight", {9}, DType::F16);
  EXPECT_EQ(
      llama(s).error().message,
      "fake.gguf: the weight 'ffn_norm[0]' of the model 'llama': expected f32[8], found f16[9] in the tensor 'blk.0.ffn_norm.weight'");
  s = tiny_llama();
  s.keys["llama.attention.head_count"] = int64_t{0};
  std::string zero = llama(s).error().message;
  EXPECT_NE(zero.find("division by zero"), std::string::npos) << zero;
  EXPECT_NE(zero.find("fake.gguf"), std::string::npos) << zero;
}

const char* kHead = "model m {\n  arch gguf \"m\"\n";

TEST(Model, Configuration) {
  FakeSource s;
  s.keys = {{"list", std::vector<int64_t>{4, 5, 6}},
            {"same", std::vector<int64_t>{7, 7}},
            {"name", std::string("yarn")},
            {"flag", true},
            {"one", 1.0}};
  s.add("w", {3, 8});
  std::string text = std::string(kHead) + R"(
  config {
    n: int = rows_of("none") | gguf rows_of("w")
    per: int[n] = gguf "list"
    all: int[n] = gguf "one" | 9
    halves: float[n] = 0.5
    flat: int = gguf "same"
    yarn: bool = gguf "name" == "yarn" | false
    flag: bool = gguf "flag"
    sub: int = hf "nothing" | gguf "missing" * 2 | per[1] + 1
    f: float = gguf "one" / 2
    picked: float = if yarn and flag then 1.0 / sqrt(sub - 2) else 0.0
  }
  weights { w: f32[n, 8] = gguf "w" }
  forward { return select_rows(w, rows) }
})";
  Library lib = std::move(*Library::standard());
  auto errors = lib.add(std::make_shared<Source>(Source{"user.lum", text}));
  ASSERT_TRUE(errors.empty()) << render(errors);
  auto m = instantiate(lib, *lib.model("m"), s);
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(std::get<int64_t>(m->config["n"]), 3);
  EXPECT_EQ(std::get<std::vector<int64_t>>(m->config["per"]), (std::vector<int64_t>{4, 5, 6}));
  EXPECT_EQ(std::get<int64_t>(m->config["flat"]), 7);
  EXPECT_EQ(std::get<bool>(m->config["yarn"]), true);
  EXPECT_EQ(std::get<int64_t>(m->config["sub"]), 6);
  EXPECT_EQ(std::get<double>(m->config["f"]), 0.5);
  EXPECT_EQ(std::get<double>(m->config["picked"]), 0.5);
}

TEST(Model, WeightExpressions) {
  FakeSource s;
  s.add("a", {4, 8});
  s.add("b", {2, 8});
  s.add("n", {8}, DType::F16);
  std::string text = std::string(kHead) + R"(
  config { x: int = 1 }
  weights {
    ab: [6, 8] = gguf concat("a", "b")
    part: [2, 8] = gguf rows("a", x, 3)
    norm: f32[8] = gguf "n" + 1.0
    neg: f32[8] = gguf 2 * "n"
    again: [6, 8] = ab
    flat: [16] = gguf reshape("b", [16])
    layer[l in 0..2] { none: f32[8] optional = gguf "n.{l}" }
  }
  forward {
    assert(not has(none[1]), "there is none")
    return linear(linear(select_rows(scaled(ab), rows), again), linear(scaled(part), again))
  }
  fn scaled(w: f32[A, B]) -> f32[A, B] { y[a, j] = w[a, j] * norm[j] * neg[j] * flat[j + 8] }
})";
  Library lib = std::move(*Library::standard());
  auto errors = lib.add(std::make_shared<Source>(Source{"user.lum", text}));
  ASSERT_TRUE(errors.empty()) << render(errors);
  auto m = instantiate(lib, *lib.model("m"), s);
  ASSERT_TRUE(m.ok()) << m.error().message;
  std::map<std::string, const Weight*> by;
  for (const Weight& w : m->weights) by[w.param] = &w;
  EXPECT_EQ(by.count("again"), 0u);  // the same as ab
  ASSERT_EQ(by.count("ab"), 1u);
  EXPECT_EQ(by["ab"]->from.kind, WeightExpr::Concat);
  EXPECT_EQ(to_string(by["ab"]->type), "f32[6, 8]");
  EXPECT_EQ(by["part"]->from.kind, WeightExpr::Rows);
  EXPECT_EQ(by["part"]->from.lo, 1);
  EXPECT_EQ(by["part"]->from.hi, 3);
  EXPECT_EQ(by["norm"]->from.kind, WeightExpr::AddConst);
  EXPECT_EQ(by["norm"]->from.value, 1.0);
  EXPECT_EQ(by["neg"]->from.kind, WeightExpr::MulConst);
  EXPECT_EQ(by["flat"]->from.kind, WeightExpr::Reshape);
}

TEST(Model, MistakesInTheDeclaration) {
  FakeSource s;
  s.add("w", {4, 8});
  auto with = [&](const std::string& rest) { return model_error(std::string(kHead) + rest + "\n}", s); };
  std::string weights = "  weights { w: f32[4, 8] = gguf \"w\" }\n";
  EXPECT_NE(with(weights + "  forward { x = linear(w, v)\n return x }").find("unknown name 'v'"), std::string::npos);
  EXPECT_NE(with(weights + "  forward { return w }").find("the forward pass returns logits f32[R, V], found f32[4, 8]"), std::string::npos);
  EXPECT_NE(with(weights + "  forward { w = w + 1.0\n return w }").find("'w' is taken"), std::string::npos);
  EXPECT_NE(with(weights + "  forward { x = select_rows(w, rows)\n return rms_norm(x, w, 0.1) }")
                .find("'w' of 'rms_norm': expected f32[8], found f32[4, 8]"),
            std::string::npos);
  EXPECT_NE(with("  weights { w: f32[4, 8] = hf \"w\" }\n  forward { return w }").find("'w' has no alternative for a file of kind 'gguf'"),
            std::string::npos);
  // Two mistakes, both reported; what depends on them is not.
  std::string two = with(weights + "  forward { a = nothing1\n b = nothing2\n c = a + b\n return c }");
  EXPECT_NE(two.find("nothing1"), std::string::npos);
  EXPECT_NE(two.find("nothing2"), std::string::npos);
  EXPECT_EQ(two.find("'c'"), std::string::npos) << two;
  // A mistake in a loop is reported once.
  std::string loop = with(weights + "  forward { x = w\n for l in 0..3 { x = x + nowhere }\n return x }");
  EXPECT_EQ(loop.find("nowhere"), loop.rfind("unknown name 'nowhere'") + 14) << loop;
  EXPECT_NE(with(weights + "  forward { for l in 0..100000000000 { let y = 1 }\n return w }").find("'for' runs at most 65536 times"),
            std::string::npos);
}

}  // namespace
}  // namespace lumen::sema
