// WeightStore: the weights of a model as kernels want them. A weight read in its file's own layout is used where it lies in the
// mapped file; one that kernels want in a derived layout is read from the packed cache, or packed by all threads, its pages of
// the file let go, and all of them written to the cache in the background.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "checkpoint/checkpoint.h"
#include "compiler/plan/plan.h"
#include "compiler/sema/model.h"
#include "engine/kept_step.h"
#include "engine/packed_cache.h"

namespace lumen::engine {

class WeightStore {
 public:
  WeightStore(const sema::Library& lib, const Checkpoint& file, Target& target, int threads, std::unique_ptr<PackedCache> cache,
              std::function<void(int64_t, int64_t)> keeping = {});
  ~WeightStore();  // waits for the cache to be written, telling `keeping(done, total)` in bytes
  // What bind() makes weights of; outlives this.
  void know(const sema::ModelInstance& model);
  // Begins to read what the cache has, on a thread of its own: bind() will come.
  void read_ahead() {
    if (cache_) cache_->check_ahead();
  }
  // Buffers of all weights a plan uses, in order; what is there already is shared. `progress(done, total)` in bytes, may be empty.
  Result<std::vector<BufferArg>> bind(const plan::Plan& plan, const std::function<void(int64_t, int64_t)>& progress);
  // Where the weights of a plan that was bound are found again; nothing where that is nowhere.
  std::optional<std::vector<KeptWeight>> keep(const plan::Plan& plan) const;
  // Buffers of what keep() gave in an earlier run; nothing where one is not there any more.
  std::optional<std::vector<BufferArg>> bind_kept(const std::vector<KeptWeight>& weights);
  int64_t packed_bytes() const { return packed_bytes_; }  // of weights in derived layouts

 private:
  // A weight's rows in the storage of its own type; `owned` holds what was computed rather than mapped.
  struct Rows {
    ir::Type type;
    std::vector<const uint8_t*> row;
    std::vector<std::shared_ptr<Buffer>> owned;
  };
  Result<Rows> evaluate(const sema::WeightExpr& e);
  Result<Rows> tensor(const std::string& name);
  Result<Rows> to_floats(Rows r);
  Result<Rows> declared(const sema::Weight& w);
  Result<BufferArg> make(const sema::Weight& w, const std::optional<formats::PackedLayout>& layout);
  Status pack(const Rows& rows, const formats::PackedLayout& layout, BufferArg to);
  // Weights of the plan that the cache has.
  void take_cached(const plan::Plan& plan);
  bool take_packed(const std::string& made_as, const std::string& key, const uint8_t* data, int64_t bytes, bool rows);
  Result<BufferArg> place_kept(const KeptWeight& w);
  void release(const sema::WeightExpr& e);
  void remember(const sema::Weight& w, const std::optional<formats::PackedLayout>& layout, BufferArg made);
  void save();
  Result<BufferArg> place(int64_t bytes);

  const sema::Library& lib_;
  const Checkpoint& file_;
  std::map<std::string, const sema::Weight*> weights_;
  Target& target_;
  ThreadTeam team_;
  std::unique_ptr<PackedCache> cache_;
  std::map<std::string, BufferArg> made_;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
  DeviceBuffer* slab_ = nullptr;  // packed weights share large buffers: whole 2 MB pages, few allocations
  int64_t slab_used_ = 0;
  std::map<std::string, std::pair<BufferArg, int64_t>> packed_;  // by cache key: every weight for the cache and its bytes
  bool unsaved_ = false;          // some of them are not in the cache yet
  std::function<void(int64_t, int64_t)> keeping_;
  std::atomic<int64_t> saved_{0};  // bytes written of to_save_, both of what saver_ writes
  int64_t to_save_ = 0;
  std::thread saver_;
  int64_t packed_bytes_ = 0;
};

}  // namespace lumen::engine
