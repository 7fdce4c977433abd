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
    const loops::Kernel& k = l.kernel->lowered.kernel;
    Extents e;
    for (const std::string& name : k.scalars) e.scalars.push_back(r.number_of(name));
    for (const loops::CountFactor& c : k.items) e.items.push_back({c.value, c.divisor, c.symbol.empty() ? -1 : r.number_of(c.symbol)});
    r.extents_.push_back(std::move(e));
  }
  return r;
}

int Runner::number_of(const std::string& symbol) {
  for (size_t i = 0; i < symbols_.size(); ++i)
    if (symbols_[i] == symbol) return static_cast<int>(i);
  symbols_.push_back(symbol);
  return static_cast<int>(symbols_.size()) - 1;
}

Status Runner::run(const std::map<std::string, int64_t>& symbols) {
  std::vector<int64_t> values;
  for (const std::string& name : symbols_) {
    auto it = symbols.find(name);
    if (it == symbols.end()) return Error{"plan " + plan_->function.name + ": no value for " + name};
    values.push_back(it->second);
  }
  std::vector<int64_t> scalars;
  if (profile) times.assign(plan_->launches.size(), 0);
  for (size_t i = 0; i < plan_->launches.size(); ++i) {
    scalars.clear();
    for (int s : extents_[i].scalars) scalars.push_back(values[s]);
    int64_t items = 1;
    for (const Factor& c : extents_[i].items) items *= ((c.symbol < 0 ? c.value : values[c.symbol]) + c.divisor - 1) / c.divisor;
    auto start = std::chrono::steady_clock::now();
    LUMEN_CHECK(target_->launch(*plan_->launches[i].kernel->code, args_[i], scalars, items));
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
