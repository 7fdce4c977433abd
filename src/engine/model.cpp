// Loading a model and running its steps.
#include "engine/model.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>

#include "base/timeline.h"
#include "engine/instance.h"

namespace lumen::engine {

// Most tokens of a step for each kind of plan: one sequence decoding, a few tokens, anything.
constexpr int kFewTokens = 4;
static int hint_for(int64_t tokens) { return tokens == 1 ? 1 : tokens <= kFewTokens ? kFewTokens : 0; }

Batch batch_of(const std::vector<int32_t>& ids, int64_t begin, int64_t end) {
  Batch b;
  for (int64_t i = begin; i < end; ++i) {
    b.tokens.push_back(ids[static_cast<size_t>(i)]);
    b.pos.push_back(static_cast<int32_t>(i));
    b.seq.push_back(0);
  }
  std::vector<int32_t> pages;
  for (int64_t p = 0; p * sema::kPageTokens < end; ++p) pages.push_back(static_cast<int32_t>(p));
  b.pages.push_back(std::move(pages));
  return b;
}

Result<std::unique_ptr<Model>> Model::load(std::shared_ptr<const sema::Library> lib, std::shared_ptr<const Checkpoint> file,
                                           std::shared_ptr<Target> target, const ModelOptions& options, std::unique_ptr<StartCache> start) {
  auto m = std::make_unique<Model>();
  m->lib_ = lib;
  m->file_ = file;
  m->target_ = target;
  m->options_ = options;
  std::unique_ptr<PackedCache> cache;
  if (!options.exact && !target->machine().gpu) cache = std::make_unique<PackedCache>(file->file_paths(), options.quantize);
  if (cache && !cache->enabled()) cache.reset();
  int threads = options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  m->store_ = std::make_unique<WeightStore>(*lib, *file, *target, threads, std::move(cache), options.keeping);
  m->start_ = std::move(start);
  const ModelShape* kept = m->start_ ? m->start_->shape() : nullptr;
  if (kept) {
    m->store_->read_ahead();
    m->shape_ = *kept;
    LUMEN_CHECK(m->allocate());
    TimedSpan span("plans kept from before");
    for (const auto& [hint, step] : m->start_->steps()) m->ready_[hint] = m->restore(step);
    return m;
  }
  LUMEN_TRY(instance, m->instance());
  m->shape_.vocab = vocabulary(*instance);
  m->shape_.context = context_length(*instance, options.context);
  m->shape_.layers = static_cast<int64_t>(instance->residuals.size()) - 1;
  LUMEN_CHECK(m->allocate());
  if (m->start_) m->start_->reset(*lib, *file, m->shape_);
  return m;
}

Result<const sema::ModelInstance*> Model::instance() {
  if (!instance_) {
    TimedSpan span("elaborate the model");
    LUMEN_TRY(made, instantiate(*lib_, *file_, options_.exact, options_.quantize));
    instance_ = std::move(made);
    store_->know(*instance_);
    if (!target_->machine().gpu) code_ = std::make_unique<CodeCache>(target_->machine().name);
    kernels_ = std::make_unique<plan::KernelCache>(*target_, code_.get());
  }
  return const_cast<const sema::ModelInstance*>(&*instance_);
}

// Buffers of inputs and states; the states' sizes join the shape where it has none yet.
Status Model::allocate() {
  int64_t sequences = std::max<int64_t>(options_.sequences, 1);
  batch_ = std::min(options_.batch, context() * sequences);
  max_rows_ = std::clamp<int64_t>((64 << 20) / (vocab() * 4), 1, batch_);
  pages_per_sequence_ = (context() + sema::kPageTokens - 1) / sema::kPageTokens;
  pages_ = pages_per_sequence_ * sequences;
  if (instance_)
    for (const ir::Value& v : instance_->forward.values) {
      if (v.kind != ir::ValueKind::Param || v.role != ir::Role::State) continue;
      int64_t elements = pages_;
      for (int i = 1; i < v.type.rank(); ++i) elements *= v.type.dims[i].value;
      shape_.states.push_back({v.name, elements * size_of(v.type.scalar)});
    }
  for (auto [name, n] : {std::pair<const char*, int64_t>{"tokens", batch_}, {"pos", batch_}, {"seq", batch_}, {"rows", max_rows_},
                         {"table", sequences * pages_per_sequence_}}) {
    LUMEN_TRY(buffer, target_->allocate(n * 4 + 256));
    params_[name] = std::move(buffer);
  }
  for (const auto& [name, bytes] : shape_.states) {
    bool large = bytes >= (int64_t{16} << 20);  // a short context's states are touched only in part
    LUMEN_TRY(buffer, large ? target_->allocate_dense(bytes + 256) : target_->allocate(bytes + 256));
    params_[name] = std::move(buffer);
    state_bytes_ += bytes;
  }
  return ok_status();
}

Status Model::run_on(Ready& r) {
  std::map<std::string, BufferArg> params;
  for (auto& [name, buffer] : params_) params[name] = {buffer.get(), 0};
  LUMEN_TRY(runner, plan::Runner::create(*target_, r.plan, params, r.weights));
  r.runner = std::move(runner);
  return ok_status();
}

Result<std::unique_ptr<Model::Ready>> Model::prepare(const ir::Function& f, int hint, std::vector<passes::DotInput>* observed) {
  auto r = std::make_unique<Ready>();
  int64_t tokens = hint > 0 ? hint : batch_;
  std::map<std::string, int64_t> bounds = {{"T", tokens}, {"R", std::min(tokens, max_rows_)}, {"S", std::max<int64_t>(options_.sequences, 1)}, {"B", pages_per_sequence_}, {"P", pages_}};
  store_->read_ahead();
  std::optional<TimedSpan> span(std::in_place, "passes");
  ir::Function optimised = optimise(*lib_, f, options_.exact, true, observed);
  span.emplace("plan, kernels");
  LUMEN_TRY(plan, plan::make_plan(std::move(optimised), *kernels_, bounds, hint));
  r->plan = std::move(plan);
  span.emplace("weights");
  LUMEN_TRY(weights, store_->bind(r->plan, options_.progress));
  r->weights = std::move(weights);
  span.reset();
  LUMEN_CHECK(run_on(*r));
  if (code_) code_->save();
  return r;
}

std::unique_ptr<Model::Ready> Model::restore(const std::string& step) {
  auto r = std::make_unique<Ready>();
  std::vector<KeptWeight> weights;
  auto plan = restore_step(*target_, step, weights);
  if (!plan) return nullptr;
  r->plan = plan.take();
  auto bound = store_->bind_kept(weights);
  if (!bound) return nullptr;
  r->weights = std::move(*bound);
  return run_on(*r) ? std::move(r) : nullptr;
}

Result<Model::Ready*> Model::ready(int hint) {
  auto& slot = ready_[hint];
  if (!slot) {
    LUMEN_TRY(model, instance());
    LUMEN_TRY(r, prepare(model->forward, hint));
    slot = std::move(r);
    if (start_ && start_->enabled())
      if (auto weights = store_->keep(slot->plan)) start_->add(hint, keep_step(*target_, slot->plan, *weights));
  }
  return slot.get();
}

Result<const plan::Plan*> Model::plan_for(int64_t tokens) {
  LUMEN_TRY(r, ready(hint_for(tokens)));
  return const_cast<const plan::Plan*>(&r->plan);
}

Status Model::check(const Batch& b) const {
  size_t n = b.tokens.size();
  if (n == 0 || static_cast<int64_t>(n) > batch_) return Error{"a step takes 1 to " + std::to_string(batch_) + " tokens, found " + std::to_string(n), true};
  if (b.pos.size() != n || b.seq.size() != n) return Error{"a step's tokens, positions and sequences differ in number", true};
  if (static_cast<int64_t>(b.rows.size()) > max_rows_) return Error{"a step gives logits of at most " + std::to_string(max_rows_) + " rows", true};
  for (size_t i = 0; i < n; ++i) {
    if (b.tokens[i] < 0 || b.tokens[i] >= vocab()) return Error{"token " + std::to_string(b.tokens[i]) + " is outside the vocabulary of " + std::to_string(vocab()), true};
    if (b.seq[i] < 0 || static_cast<size_t>(b.seq[i]) >= b.pages.size()) return Error{"a token of a sequence without pages", true};
    if (b.pos[i] < 0 || b.pos[i] >= context() || static_cast<size_t>(b.pos[i] / sema::kPageTokens) >= b.pages[b.seq[i]].size())
      return Error{"position " + std::to_string(b.pos[i]) + " is outside the context of " + std::to_string(context()) + " tokens", true};
  }
  for (int32_t r : b.rows)
    if (r < 0 || static_cast<size_t>(r) >= n) return Error{"a row of logits outside the step's tokens", true};
  for (const auto& pages : b.pages)
    for (int32_t p : pages)
      if (p < 0 || p >= pages_) return Error{"a page outside the cache", true};
  if (static_cast<int64_t>(b.pages.size()) > std::max<int64_t>(options_.sequences, 1)) return Error{"more sequences in a step than the model was loaded for", true};
  return ok_status();
}

Status Model::upload(const Batch& b, std::map<std::string, int64_t>& symbols) {
  auto put = [&](const char* name, const std::vector<int32_t>& v) {
    return target_->upload(*params_[name], 0, {reinterpret_cast<const uint8_t*>(v.data()), v.size() * 4});
  };
  LUMEN_CHECK(put("tokens", b.tokens));
  LUMEN_CHECK(put("pos", b.pos));
  LUMEN_CHECK(put("seq", b.seq));
  LUMEN_CHECK(put("rows", b.rows));
  size_t widest = 1;
  for (const auto& p : b.pages) widest = std::max(widest, p.size());
  std::vector<int32_t> table(b.pages.size() * widest, 0);
  for (size_t s = 0; s < b.pages.size(); ++s) std::copy(b.pages[s].begin(), b.pages[s].end(), table.begin() + s * widest);
  LUMEN_CHECK(put("table", table));
  symbols = {{"T", b.tokens.size()}, {"R", b.rows.size()}, {"S", b.pages.size()}, {"B", widest}, {"P", pages_}};
  return ok_status();
}

Result<const float*> Model::step(const Batch& b) {
  LUMEN_CHECK(check(b));
  int hint = hint_for(static_cast<int64_t>(b.tokens.size()));
  if (hint == 1 && b.rows.size() != 1) hint = kFewTokens;  // decoding plans take one row for granted
  LUMEN_TRY(r, ready(hint));
  std::map<std::string, int64_t> symbols;
  LUMEN_CHECK(upload(b, symbols));
  r->runner.profile = profile_;
  last_ = r;
  TimedSpan span("step");
  LUMEN_CHECK(r->runner.run(symbols));
  BufferArg out = r->runner.result(0);
  if (uint8_t* host = out.buffer->host()) return reinterpret_cast<const float*>(host + out.offset);
  logits_.resize(b.rows.size() * vocab());
  LUMEN_CHECK(target_->download(*out.buffer, out.offset, {reinterpret_cast<uint8_t*>(logits_.data()), logits_.size() * 4}));
  return static_cast<const float*>(logits_.data());
}

Result<std::vector<float>> Model::hidden(const Batch& b, int layer) {
  LUMEN_CHECK(check(b));
  if (layer < 0 || layer > layers()) return Error{"--layer: expected 0 to " + std::to_string(layers()) + ", found " + std::to_string(layer), true};
  LUMEN_TRY(model, instance());
  ir::Function f = model->forward;
  int value = model->residuals[static_cast<size_t>(layer)];
  f.values.resize(value + 1);
  f.results = {value};
  LUMEN_TRY(r, prepare(f, 0));
  std::map<std::string, int64_t> symbols;
  LUMEN_CHECK(upload(b, symbols));
  LUMEN_CHECK(r->runner.run(symbols));
  BufferArg out = r->runner.result(0);
  std::vector<float> x(b.tokens.size() * f.values[value].type.dims.back().value);
  LUMEN_CHECK(target_->download(*out.buffer, out.offset, {reinterpret_cast<uint8_t*>(x.data()), x.size() * 4}));
  return x;
}

Status Model::observe(const Batch& b, std::vector<std::vector<double>>& sums) {
  LUMEN_CHECK(check(b));
  if (!observer_) {
    LUMEN_TRY(model, instance());
    LUMEN_TRY(r, prepare(model->forward, 0, &dot_inputs_));
    observer_ = std::move(r);
  }
  std::map<std::string, int64_t> symbols;
  LUMEN_CHECK(upload(b, symbols));
  LUMEN_CHECK(observer_->runner.run(symbols));
  sums.resize(dot_inputs_.size());
  std::vector<float> row;
  for (size_t i = 0; i < sums.size(); ++i) {
    BufferArg out = observer_->runner.result(static_cast<int>(1 + i));  // behind the logits
    row.resize(static_cast<size_t>(dot_inputs_[i].columns));
    sums[i].resize(row.size());
    LUMEN_CHECK(target_->download(*out.buffer, out.offset, {reinterpret_cast<uint8_t*>(row.data()), row.size() * 4}));
    for (size_t k = 0; k < row.size(); ++k) sums[i][k] += row[k];
  }
  return ok_status();
}

std::vector<std::pair<std::string, double>> Model::profile() const {
  std::map<std::string, double> sum;
  if (last_)
    for (size_t i = 0; i < last_->plan.launches.size() && i < last_->runner.times.size(); ++i) {
      std::string name = last_->plan.launches[i].name;
      sum[name.substr(0, name.find('['))] += last_->runner.times[i];
    }
  std::vector<std::pair<std::string, double>> out(sum.begin(), sum.end());
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.second > b.second; });
  return out;
}

}  // namespace lumen::engine
