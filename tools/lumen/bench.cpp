// lumen bench: prefill and decode speed, as a table or as JSON; --profile: where the time goes, by kernel.
#include "measure/bench.h"

#include <algorithm>

#include "command.h"
#include "common.h"
#include "engine/checkpoint_source.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  measure::BenchOptions bench;
  bool json = false, no_probe = false;
};

void write_series(JsonWriter& w, const char* name, const measure::Series& s, double bytes_per_token = 0) {
  if (s.samples.empty()) return;
  w.key(name)
      .begin_object()
      .field("tokens", s.tokens)
      .field("tokens_per_second", s.median())
      .field("lowest", s.lowest())
      .field("highest", s.highest());
  if (bytes_per_token > 0) w.field("bytes_per_token", bytes_per_token);
  if (double share = s.read_share(bytes_per_token); share > 0) w.field("share_of_read_bandwidth", share);
  w.field("cpu_share", s.cpu_share()).key("samples").begin_array();
  for (const measure::Sample& x : s.samples) w.value(x.tokens_per_second);
  w.end_array();
  if (!s.profile.empty()) {
    w.key("microseconds_by_kernel").begin_object();
    for (auto& [kernel, us] : s.profile) w.field(kernel, us / static_cast<double>(s.samples.size()));
    w.end_object();
  }
  w.end_object();
}

void print_series(const char* name, const measure::Series& s) {
  if (s.samples.empty()) return;
  std::printf("%-8s %6lld tokens  %10.2f tokens/s   (%.2f to %.2f, %zu runs, %.0f%% of the CPU)\n", name, static_cast<long long>(s.tokens),
              s.median(), s.lowest(), s.highest(), s.samples.size(), 100 * s.cpu_share());
}

void print_profile(const char* name, const measure::Series& s) {
  if (s.profile.empty()) return;
  double total = 0, runs = static_cast<double>(s.samples.size());
  for (auto& [kernel, us] : s.profile) total += us;
  std::printf("\n%s: microseconds of one run in kernels, %.0f in all\n", name, total / runs);
  for (auto& [kernel, us] : s.profile) std::printf("  %12.1f  %5.1f%%  %s\n", us / runs, 100 * us / total, kernel.c_str());
}

Status bench(const Arguments& a, const Options& given) {
  Options o = given;
  if (o.bench.prompt == 0 && o.bench.generate == 0) return Error{"-p and -n: expected at least one of them above 0", true};
  if (o.model.context == 0) o.model.context = o.bench.longest();
  LUMEN_TRY(m, open_chosen(a, o.model));
  o.bench.threads = m.model->target().machine().threads;
  o.bench.probe_reads = !o.no_probe;
  LUMEN_TRY(r, measure::bench(*m.model, o.bench));
  const Machine& machine = m.model->target().machine();
  std::string arch = engine::architecture_name(*m.checkpoint);
  if (o.json) {
    JsonWriter w;
    w.begin_object()
        .field("model", m.name)
        .field("path", m.path)
        .field("architecture", arch)
        .field("file_bytes", m.checkpoint->file_size());
    w.field("packed_bytes", m.model->packed_bytes()).field("state_bytes", m.model->state_bytes()).field("state_bytes_per_token", r.state_bytes_per_token).field("context", m.model->context());
    w.field("target", machine.name)
        .field("threads", machine.threads)
        .field("cpu", measure::cpu_name())
        .field("load_seconds", r.load_seconds)
        .field("depth", o.bench.depth);
    write_series(w, "prefill", r.prefill);
    write_series(w, "decode", r.decode, r.decode_bytes_per_token);
    w.field("peak_bytes", r.peak_bytes);
    w.end_object();
    return print_out(w.take() + "\n");
  }
  std::printf("%s (%s, %s), %s with %d threads on %s, first steps %.2f s\n", m.name.c_str(), arch.c_str(),
              size_text(m.checkpoint->file_size()).c_str(), machine.name.c_str(), machine.threads, measure::cpu_name().c_str(),
              r.load_seconds);
  print_series("prefill", r.prefill);
  print_series("decode", r.decode);
  if (double share = r.decode.read_share(r.decode_bytes_per_token); share > 0)
    std::printf("%-8s %.1f MB a token: %.0f%% of a streaming read in the same moments\n", "", r.decode_bytes_per_token / 1e6, 100 * share);
  std::printf("%-8s %s at most, mapped pages included\n", "memory", size_text(r.peak_bytes).c_str());
  print_profile("prefill", r.prefill);
  print_profile("decode", r.decode);
  return ok_status();
}

}  // namespace

Action declare_bench(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, true, false);
  a.integer("-p", o->bench.prompt, 0, 1 << 20, "tokens of the prompt, random ones (default 512; 0: no prefill test)");
  a.integer("-n", o->bench.generate, 0, 1 << 20, "tokens decoded one by one (default 128; 0: no decode test)");
  a.integer("-d,--depth", o->bench.depth, 0, 1 << 20, "tokens that the context holds before either test (default 0)");
  a.integer("-r", o->bench.repetitions, 1, 1000, "repetitions, of which the median is shown (default 5)");
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  a.flag("--json", o->json, "all numbers as JSON");
  a.flag("--no-probe", o->no_probe, "no streaming read beside decoding: it takes memory that --json's peak would count");
  a.flag("--profile", o->bench.profile, "time spent by kernel; slows the runs a little");
  return [&a, o] { return bench(a, *o); };
}

}  // namespace lumen::tool
