// lumen doctor: what this machine has, what it can do, and what is missing with the way to get it.
#include <algorithm>
#include <filesystem>

#include "backend/cpu/features.h"
#include "command.h"
#include "common.h"
#include "hub/http.h"
#include "hub/store.h"
#include "json_writer.h"
#include "measure/bench.h"
#include "measure/machine.h"

namespace lumen::tool {
namespace {

struct Options {
  bool json = false, quick = false;
};

struct Report {
  cpu::Features cpu;
  std::vector<std::pair<std::string, std::string>> targets;  // name, "runs" or why not
  std::vector<measure::Bandwidth> bandwidth;
  measure::MemoryInfo memory;
  std::vector<measure::Cache> caches;
  std::vector<std::string> drivers;  // Vulkan drivers
  std::vector<std::string> missing;
};

void look_for_webgpu(Report& r) {
  std::error_code ec;
  for (const char* dir : {"/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"})
    for (const auto& e : std::filesystem::directory_iterator(dir, ec)) r.drivers.push_back(e.path().stem().string());
  std::sort(r.drivers.begin(), r.drivers.end());
  auto device = make_target("wgsl", 1);
  r.targets.push_back({"wgsl", device ? "runs" : device.error().message});
  if (!device) r.missing.push_back(device.error().message);
  if (r.drivers.empty())
    r.missing.push_back(
        "a Vulkan driver, for wgsl: the graphics card's own, or for the CPU (lavapipe) apt-get install libvulkan1 mesa-vulkan-drivers");
}

Result<Report> examine(const Options& o) {
  Report r;
  r.cpu = cpu::detect();
  r.targets = {{"avx2", r.cpu.avx2 ? "runs" : "this CPU lacks AVX2, FMA or F16C"},
               {"avx512", r.cpu.avx512 ? "runs" : "this CPU lacks AVX-512 F, BW, DQ, VL; code can be made and listed"},
               {"avx512vnni", r.cpu.vnni ? "runs" : "this CPU lacks AVX-512 VNNI; code can be made and listed"},
               {"interp", "runs"}};
  r.memory = measure::memory_info();
  r.caches = measure::caches();
  if (!o.quick) {
    std::vector<int> counts = {1};
    if (r.cpu.cores > 1) counts.push_back(r.cpu.cores);
    for (int threads : counts)
      for (bool huge : {false, true}) {
        LUMEN_TRY(b, measure::read_bandwidth(threads, huge));
        r.bandwidth.push_back(b);
      }
  }
  if (!r.cpu.avx2) r.missing.push_back("compiled kernels: they need AVX2, FMA and F16C; --target interp runs everywhere, very slowly");
  if (r.memory.huge_pages == "never")
    r.missing.push_back("2 MB pages: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, as root");
  look_for_webgpu(r);
  if (hub::list_models().empty())
    r.missing.push_back("models: " + hub::store_directory() + " holds none; lumen pull smollm2 fetches the default one");
  if (auto http = hub::Http::create(); !http) r.missing.push_back("for lumen pull: " + http.error().message);
  return r;
}

void print_json(const Report& r, const sema::Library& lib) {
  JsonWriter w;
  w.begin_object()
      .key("cpu")
      .begin_object()
      .field("name", measure::cpu_name())
      .field("cores", r.cpu.cores)
      .field("avx2", r.cpu.avx2)
      .field("avx512", r.cpu.avx512);
  w.field("avx512vnni", r.cpu.vnni).end_object().key("targets").begin_object();
  for (auto& [name, state] : r.targets) w.field(name, state);
  w.end_object().key("caches").begin_array();
  for (const measure::Cache& c : r.caches)
    w.begin_object().field("level", c.level).field("type", c.type).field("bytes", c.bytes).field("shared_by", c.shared_by).end_object();
  w.end_array()
      .key("memory")
      .begin_object()
      .field("total", r.memory.total)
      .field("available", r.memory.available)
      .field("huge_pages", r.memory.huge_pages)
      .end_object();
  w.key("read_bandwidth").begin_array();
  for (const measure::Bandwidth& b : r.bandwidth)
    w.begin_object()
        .field("threads", b.threads)
        .field("huge_pages", b.huge_pages)
        .field("got_huge_pages", b.got_huge)
        .field("bytes_per_second", b.bytes_per_second)
        .end_object();
  w.end_array().key("vulkan_drivers").begin_array();
  for (const std::string& d : r.drivers) w.value(d);
  w.end_array().field("model_store", hub::store_directory()).key("models").begin_array();
  for (const hub::StoredModel& m : hub::list_models()) w.value(m.name);
  w.end_array().key("formats").begin_array();
  for (const std::string& f : lib.format_names()) w.value(f);
  w.end_array().key("architectures").begin_array();
  for (const std::string& m : lib.model_names()) w.value(m);
  w.end_array().key("missing").begin_array();
  for (const std::string& m : r.missing) w.value(m);
  w.end_array().end_object();
  print_out(w.take() + "\n").ok();
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& s : list) out += (out.empty() ? "" : ", ") + s;
  return out.empty() ? "none" : out;
}

void print_text(const Report& r, const sema::Library& lib) {
  std::printf("CPU            %s, %d cores for this process\n", measure::cpu_name().c_str(), r.cpu.cores);
  for (auto& [name, state] : r.targets) std::printf("  %-12s %s\n", name.c_str(), state.c_str());
  for (const measure::Cache& c : r.caches)
    std::printf("  L%d %-9s %s, shared by %d\n", c.level, c.type.c_str(), size_text(static_cast<uint64_t>(c.bytes)).c_str(), c.shared_by);
  std::printf("memory         %s, %s available; 2 MB pages: %s\n", size_text(r.memory.total).c_str(), size_text(r.memory.available).c_str(),
              r.memory.huge_pages.c_str());
  for (const measure::Bandwidth& b : r.bandwidth)
    std::printf("  read by %2d %s, %s pages: %.1f GB/s%s\n", b.threads, b.threads == 1 ? "thread " : "threads",
                b.huge_pages ? "2 MB" : "4 kB", b.bytes_per_second / 1e9,
                b.huge_pages && !b.got_huge ? " (the kernel gave small pages)" : "");
  std::printf("Vulkan drivers %s\n", joined(r.drivers).c_str());
  std::printf("formats        %s\n", joined(lib.format_names()).c_str());
  std::printf("architectures  %s\n", joined(lib.model_names()).c_str());
  std::printf("models         in %s\n", hub::store_directory().c_str());
  for (const hub::StoredModel& m : hub::list_models()) std::printf("  %-24s %s\n", m.name.c_str(), size_text(m.bytes).c_str());
  if (r.missing.empty()) std::printf("missing        nothing\n");
  for (const std::string& m : r.missing) std::printf("missing        %s\n", m.c_str());
}

Status doctor(const Arguments& a, const Options& o) {
  LUMEN_TRY(library, runtime::load_library(a.globals().lum_directories));
  LUMEN_TRY(r, examine(o));
  if (o.json)
    print_json(r, *library);
  else
    print_text(r, *library);
  return ok_status();
}

}  // namespace

Action declare_doctor(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.flag("--json", o->json, "as JSON");
  a.flag("--quick", o->quick, "without measuring the memory");
  return [&a, o] { return doctor(a, *o); };
}

}  // namespace lumen::tool
