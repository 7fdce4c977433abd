// Model: an architecture applied to a checkpoint, compiled for a target, with its state. One step takes a ragged batch of
// tokens of any number of sequences and gives logits for the rows asked for. Knows ids and tensors, never text.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compiler/passes/passes.h"
#include "compiler/plan/plan.h"
#include "compiler/sema/model.h"
#include "engine/code_cache.h"
#include "engine/start_cache.h"
#include "engine/weights.h"

namespace lumen::engine {

struct ModelOptions {
  int threads = 0;           // 0: the target's own choice
  bool exact = false;        // dequantised weights, f32 throughout
  std::string quantize;      // a format that float matrices are encoded in at load; empty: none
  int64_t context = 0;       // tokens a sequence may have; 0: the model's own, at most 4096
  int64_t sequences = 1;     // that may be in progress at once
  int64_t batch = 512;       // most tokens in one step
  std::function<void(int64_t done, int64_t total)> progress;  // bytes of weights prepared
  std::function<void(int64_t done, int64_t total)> keeping;   // bytes of them written to the cache, while the model's end waits for that
};

// One step's tokens. seq numbers rows of `pages`; positions of a sequence's tokens ascend.
struct Batch {
  std::vector<int32_t> tokens, pos, seq;
  std::vector<int32_t> rows;                  // tokens (by place in the batch) whose logits are wanted
  std::vector<std::vector<int32_t>> pages;    // block table of each sequence
};

// Tokens [begin, end) of the only sequence at their positions, its pages in order; no rows.
Batch batch_of(const std::vector<int32_t>& ids, int64_t begin, int64_t end);

class Model {
 public:
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const sema::Library> lib, std::shared_ptr<const Checkpoint> file,
                                             std::shared_ptr<Target> target, const ModelOptions& options,
                                             std::unique_ptr<StartCache> start = nullptr);
  // Logits (rows, vocab); valid until the next step.
  Result<const float*> step(const Batch& batch);
  // Residual stream (tokens, width) after layer `layer`; 0 is the embedding. Touches the state like a step.
  Result<std::vector<float>> hidden(const Batch& batch, int layer);
  // Like a step, for its traces: adds to sums[i] the squares of the columns of what the weights of dot_inputs()[i] were multiplied with,
  // over all tokens of the batch. Both are empty before the first call.
  Status observe(const Batch& batch, std::vector<std::vector<double>>& sums);
  const std::vector<passes::DotInput>& dot_inputs() const { return dot_inputs_; }

  int64_t vocab() const { return shape_.vocab; }
  int64_t context() const { return shape_.context; }
  int64_t max_batch() const { return batch_; }
  int64_t max_rows() const { return max_rows_; }
  int64_t page_count() const { return pages_; }
  int layers() const { return static_cast<int>(shape_.layers); }
  // Elaborated when first asked for, where the start did without.
  Result<const sema::ModelInstance*> instance();
  const Checkpoint& checkpoint() const { return *file_; }
  Target& target() { return *target_; }
  int64_t packed_bytes() const { return store_->packed_bytes(); }
  int64_t state_bytes() const { return state_bytes_; }
  // The plan for steps of `tokens` tokens, made when first asked for.
  Result<const plan::Plan*> plan_for(int64_t tokens);
  // Per-launch times of the last step, summed by kernel name (microseconds), when profiling.
  void set_profile(bool on) { profile_ = on; }
  std::vector<std::pair<std::string, double>> profile() const;

 private:
  struct Ready {
    plan::Plan plan;
    std::vector<BufferArg> weights;
    plan::Runner runner;
  };
  Result<Ready*> ready(int hint);
  // From what an earlier start kept; null: it cannot be used.
  std::unique_ptr<Ready> restore(const std::string& step);
  Status run_on(Ready& r);
  Status allocate();
  Result<std::unique_ptr<Ready>> prepare(const ir::Function& f, int hint, std::vector<passes::DotInput>* observed = nullptr);
  Status upload(const Batch& batch, std::map<std::string, int64_t>& symbols);
  Status check(const Batch& batch) const;

  std::shared_ptr<const sema::Library> lib_;
  std::shared_ptr<const Checkpoint> file_;
  std::shared_ptr<Target> target_;
  std::optional<sema::ModelInstance> instance_;
  std::unique_ptr<StartCache> start_;
  ModelShape shape_;
  ModelOptions options_;
  std::unique_ptr<CodeCache> code_;
  std::unique_ptr<plan::KernelCache> kernels_;
  std::unique_ptr<WeightStore> store_;
  std::map<std::string, std::shared_ptr<DeviceBuffer>> params_;
  std::map<int, std::unique_ptr<Ready>> ready_;
  std::unique_ptr<Ready> observer_;
  std::vector<passes::DotInput> dot_inputs_;
  Ready* last_ = nullptr;
  std::vector<float> logits_;
  int64_t batch_ = 512, max_rows_ = 1, pages_ = 0, pages_per_sequence_ = 0, state_bytes_ = 0;
  bool profile_ = false;
};

}  // namespace lumen::engine
