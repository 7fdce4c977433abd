// A small llama through sema and the interpreter, against the same model written out in C++ (with the file's own layout: neighbouring
// rope channels, so that the binding's row permutation is part of what is compared).
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "compiler/ir/interp.h"
#include "compiler/sema/fake_source.h"

namespace lumen::sema {
namespace {

using testing::tiny_llama;
using Matrix = std::vector<float>;

constexpr int kD = 8, kH = 2, kC = 4, kM = 12, kV = 10, kLayers = 2;

struct File {
  std::map<std::string, Matrix> tensors;
  const Matrix& at(const std::string& name) const { return tensors.at(name); }
};

File random_file(const testing::FakeSource& s) {
  File f;
  std::mt19937 rng(7);
  std::uniform_real_distribution<float> d(-0.7f, 0.7f);
  for (const auto& [name, type] : s.tensors) {
    int64_t n = 1;
    for (const ir::Dim& dim : type.dims) n *= dim.value;
    Matrix m(static_cast<size_t>(n));
    for (float& x : m) x = d(rng);
    f.tensors[name] = m;
  }
  return f;
}

std::vector<double> rms(const std::vector<double>& x, const Matrix& w) {
  double sum = 0;
  for (double v : x) sum += v * v;
  double inv = 1.0 / std::sqrt(sum / kD + 1e-5);
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * inv * w[i];
  return y;
}
std::vector<double> times(const Matrix& w, const std::vector<double>& x) {
  std::vector<double> y(w.size() / x.size());
  for (size_t n = 0; n < y.size(); ++n)
    for (size_t k = 0; k < x.size(); ++k) y[n] += w[n * x.size() + k] * x[k];
  return y;
}
void rotate_neighbours(std::vector<double>& x, int pos) {
  for (size_t head = 0; head < x.size() / kC; ++head)
    for (int i = 0; i < kC / 2; ++i) {
      double angle = pos * std::pow(100.0, -2.0 * i / kC), &a = x[head * kC + 2 * i], &b = x[head * kC + 2 * i + 1];
      double a0 = a * std::cos(angle) - b * std::sin(angle);
      b = a * std::sin(angle) + b * std::cos(angle), a = a0;
    }
}
double half(double v) { return half_to_float(float_to_half(static_cast<float>(v))); }

// Logits of every position of one sequence.
std::vector<std::vector<double>> reference(const File& f, const std::vector<int>& tokens) {
  std::vector<std::vector<double>> out;
  std::vector<std::vector<double>> keys[kLayers], values[kLayers];
  for (size_t t = 0; t < tokens.size(); ++t) {
    auto row = f.at("token_embd.weight").begin() + tokens[t] * kD;
    std::vector<double> x(row, row + kD);
    for (int l = 0; l < kLayers; ++l) {
      std::string p = "blk." + std::to_string(l) + ".";
      auto h = rms(x, f.at(p + "attn_norm.weight"));
      auto q = times(f.at(p + "attn_q.weight"), h), k = times(f.at(p + "attn_k.weight"), h), v = times(f.at(p + "attn_v.weight"), h);
      rotate_neighbours(q, static_cast<int>(t)), rotate_neighbours(k, static_cast<int>(t));
      for (double& e : k) e = half(e);
      for (double& e : v) e = half(e);
      keys[l].push_back(k), values[l].push_back(v);
      std::vector<double> a(kH * kC);
      for (int head = 0; head < kH; ++head) {
        std::vector<double> weight(t + 1);
        double total = 0;
        for (size_t j = 0; j <= t; ++j) {
          double score = 0;
          for (int c = 0; c < kC; ++c) score += q[head * kC + c] * keys[l][j][c];
          total += weight[j] = std::exp(score / std::sqrt(kC));
        }
        for (size_t j = 0; j <= t; ++j)
          for (int c = 0; c < kC; ++c) a[head * kC + c] += weight[j] / total * values[l][j][c];
      }
      auto o = times(f.at(p + "attn_output.weight"), a);
      for (int i = 0; i < kD; ++i) x[i] += o[i];
      auto n = rms(x, f.at(p + "ffn_norm.weight"));
      auto g = times(f.at(p + "ffn_gate.weight"), n), u = times(f.at(p + "ffn_up.weight"), n);
      for (int i = 0; i < kM; ++i) g[i] = g[i] / (1 + std::exp(-g[i])) * u[i];
      auto d = times(f.at(p + "ffn_down.weight"), g);
      for (int i = 0; i < kD; ++i) x[i] += d[i];
    }
    out.push_back(times(f.at("token_embd.weight"), rms(x, f.at("output_norm.weight"))));
  }
  return out;
}

Matrix load(const File& f, const WeightExpr& w, int64_t columns) {
  if (w.kind == WeightExpr::Tensor) return f.at(w.name);
  EXPECT_EQ(w.kind, WeightExpr::RopeRows);
  Matrix from = load(f, w.args[0], columns), to = from;
  int64_t rows = static_cast<int64_t>(from.size()) / columns, group = rows / w.heads;
  for (int64_t head = 0; head < w.heads; ++head)
    for (int64_t i = 0; i < w.rotated; ++i) {
      int64_t target = head * group + i / 2 + (i % 2) * (w.rotated / 2), origin = head * group + i;
      std::copy_n(from.begin() + origin * columns, columns, to.begin() + target * columns);
    }
  return to;
}

ir::Tensor ints(std::vector<int32_t> values, std::vector<int64_t> dims) {
  ir::Tensor t;
  t.type.scalar = DType::I32;
  for (int64_t d : dims) t.type.dims.push_back(ir::Dim(d));
  t.data.resize(values.size() * 4);
  std::copy_n(reinterpret_cast<const uint8_t*>(values.data()), t.data.size(), t.data.begin());
  return t;
}

class Runner {
 public:
  Runner(const ModelInstance& m, const File& f) : m_(m) {
    for (const Weight& w : m.weights) {
      ir::Tensor t = ir::make_tensor(w.type);
      Matrix values = load(f, w.from, w.type.dims.back().value);
      std::copy_n(reinterpret_cast<const uint8_t*>(values.data()), t.data.size(), t.data.begin());
      tensors_[w.param] = std::move(t);
    }
    for (const State& s : m.states) {
      ir::Type type = s.type;
      type.dims[0] = ir::Dim(3);
      tensors_[s.param] = ir::make_tensor(type);
    }
  }

  // One step over a ragged batch; logits of every token.
  std::vector<float> step(std::vector<int32_t> tokens, std::vector<int32_t> seq, std::vector<int32_t> pos) {
    int64_t n = static_cast<int64_t>(tokens.size());
    std::vector<int32_t> all(tokens.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    tensors_["tokens"] = ints(tokens, {n}), tensors_["seq"] = ints(seq, {n}), tensors_["pos"] = ints(pos, {n});
    tensors_["rows"] = ints(all, {n}), tensors_["table"] = ints({2, 0}, {2, 1});
    ir::Bindings b;
    for (auto& [name, t] : tensors_) b.params[name] = &t;
    b.symbols = {{"T", n}, {"R", n}, {"S", 2}, {"B", 1}, {"P", 3}};
    auto out = ir::interpret(m_.forward, b);
    if (!out.ok()) {
      ADD_FAILURE() << out.error().message;
      return {};
    }
    return ir::to_floats((*out)[0]);
  }

 private:
  const ModelInstance& m_;
  std::map<std::string, ir::Tensor> tensors_;
};

TEST(Run, LlamaEqualsTheModelWrittenOut) {
  auto lib = Library::standard();
  ASSERT_TRUE(lib.ok()) << lib.error().message;
  testing::FakeSource source = tiny_llama();
  auto m = instantiate(*lib, *lib->model_for("gguf", "llama"), source);
  ASSERT_TRUE(m.ok()) << m.error().message;
  File file = random_file(source);
  Runner runner(*m, file);
  auto a = reference(file, {3, 1, 4, 1}), b = reference(file, {5, 9});
  auto expect = [&](const std::vector<float>& logits, std::vector<std::vector<double>> rows) {
    ASSERT_EQ(logits.size(), rows.size() * kV);
    for (size_t r = 0; r < rows.size(); ++r)
      for (int v = 0; v < kV; ++v) EXPECT_NEAR(logits[r * kV + v], rows[r][v], 2e-4) << "row " << r << " token " << v;
  };
  expect(runner.step({3, 5, 1, 4}, {0, 1, 0, 0}, {0, 0, 1, 2}), {a[0], b[0], a[1], a[2]});  // two sequences, interleaved
  expect(runner.step({9, 1}, {1, 0}, {1, 3}), {b[1], a[3]});                                // the next token of each
}

}  // namespace
}  // namespace lumen::sema
