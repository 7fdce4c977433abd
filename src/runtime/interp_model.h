// InterpModel: a model run by the interpreter instead of compiled kernels: the reference, hundreds of times slower. One sequence.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/interp.h"
#include "engine/model.h"

namespace lumen::runtime {

class InterpModel {
 public:
  struct Options {
    int threads = 1;
    bool exact = false;   // states in f32
    bool passes = false;  // run the IR after the passes, quantised activations included: what kernels must equal
    int64_t context = 0;  // 0: the model's own, at most 4096
    std::string quantize;  // as engine::ModelOptions
  };
  // `host` only holds memory; nothing is launched on it.
  static Result<std::unique_ptr<InterpModel>> load(std::shared_ptr<const sema::Library> lib, std::shared_ptr<const Checkpoint> file,
                                                   std::shared_ptr<Target> host, const Options& options);
  // As engine::Model's, for batches of one sequence.
  Result<const float*> step(const engine::Batch& batch);
  Result<std::vector<float>> hidden(const engine::Batch& batch, int layer);

  int64_t vocab() const { return vocab_; }
  int64_t context() const { return context_; }
  int64_t max_batch() const { return 512; }
  int64_t max_rows() const { return 64; }
  int layers() const { return static_cast<int>(instance_.residuals.size()) - 1; }

 private:
  Result<std::vector<ir::Tensor>> run(const ir::Function& f, const engine::Batch& batch);
  ir::Function optimised(ir::Function f) const;
  Status check(const engine::Batch& batch) const;

  std::shared_ptr<const sema::Library> lib_;
  std::shared_ptr<const Checkpoint> file_;
  std::shared_ptr<Target> host_;
  Options options_;
  sema::ModelInstance instance_;
  ir::Function forward_;  // instance_.forward, after the passes where they are wanted
  std::unique_ptr<engine::WeightStore> store_;
  std::map<std::string, ir::Tensor> tensors_;  // weights and states, by param
  ir::Interpreter interpreter_;
  std::vector<float> logits_;
  int64_t vocab_ = 0, context_ = 0, pages_ = 0;
};

}  // namespace lumen::runtime
