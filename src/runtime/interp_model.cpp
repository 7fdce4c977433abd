// Bindings for the interpreter: weights where the store has them, states as plain tensors.
#include "runtime/interp_model.h"

#include <algorithm>
#include <cstring>

#include "engine/instance.h"

namespace lumen::runtime {

Result<std::unique_ptr<InterpModel>> InterpModel::load(std::shared_ptr<const sema::Library> lib, std::shared_ptr<const Checkpoint> file,
                                                       std::shared_ptr<Target> host, const Options& options) {
  auto m = std::make_unique<InterpModel>();
  m->lib_ = lib;
  m->file_ = file;
  m->host_ = host;
  m->options_ = options;
  LUMEN_TRY(instance, engine::instantiate(*lib, *file, options.exact, options.quantize));
  m->instance_ = std::move(instance);
  const ir::Function& f = m->instance_.forward;
  m->vocab_ = engine::vocabulary(m->instance_);
  m->context_ = engine::context_length(m->instance_, options.context);
  m->pages_ = (m->context_ + sema::kPageTokens - 1) / sema::kPageTokens;

  // All weights in their own storage: a plan that packs none.
  m->store_ = std::make_unique<engine::WeightStore>(*lib, *file, *host, options.threads, nullptr);
  m->store_->know(m->instance_);
  plan::Plan all;
  all.function = f;
  for (const ir::Value& v : f.values)
    if (v.kind == ir::ValueKind::Param && v.role == ir::Role::Weight) all.weights.push_back({v.id, std::nullopt});
  LUMEN_TRY(buffers, m->store_->bind(all, {}));
  for (size_t i = 0; i < buffers.size(); ++i) {
    const ir::Value& v = f.values[all.weights[i].param];
    uint8_t* at = buffers[i].buffer->host();
    if (!at) return Error{"the interpreter needs weights in host memory"};
    m->tensors_[v.name] = {v.type, {}, at + buffers[i].offset};
  }
  for (const ir::Value& v : f.values)
    if (v.kind == ir::ValueKind::Param && v.role == ir::Role::State) {
      ir::Type type = v.type;
      type.dims[0] = ir::Dim(m->pages_);
      m->tensors_[v.name] = ir::make_tensor(type);
    }
  m->forward_ = m->optimised(f);
  return m;
}

ir::Function InterpModel::optimised(ir::Function f) const {
  return options_.passes ? engine::optimise(*lib_, std::move(f), options_.exact) : f;
}

Status InterpModel::check(const engine::Batch& b) const {
  if (b.tokens.empty() || b.pages.size() != 1) return Error{"the interpreter takes steps of one sequence", true};
  for (int32_t t : b.tokens)
    if (t < 0 || t >= vocab_) return Error{"token " + std::to_string(t) + " is outside the vocabulary of " + std::to_string(vocab_), true};
  if (b.pos.back() >= context_)
    return Error{"position " + std::to_string(b.pos.back()) + " is outside the context of " + std::to_string(context_) + " tokens", true};
  return ok_status();
}

Result<std::vector<ir::Tensor>> InterpModel::run(const ir::Function& f, const engine::Batch& b) {
  std::map<std::string, ir::Tensor> inputs;
  auto put = [&](const char* name, const std::vector<int32_t>& v, std::vector<ir::Dim> dims) {
    ir::Type type;
    type.scalar = DType::I32;
    type.dims = std::move(dims);
    ir::Tensor t = ir::make_tensor(type);
    if (!v.empty()) std::memcpy(t.data.data(), v.data(), v.size() * 4);
    inputs[name] = std::move(t);
  };
  auto count = [](const std::vector<int32_t>& v) { return ir::Dim(static_cast<int64_t>(v.size())); };
  put("tokens", b.tokens, {count(b.tokens)});
  put("pos", b.pos, {count(b.pos)});
  put("seq", b.seq, {count(b.seq)});
  put("rows", b.rows, {count(b.rows)});
  put("table", b.pages[0], {ir::Dim(1), count(b.pages[0])});
  ir::Bindings bind;
  bind.threads = options_.threads;
  bind.symbols = {{"T", static_cast<int64_t>(b.tokens.size())},
                  {"R", static_cast<int64_t>(b.rows.size())},
                  {"S", 1},
                  {"B", static_cast<int64_t>(b.pages[0].size())},
                  {"P", pages_}};
  for (const ir::Value& v : f.values) {
    if (v.kind != ir::ValueKind::Param) continue;
    if (auto i = inputs.find(v.name); i != inputs.end())
      bind.params[v.name] = &i->second;
    else if (auto t = tensors_.find(v.name); t != tensors_.end())
      bind.params[v.name] = &t->second;
  }
  return interpreter_.run(f, bind);
}

Result<const float*> InterpModel::step(const engine::Batch& b) {
  LUMEN_CHECK(check(b));
  LUMEN_TRY(results, run(forward_, b));
  logits_ = ir::to_floats(results[0]);
  return static_cast<const float*>(logits_.data());
}

Result<std::vector<float>> InterpModel::hidden(const engine::Batch& b, int layer) {
  LUMEN_CHECK(check(b));
  if (layer < 0 || layer > layers())
    return Error{"--layer: expected 0 to " + std::to_string(layers()) + ", found " + std::to_string(layer), true};
  ir::Function f = instance_.forward;
  int value = instance_.residuals[static_cast<size_t>(layer)];
  f.values.resize(static_cast<size_t>(value) + 1);
  f.results = {value};
  LUMEN_TRY(results, run(optimised(std::move(f)), b));
  return ir::to_floats(results[0]);
}

}  // namespace lumen::runtime
