// Measuring steps of a model.
#include "measure/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "measure/clock.h"
#include "measure/machine.h"

namespace lumen::measure {
namespace {

template <class Of>
double median_of(const std::vector<Sample>& samples, const Of& of) {
  if (samples.empty()) return 0;
  std::vector<double> v;
  for (const Sample& s : samples) v.push_back(of(s));
  std::sort(v.begin(), v.end());
  size_t n = v.size();
  return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

// Random tokens of one sequence; pages in order.
class Runner {
 public:
  Runner(engine::Model& model, int64_t tokens, bool profile) : model_(model), profile_(profile) {
    std::mt19937 rng(1);
    std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(model.vocab()) - 1);
    for (int64_t i = 0; i < tokens; ++i) ids_.push_back(any(rng));
    for (int64_t p = 0; p * sema::kPageTokens < tokens; ++p) pages_.push_back(static_cast<int32_t>(p));
  }

  // Tokens [from, from + n), `most` a step; logits of each step's last token.
  Status run(int64_t from, int64_t n, int64_t most) {
    for (int64_t at = from; at < from + n; at += most) {
      engine::Batch b;
      for (int64_t i = at; i < std::min(from + n, at + most); ++i) {
        b.tokens.push_back(ids_[static_cast<size_t>(i)]);
        b.pos.push_back(static_cast<int32_t>(i));
        b.seq.push_back(0);
      }
      b.rows = {static_cast<int32_t>(b.tokens.size()) - 1};
      b.pages = {pages_};
      LUMEN_TRY(logits, model_.step(b));
      (void)logits;
      if (profile_)
        for (auto& [kernel, us] : model_.profile()) times_[kernel] += us;
    }
    return ok_status();
  }

  void forget_times() { times_.clear(); }
  std::vector<std::pair<std::string, double>> times() const {
    std::vector<std::pair<std::string, double>> out(times_.begin(), times_.end());
    std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.second > b.second; });
    return out;
  }

 private:
  engine::Model& model_;
  bool profile_;
  std::vector<int32_t> ids_, pages_;
  std::map<std::string, double> times_;
};

Status measure(Runner& runner, int64_t tokens, int64_t most, const BenchOptions& o, ReadProbe* probe, Series& out) {
  out.tokens = tokens;
  runner.forget_times();
  for (int64_t r = 0; r < o.repetitions; ++r) {
    double before = probe ? probe->read() : 0;
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    LUMEN_CHECK(runner.run(o.depth, tokens, most));
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    double after = probe ? probe->read() : 0;
    out.samples.push_back({static_cast<double>(tokens) / wall, cpu / (wall * o.threads), (before + after) / 2});
  }
  out.profile = runner.times();
  return ok_status();
}

}  // namespace

double Series::median() const {
  return median_of(samples, [](const Sample& s) { return s.tokens_per_second; });
}
double Series::cpu_share() const {
  return median_of(samples, [](const Sample& s) { return s.cpu_share; });
}
double Series::read_share(double bytes_per_token) const {
  return median_of(samples, [&](const Sample& s) { return s.read_bytes_per_second > 0 ? bytes_per_token * s.tokens_per_second / s.read_bytes_per_second : 0; });
}
double Series::lowest() const {
  double v = samples.empty() ? 0 : samples[0].tokens_per_second;
  for (const Sample& s : samples) v = std::min(v, s.tokens_per_second);
  return v;
}
double Series::highest() const {
  double v = 0;
  for (const Sample& s : samples) v = std::max(v, s.tokens_per_second);
  return v;
}

Result<BenchResult> bench(engine::Model& model, const BenchOptions& o) {
  int64_t longest = o.longest();
  if (longest > model.context())
    return Error{"bench: " + std::to_string(longest) + " tokens do not fit the context of " + std::to_string(model.context()), true};
  model.set_profile(o.profile);
  BenchResult out;
  const int64_t pages = (model.context() + sema::kPageTokens - 1) / sema::kPageTokens;
  out.state_bytes_per_token = static_cast<double>(model.state_bytes()) / static_cast<double>(pages * sema::kPageTokens);
  Runner runner(model, std::max<int64_t>(longest, 1), o.profile);
  double start = seconds(CLOCK_MONOTONIC);
  if (o.prompt > 0) LUMEN_CHECK(runner.run(0, std::min(o.prompt, model.max_batch()), model.max_batch()));
  if (o.generate > 0) LUMEN_CHECK(runner.run(0, 1, 1));
  out.load_seconds = seconds(CLOCK_MONOTONIC) - start;
  LUMEN_CHECK(runner.run(0, o.depth, model.max_batch()));
  if (o.generate > 0) LUMEN_CHECK(runner.run(o.depth, std::min<int64_t>(o.generate, 4), 1));
  if (o.prompt > 0) LUMEN_CHECK(measure(runner, o.prompt, model.max_batch(), o, nullptr, out.prefill));
  struct rusage used {};
  if (getrusage(RUSAGE_SELF, &used) == 0) out.peak_bytes = static_cast<uint64_t>(used.ru_maxrss) << 10;
  if (o.generate > 0) {
    std::unique_ptr<ReadProbe> probe;
    if (o.probe_reads) {
      LUMEN_TRY(made, ReadProbe::create(o.threads, true, std::clamp<int64_t>(model.packed_bytes(), int64_t{16} << 20, int64_t{512} << 20)));
      probe = std::move(made);
    }
    LUMEN_CHECK(measure(runner, o.generate, 1, o, probe.get(), out.decode));
    if (probe) LUMEN_CHECK(probe->check());
    double tokens = static_cast<double>(o.depth) + static_cast<double>(o.generate) / 2;
    out.decode_bytes_per_token = static_cast<double>(model.packed_bytes()) + out.state_bytes_per_token * tokens;
  }
  model.set_profile(false);
  return out;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line))
    if (line.rfind("model name", 0) == 0)
      if (size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown CPU";
}

}  // namespace lumen::measure
