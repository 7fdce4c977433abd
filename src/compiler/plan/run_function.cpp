// Host tensors to a target and back.
#include "compiler/plan/run_function.h"

namespace lumen::plan {

Result<std::vector<ir::Tensor>> run_function(const ir::Function& f, Target& target, const std::map<std::string, ir::Tensor*>& params,
                                             const std::map<std::string, int64_t>& symbols, int token_hint) {
  KernelCache kernels(target);
  LUMEN_TRY(plan, make_plan(f, kernels, symbols, token_hint));
  std::vector<std::unique_ptr<DeviceBuffer>> owned;
  auto upload = [&](std::span<const uint8_t> bytes) -> Result<BufferArg> {
    LUMEN_TRY(b, target.allocate(static_cast<int64_t>(bytes.size()) + 256));
    LUMEN_CHECK(target.upload(*b, 0, bytes));
    owned.push_back(std::move(b));
    return BufferArg{owned.back().get(), 0};
  };
  std::map<std::string, BufferArg> args;
  for (const ir::Value& v : plan.function.values) {
    if (v.kind != ir::ValueKind::Param || v.role == ir::Role::Weight) continue;
    auto it = params.find(v.name);
    if (it == params.end()) return Error{"nothing is bound to " + v.name};
    LUMEN_TRY(arg, upload({it->second->bytes(), static_cast<size_t>(ir::byte_size(it->second->type))}));
    args[v.name] = arg;
  }
  std::vector<BufferArg> weights;
  for (const WeightUse& u : plan.weights) {
    const ir::Value& v = plan.function.values[u.param];
    auto it = params.find(v.name);
    if (it == params.end()) return Error{"nothing is bound to " + v.name};
    const ir::Tensor& t = *it->second;
    int64_t bytes = ir::byte_size(t.type);
    if (!u.layout) {
      LUMEN_TRY(arg, upload({t.bytes(), static_cast<size_t>(bytes)}));
      weights.push_back(arg);
      continue;
    }
    std::vector<uint8_t> packed(static_cast<size_t>(u.layout->bytes()));
    int64_t row = u.layout->n ? bytes / u.layout->n : 0;
    formats::pack(t.type, *u.layout, [&](int64_t n) { return t.bytes() + n * row; }, 0, u.layout->groups, packed.data());
    LUMEN_TRY(arg, upload(packed));
    weights.push_back(arg);
  }
  LUMEN_TRY(runner, Runner::create(target, plan, args, weights));
  LUMEN_CHECK(runner.run(symbols));
  std::vector<ir::Tensor> out;
  for (size_t i = 0; i < plan.results.size(); ++i) {
    ir::Type t = plan.function.values[plan.function.results[i]].type;
    for (ir::Dim& d : t.dims)
      if (!d.is_const()) d = ir::Dim(symbols.at(d.symbol));
    ir::Tensor tensor = ir::make_tensor(t);
    BufferArg at = runner.result(static_cast<int>(i));
    if (plan.results[i].kind == Place::Param) at = args.at(plan.function.values[plan.results[i].index].name);
    LUMEN_CHECK(target.download(*at.buffer, at.offset, tensor.data));
    out.push_back(std::move(tensor));
  }
  for (const ir::Value& v : plan.function.values)
    if (v.kind == ir::ValueKind::Param && v.role == ir::Role::State) {
      ir::Tensor& t = *params.at(v.name);
      LUMEN_CHECK(target.download(*args.at(v.name).buffer, 0, t.data));
    }
  return out;
}

}  // namespace lumen::plan
