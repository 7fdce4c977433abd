// lumen bench-kernels: the matrix product alone, format by format, beside what the machine can read and multiply.
#include "command.h"
#include "common.h"
#include "json_writer.h"
#include "measure/bench.h"
#include "measure/kernel_bench.h"
#include "measure/machine.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string formats, target = "native";
  int64_t threads = 0;
  measure::KernelBenchOptions bench;
  bool json = false;
};

// The formats asked for, or all that need no parameters.
Result<std::vector<std::string>> chosen(const sema::Library& lib, const std::string& list) {
  std::vector<std::string> out;
  if (list.empty()) {
    for (const std::string& name : lib.format_names())
      if (auto f = lib.format(name); f && (!*f || !(*f)->row_planes)) out.push_back(name);
    return out;
  }
  for (size_t at = 0; at <= list.size();) {
    size_t end = std::min(list.find(',', at), list.size());
    out.push_back(list.substr(at, end - at));
    LUMEN_TRY(f, lib.format(out.back()));
    (void)f;
    at = end + 1;
  }
  return out;
}

Status bench_kernels(const Arguments& a, const Options& o) {
  LUMEN_TRY(lib, library_for(a, ""));
  LUMEN_TRY(names, chosen(*lib, o.formats));
  LUMEN_TRY(target, make_target(o.target, o.threads));
  LUMEN_TRY(read, measure::read_bandwidth(target->machine().threads, true));
  const Machine& m = target->machine();
  JsonWriter w;
  if (o.json) {
    w.begin_object().field("cpu", measure::cpu_name()).field("target", m.name).field("threads", m.threads);
    w.field("k", o.bench.k).field("n", o.bench.n).field("tokens", o.bench.tokens).field("read_bytes_per_second", read.bytes_per_second);
    w.key("formats").begin_array();
  } else {
    std::printf("%s, %s, %d threads; W is %lld x %lld; this machine reads %.1f GB/s\n", measure::cpu_name().c_str(), m.name.c_str(), m.threads,
                static_cast<long long>(o.bench.n), static_cast<long long>(o.bench.k), read.bytes_per_second / 1e9);
    std::printf("%-12s %-8s %6s  %22s  %20s\n", "format", "path", "bits", "prefill GOP/s (by CPU)", "decode GB/s (of read)");
  }
  for (const std::string& name : names) {
    auto s = measure::bench_kernel(*lib, *target, "linear", name, o.bench);
    if (!s) {
      if (!o.formats.empty()) return s.error();
      if (!o.json) std::printf("%-12s %s\n", name.c_str(), s.error().message.c_str());
      continue;
    }
    if (o.json) {
      w.begin_object().field("format", s->format).field("integer", s->integer).field("bits", s->bits);
      w.field("prefill_ops", s->prefill_ops).field("prefill_ops_cpu", s->prefill_ops_cpu).field("decode_bytes_per_second", s->decode_bytes).end_object();
    } else {
      std::printf("%-12s %-8s %6.2f  %12.0f  (%7.0f)  %10.1f    (%4.0f%%)\n", s->format.c_str(), s->integer ? "integer" : "float", s->bits, s->prefill_ops / 1e9,
                  s->prefill_ops_cpu / 1e9, s->decode_bytes / 1e9, 100 * s->decode_bytes / read.bytes_per_second);
      std::fflush(stdout);
    }
  }
  if (!o.json) return ok_status();
  w.end_array().end_object();
  return print_out(w.take() + "\n");
}

}  // namespace

Action declare_bench_kernels(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("FORMATS", o->formats, "formats, separated by commas (default: all)", false);
  a.integer("-p", o->bench.tokens, 1, 1 << 16, "tokens of the prompt (default 512)");
  a.integer("-k", o->bench.k, 1, 1 << 20, "length of a row of W (default 4096)");
  a.integer("--rows", o->bench.n, 1, 1 << 20, "rows of W (default 4096)");
  a.text("--target", o->target, "native, avx2, avx512, avx512vnni");
  a.integer("-t,--threads", o->threads, 1, 1024, "threads (default: all the process may use)");
  a.number("--seconds", o->bench.seconds, 0.01, 600, "time for each measurement, at least (default 0.5)");
  a.flag("--exact", o->bench.exact, "decoded weights, f32 throughout");
  a.flag("--json", o->json, "all numbers as JSON");
  return [&a, o] { return bench_kernels(a, *o); };
}

}  // namespace lumen::tool
