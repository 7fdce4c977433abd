// The plan: a function as a list of kernel launches. Operations are outlined with their operands as arguments, so that equal
// ones (the layers of a model) share one kernel; temporaries get places in one arena by their lifetimes.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/formats/layout.h"
#include "compiler/ir/ir.h"
#include "compiler/loops/lower.h"
#include "compiler/target.h"

namespace lumen::plan {

// A weight as kernels want it: a param in its own storage, or in a derived layout.
struct WeightUse {
  int param = 0;  // value id in Plan::function
  std::optional<formats::PackedLayout> layout;
};

struct Kernel {
  std::string key;             // the outlined operation's text and its schedule
  loops::Lowered lowered;
  std::shared_ptr<Executable> code;
};

// Code kept from one run to the next, by Kernel::key. Safe to use from several threads.
class CodeStore {
 public:
  virtual ~CodeStore() = default;
  virtual std::span<const uint8_t> find(const std::string& key) const = 0;  // empty: not there
  virtual void add(const std::string& key, std::vector<uint8_t> code) = 0;
};

// Compiles each distinct operation once for one target. Safe to use from several threads.
class KernelCache {
 public:
  explicit KernelCache(Target& target, CodeStore* store = nullptr) : target_(target), store_(store) {}
  Target& target() { return target_; }
  // The operations f.values[ids[i]], outlined, scheduled and compiled, distinct ones by several threads.
  Result<std::vector<std::shared_ptr<const Kernel>>> get(const ir::Function& f, const std::vector<int>& ids, int token_hint);
  size_t size() const { return kernels_.size(); }

 private:
  struct Wanted {
    ir::Function one;
    loops::Schedule schedule;
    std::string key;
    std::shared_ptr<const Kernel> kernel;
    std::optional<Error> error;
  };
  void make(Wanted& w);
  Target& target_;
  CodeStore* store_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Kernel>> kernels_;
};

struct Place {
  enum Kind : uint8_t { Arena, Param, Weight } kind = Arena;  // Param: inputs, states
  int index = 0;       // Param: value id; Weight: index into Plan::weights
  int64_t offset = 0;  // Arena
};

struct Launch {
  std::shared_ptr<const Kernel> kernel;
  std::vector<Place> buffers;
  std::string name;
};

struct Plan {
  ir::Function function;                  // after the passes
  std::vector<Launch> launches;
  std::vector<WeightUse> weights;
  std::vector<std::pair<int64_t, std::vector<uint8_t>>> constants;  // arena offset, bytes: written once
  int64_t arena_bytes = 0;
  std::vector<Place> results;
};

// f after the passes. `bounds` limits every symbol that sizes a temporary.
Result<Plan> make_plan(ir::Function f, KernelCache& kernels, const std::map<std::string, int64_t>& bounds, int token_hint);
std::string print(const Plan& p);

// The operation as a function of its own: its operands are params p0, p1, …; the text of it is the kernel's identity.
ir::Function outline(const ir::Function& f, int id);

// A plan with its memory: runs steps.
class Runner {
 public:
  // Buffers of inputs and states by param name, of weights by index into plan.weights. They outlive the runner.
  static Result<Runner> create(Target& target, const Plan& plan, const std::map<std::string, BufferArg>& params, const std::vector<BufferArg>& weights);
  Status run(const std::map<std::string, int64_t>& symbols);  // launches everything, waits
  BufferArg result(int i) const;
  // Microseconds of each launch of the last run; filled when profiling is on.
  bool profile = false;
  std::vector<double> times;

 private:
  Target* target_ = nullptr;
  const Plan* plan_ = nullptr;
  std::shared_ptr<DeviceBuffer> arena_;
  std::vector<std::vector<BufferArg>> args_;  // one list a launch
  // Run-time extents by number, so that a step looks nothing up by name.
  struct Factor {
    int64_t value, divisor;
    int symbol;  // -1: value
  };
  struct Extents {
    std::vector<int> scalars;
    std::vector<Factor> items;
  };
  int number_of(const std::string& symbol);
  std::vector<std::string> symbols_;
  std::vector<Extents> extents_;  // one a launch
};

}  // namespace lumen::plan
