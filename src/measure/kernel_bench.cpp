// Builds the function for a format, binds random weights, times its launches.
#include "measure/kernel_bench.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "compiler/formats/encode.h"
#include "compiler/ir/interp.h"
#include "compiler/plan/plan.h"
#include "engine/instance.h"
#include "measure/clock.h"

namespace lumen::measure {
namespace {

// A row of a format that only decodes: any bits but for its float fields, block by block until a block's values are finite.
void random_row(const ir::FormatType& f, std::mt19937& rng, std::vector<uint8_t>& row) {
  const size_t size = static_cast<size_t>(f.block_bytes);
  for (size_t b = 0; b + size <= row.size(); b += size) {
    uint8_t* block = &row[b];
    bool finite;
    do {
      for (size_t i = 0; i < size; ++i) block[i] = static_cast<uint8_t>(rng());
      for (const ir::FormatField& field : f.fields)
        for (int i = 0; i < field.count; ++i) {
          uint8_t* at = block + field.offset + i * size_of(field.type);
          float scale = 0.02f;
          uint16_t half = field.type == DType::F16 ? float_to_half(scale) : float_to_bfloat(scale);
          if (field.type == DType::F32) std::memcpy(at, &scale, 4);
          if (field.type == DType::F16 || field.type == DType::BF16) std::memcpy(at, &half, 2);
        }
      finite = true;
      for (int k = 0; k < f.block && finite; ++k) finite = std::isfinite(ir::decode(f, block, k));
    } while (!finite);
  }
}

// A few encoded rows, repeated for all n: their values do not matter to the speed, their being finite does.
Result<std::vector<std::vector<uint8_t>>> some_rows(const ir::Type& type, int64_t k) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<std::vector<uint8_t>> rows;
  for (int i = 0; i < 8; ++i) {
    std::vector<float> x(static_cast<size_t>(k));
    for (float& v : x) v = normal(rng);
    std::vector<uint8_t> row;
    if (type.format) {
      row.resize(static_cast<size_t>(ir::row_bytes(*type.format, k)));
      if (formats::why_not_encodable(*type.format).empty()) LUMEN_CHECK(formats::encode_row(*type.format, x.data(), k, row.data()));
      else random_row(*type.format, rng, row);
    } else {
      row.resize(static_cast<size_t>(k) * size_of(type.scalar));
      for (size_t j = 0; j < x.size(); ++j) {
        uint16_t half = type.scalar == DType::F16 ? float_to_half(x[j]) : float_to_bfloat(x[j]);
        if (type.scalar == DType::F32) std::memcpy(&row[4 * j], &x[j], 4);
        else std::memcpy(&row[2 * j], &half, 2);
      }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// The function planned for steps of `tokens`, its buffers, and one runner for each copy of the weight.
struct Bench {
  ir::Function f;
  std::unique_ptr<plan::KernelCache> kernels;
  plan::Plan plan;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers;
  std::vector<plan::Runner> runners;
  int64_t weight_bytes = 0;
  bool integer = false;
};

Result<std::unique_ptr<Bench>> build(const sema::Library& lib, Target& target, const std::string& kernel, const std::string& format,
                                     const KernelBenchOptions& o, int64_t tokens) {
  auto b = std::make_unique<Bench>();
  LUMEN_TRY(f, sema::elaborate_function(lib, kernel, {{"K", o.k}, {"N", o.n}, {"W", format}}));
  b->f = engine::optimise(lib, std::move(f), o.exact, false);
  b->kernels = std::make_unique<plan::KernelCache>(target);
  LUMEN_TRY(plan, plan::make_plan(b->f, *b->kernels, {{"T", tokens}}, tokens == 1 ? 1 : 0));
  b->plan = std::move(plan);
  std::map<std::string, BufferArg> args;
  for (const ir::Value& v : b->plan.function.values) {
    if (v.kind != ir::ValueKind::Param || v.role == ir::Role::Weight) continue;
    LUMEN_TRY(x, target.allocate(tokens * o.k * 4 + 256));
    std::vector<float> values(static_cast<size_t>(tokens * o.k));
    std::mt19937 rng(2);
    std::uniform_real_distribution<float> any(-1, 1);
    for (float& e : values) e = any(rng);
    LUMEN_CHECK(target.upload(*x, 0, {reinterpret_cast<const uint8_t*>(values.data()), values.size() * 4}));
    args[v.name] = {x.get(), 0};
    b->buffers.push_back(std::move(x));
  }
  int64_t copies = 1;
  do {
    std::vector<BufferArg> weights;
    for (const plan::WeightUse& u : b->plan.weights) {
      const ir::Type& type = b->plan.function.values[u.param].type;
      LUMEN_TRY(rows, some_rows(type, o.k));
      std::vector<uint8_t> bytes;
      if (u.layout) {
        bytes.resize(static_cast<size_t>(u.layout->bytes()));
        formats::pack(type, *u.layout, [&](int64_t n) { return rows[static_cast<size_t>(n) % rows.size()].data(); }, 0, u.layout->groups, bytes.data());
        b->integer = u.layout->integer;
      } else {
        for (int64_t n = 0; n < o.n; ++n) bytes.insert(bytes.end(), rows[static_cast<size_t>(n) % rows.size()].begin(), rows[static_cast<size_t>(n) % rows.size()].end());
      }
      LUMEN_TRY(w, target.allocate_dense(static_cast<int64_t>(bytes.size()) + 256));
      LUMEN_CHECK(target.upload(*w, 0, bytes));
      b->weight_bytes = static_cast<int64_t>(bytes.size());
      weights.push_back({w.get(), 0});
      b->buffers.push_back(std::move(w));
    }
    LUMEN_TRY(runner, plan::Runner::create(target, b->plan, args, weights));
    b->runners.push_back(std::move(runner));
    if (tokens == 1 && b->weight_bytes > 0) copies = std::max<int64_t>(1, o.copies_bytes / b->weight_bytes);
  } while (static_cast<int64_t>(b->runners.size()) < copies);
  return b;
}

struct Times {
  double median = 0, best_cpu = 0;  // seconds of one pass over all runners
};

Result<Times> time_it(Bench& b, int64_t tokens, double at_least) {
  std::map<std::string, int64_t> symbols = {{"T", tokens}};
  std::vector<double> walls;
  Times t;
  double begin = seconds(CLOCK_MONOTONIC);
  for (int round = 0; round < 3 || seconds(CLOCK_MONOTONIC) - begin < at_least; ++round) {
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (plan::Runner& r : b.runners) LUMEN_CHECK(r.run(symbols));
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (round == 0) continue;  // touches everything
    walls.push_back(wall);
    t.best_cpu = t.best_cpu == 0 ? cpu : std::min(t.best_cpu, cpu);
  }
  std::nth_element(walls.begin(), walls.begin() + static_cast<std::ptrdiff_t>(walls.size() / 2), walls.end());
  t.median = walls[walls.size() / 2];
  return t;
}

}  // namespace

Result<KernelSpeed> bench_kernel(const sema::Library& lib, Target& target, const std::string& kernel, const std::string& format,
                                 const KernelBenchOptions& o) {
  KernelSpeed s;
  s.format = format;
  {
    LUMEN_TRY(b, build(lib, target, kernel, format, o, o.tokens));
    LUMEN_TRY(t, time_it(*b, o.tokens, o.seconds));
    double ops = 2.0 * static_cast<double>(o.tokens) * static_cast<double>(o.k) * static_cast<double>(o.n);
    s.integer = b->integer;
    s.packed_bytes = static_cast<double>(b->weight_bytes);
    s.bits = 8.0 * s.packed_bytes / (static_cast<double>(o.k) * static_cast<double>(o.n));
    s.prefill_ops = ops / t.median;
    s.prefill_ops_cpu = ops * target.machine().threads / t.best_cpu;
  }
  LUMEN_TRY(b, build(lib, target, kernel, format, o, 1));
  LUMEN_TRY(t, time_it(*b, 1, o.seconds));
  s.decode_bytes = static_cast<double>(b->weight_bytes) * static_cast<double>(b->runners.size()) / t.median;
  return s;
}

}  // namespace lumen::measure
