// A model file held in memory, for tests: configuration and f32 (or formatted) tensors by name.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "compiler/sema/model.h"

namespace lumen::sema::testing {

class FakeSource : public ModelSource {
 public:
  std::string kind_name = "gguf";
  std::map<std::string, StaticValue> keys;
  std::map<std::string, ir::Type> tensors;

  std::string kind() const override { return kind_name; }
  std::string path() const override { return "fake.gguf"; }
  std::optional<StaticValue> config(const std::string& key) const override {
    auto it = keys.find(key);
    return it == keys.end() ? std::nullopt : std::optional<StaticValue>(it->second);
  }
  Result<std::optional<TensorInfo>> tensor(const std::string& name) const override {
    auto it = tensors.find(name);
    if (it == tensors.end()) return std::optional<TensorInfo>();
    return std::optional<TensorInfo>(TensorInfo{it->second});
  }
  void add(const std::string& name, std::vector<int64_t> dims, DType scalar = DType::F32, ir::FormatRef format = nullptr) {
    ir::Type t{scalar, std::move(format), {}};
    for (int64_t d : dims) t.dims.push_back(ir::Dim(d));
    tensors[name] = t;
  }
};

// Llama's shape in small: 2 layers, width 8, 2 heads of 4 over one key head, 10 tokens, feed-forward 12.
inline FakeSource tiny_llama() {
  FakeSource s;
  s.keys = {{"llama.block_count", int64_t{2}},
            {"llama.embedding_length", int64_t{8}},
            {"llama.feed_forward_length", int64_t{12}},
            {"llama.attention.head_count", int64_t{2}},
            {"llama.attention.head_count_kv", int64_t{1}},
            {"llama.rope.dimension_count", int64_t{4}},
            {"llama.attention.layer_norm_rms_epsilon", 1e-5},
            {"llama.rope.freq_base", 100.0},
            {"llama.context_length", int64_t{64}}};
  s.add("token_embd.weight", {10, 8});
  s.add("output_norm.weight", {8});
  for (int l = 0; l < 2; ++l) {
    std::string p = "blk." + std::to_string(l) + ".";
    s.add(p + "attn_norm.weight", {8});
    s.add(p + "attn_q.weight", {8, 8});
    s.add(p + "attn_k.weight", {4, 8});
    s.add(p + "attn_v.weight", {4, 8});
    s.add(p + "attn_output.weight", {8, 8});
    s.add(p + "ffn_norm.weight", {8});
    s.add(p + "ffn_gate.weight", {12, 8});
    s.add(p + "ffn_up.weight", {12, 8});
    s.add(p + "ffn_down.weight", {8, 12});
  }
  return s;
}

}  // namespace lumen::sema::testing
