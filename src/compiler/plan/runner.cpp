// Executes a plan's launches in order.
#include <chrono>

#include "compiler/plan/plan.h"

namespace lumen::plan {

Result<Runner> Runner::create(Target& target, const Plan& plan, const std::map<std::string, BufferArg>& params, const std::vector<BufferArg>& weights) {
  Runner r;
  r.target_ = &target;
  r.plan_ = &plan;
  LUMEN_TRY(arena, target.allocate(plan.arena_bytes + 256));
  r.arena_ = std::move(arena);
  for (const auto& [offset, bytes] : plan.constants) LUMEN_CHECK(target.upload(*r.arena_, offset, bytes));
  for (const Launch& l : plan.launches) {
    std::vector<BufferArg> args;
    for (const Place& p : l.buffers) {
      if (p.kind == Place::Arena) {
        args.push_back({r.arena_.get(), p.offset});
      } else if (p.kind == Place::Weight) {
        args.push_back(weights[p.index]);
      } else {
        auto it = params.find(plan.function.values[p.index].name);
        if (it == params.end()) return Error{"plan " + plan.function.name + ": nothing is bound to " + plan.function.values[p.index].name};
        args.push_back(it->second);
      }
    }
    r.args_.push_back(std::move(args));
  }
  return r;
}

Status Runner::run(const std::map<std::string, int64_t>& symbols) {
  if (profile) times.assign(plan_->launches.size(), 0);
  for (size_t i = 0; i < plan_->launches.size(); ++i) {
    const loops::Kernel& k = plan_->launches[i].kernel->lowered.kernel;
    int64_t scalars[8], items = 1;
    if (k.scalars.size() > 8) return Error{"kernel " + k.name + ": more than 8 run-time extents"};
    for (size_t s = 0; s < k.scalars.size(); ++s) {
      auto it = symbols.find(k.scalars[s]);
      if (it == symbols.end()) return Error{"kernel " + k.name + ": no value for " + k.scalars[s]};
      scalars[s] = it->second;
    }
    for (const loops::CountFactor& c : k.items) {
      int64_t n = c.value;
      if (!c.symbol.empty()) {
        auto it = symbols.find(c.symbol);
        if (it == symbols.end()) return Error{"kernel " + k.name + ": no value for " + c.symbol};
        n = it->second;
      }
      items *= (n + c.divisor - 1) / c.divisor;
    }
    auto start = std::chrono::steady_clock::now();
    LUMEN_CHECK(target_->launch(*plan_->launches[i].kernel->code, args_[i], {scalars, k.scalars.size()}, items));
    if (profile) {
      LUMEN_CHECK(target_->synchronize());
      times[i] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    }
  }
  return target_->synchronize();
}

BufferArg Runner::result(int i) const {
  const Place& p = plan_->results[i];
  return {arena_.get(), p.offset};
}

}  // namespace lumen::plan
