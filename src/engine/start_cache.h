// StartCache: what a start works out from a model file before its first step, kept for the next start: the model's shape and a finished
// plan with its code for each kind of step. One file for each model, machine, build of the program, set of options and set of user's
// .lum files; its content says which state of the model file it was made from. What does not fit in every respect is made again.
// Lies beside the packed weights (packed_cache.h), which the plans refer to. Not being able to read or write it costs the speed-up.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compiler/machine.h"
#include "compiler/sema/library.h"

namespace lumen::engine {

struct ModelOptions;

// What is known of a model without its function.
struct ModelShape {
  struct State {
    std::string name;
    int64_t bytes = 0;  // for all pages
  };
  int64_t vocab = 0, context = 0, layers = 0;
  std::vector<State> states;
};

class StartCache {
 public:
  StartCache(const std::string& model_path, const sema::Library& lib, const Machine& machine, const ModelOptions& options);
  ~StartCache();  // waits for the file to be written
  // The model's file. Where something is kept for it, the library is not asked for anything.
  Result<Checkpoint> open(const sema::Library& lib);
  // Null: nothing kept, or not for the file that open() gave.
  const ModelShape* shape() const { return found_ ? &shape_ : nullptr; }
  // By most tokens a step of the kind has (0: any).
  const std::map<int, std::string>& steps() const { return steps_; }
  // Starts afresh for `file`.
  void reset(const sema::Library& lib, const Checkpoint& file, const ModelShape& shape);
  // Writes what is kept, with this step, on a thread of its own.
  void add(int hint, std::string step);
  bool enabled() const { return !path_.empty(); }

 private:
  void read();
  std::string body() const;
  std::string model_;     // path
  std::string path_;      // of the cache file; empty: off
  std::string made_for_;  // everything outside the file's content that the plans depend on
  uint64_t content_ = 0;  // digest of the model file's metadata and tensor directory
  std::map<uint32_t, BlockGeometry> geometry_;  // by tensor type; elements 0: no format claims it
  ModelShape shape_;
  std::map<int, std::string> steps_;
  bool found_ = false;
  std::thread saver_;
};

}  // namespace lumen::engine
