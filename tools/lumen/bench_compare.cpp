// lumen bench-compare: Lumen and peers measured in turns, each trial a process of its own; tables, JSON, a page of HTML.
#include "bench_compare.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "backend/cpu/features.h"
#include "backend/cpu/peak.h"
#include "command.h"
#include "common.h"
#include "hub/store.h"
#include "measure/bench.h"
#include "measure/compare.h"
#include "measure/report.h"

namespace lumen::tool {
namespace {

struct Options {
  std::vector<std::string> models, peers, peer_args;
  std::vector<int64_t> prompts = {512}, depths = {0};
  int64_t generate = 128, threads = 0, rounds = 5, continued = 48;
  double timeout = 1800;
  std::string html, save, target = "native", prompt = "The capital city of France is", tests = "start,prefill,decode,output,logits";
  bool json = false, verbose = false, busy = false;
};

// "NAME=VALUE" in two.
Result<std::pair<std::string, std::string>> split(const std::string& flag, const std::string& given, const char* value) {
  size_t at = given.find('=');
  if (at == std::string::npos || at == 0 || at + 1 == given.size())
    return Error{flag + ": expected NAME=" + value + ", found '" + given + "'", true};
  return std::pair{given.substr(0, at), given.substr(at + 1)};
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; (at = text.find_first_not_of(' ', at)) != std::string::npos;) {
    size_t end = std::min(text.find(' ', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

// A directory of our own, gone at the end.
struct Scratch {
  std::string path;
  static Result<Scratch> make() {
    std::error_code ec;
    std::string name = (std::filesystem::temp_directory_path(ec) / "lumen-compare-XXXXXX").string();
    if (ec) return Error{"no directory for temporary files ($TMPDIR, else /tmp): " + ec.message()};
    if (!mkdtemp(name.data())) return Error{"no temporary directory " + name + ": " + std::strerror(errno)};
    return Scratch(name);
  }
  explicit Scratch(std::string p) : path(std::move(p)) {}
  Scratch(Scratch&& o) noexcept : path(std::exchange(o.path, "")) {}
  ~Scratch() {
    std::error_code ec;
    if (!path.empty()) std::filesystem::remove_all(path, ec);
  }
};

// A file for results, opened before anything is measured and put in its place at the end.
class ReportFile {
 public:
  static Result<ReportFile> open(const char* flag, const std::string& path) {
    ReportFile f(std::string(flag) + " " + path, path);
    if (path.empty()) return f;
    std::error_code ec;
    if (std::filesystem::is_directory(path, ec)) return Error{f.who_ + ": a directory; expected a file", true};
    int fd = ::open(f.partial().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return Error{f.who_ + ": cannot be written: " + std::strerror(errno), true};
    close(fd);
    return f;
  }
  ReportFile(ReportFile&& o) noexcept : who_(std::move(o.who_)), path_(std::exchange(o.path_, "")) {}
  ~ReportFile() {
    if (!path_.empty()) std::remove(partial().c_str());
  }
  Status write(const std::string& text) {
    if (path_.empty()) return ok_status();
    std::ofstream out(partial(), std::ios::binary | std::ios::trunc);
    out << text << std::flush;
    if (!out || std::rename(partial().c_str(), path_.c_str()) != 0) return Error{who_ + ": writing failed: " + std::strerror(errno)};
    return ok_status();
  }

 private:
  ReportFile(std::string who, std::string path) : who_(std::move(who)), path_(std::move(path)) {}
  std::string partial() const { return path_ + ".partial"; }
  std::string who_, path_;  // no path: nothing is wanted
};

Result<std::vector<measure::Test>> tests_of(const Options& o, bool& output, bool& logits) {
  using measure::TestKind;
  std::vector<measure::Test> tests;
  output = logits = false;
  std::string list = o.tests + ",";
  for (size_t at = 0; at < list.size();) {
    size_t end = list.find(',', at);
    std::string word = list.substr(at, end - at);
    at = end + 1;
    if (word == "start") {
      for (TestKind k : {TestKind::ColdStart, TestKind::FirstStart, TestKind::HotStart, TestKind::Load}) tests.push_back({k});
    } else if (word == "prefill") {
      for (int64_t p : o.prompts) tests.push_back({TestKind::Prefill, p});
    } else if (word == "decode") {
      for (int64_t d : o.depths) tests.push_back({TestKind::Decode, o.generate, d});
      for (int64_t d : o.busy ? o.depths : std::vector<int64_t>()) tests.push_back({TestKind::Decode, o.generate, d, true});
    } else if (word == "output") {
      output = true;
    } else if (word == "logits") {
      logits = true;
    } else {
      return Error{"--tests: expected some of start,prefill,decode,output,logits, found '" + word + "'", true};
    }
  }
  for (size_t i = 0; i < tests.size(); ++i)  // "-p 16,16" is one test
    for (size_t j = tests.size() - 1; j > i; --j)
      if (tests[j].name() == tests[i].name()) tests.erase(tests.begin() + static_cast<std::ptrdiff_t>(j));
  return tests;
}

std::string utc_now() {
  std::time_t t = std::time(nullptr);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", std::gmtime(&t));
  return text;
}

std::string system_name() {
  utsname u{};
  uname(&u);
  std::string name, line;
  std::ifstream release("/etc/os-release");
  while (std::getline(release, line))
    if (line.rfind("PRETTY_NAME=", 0) == 0) name = line.substr(12);
  std::erase(name, '"');
  return (name.empty() ? "" : name + ", ") + u.sysname + " " + u.release;
}

Result<std::vector<std::unique_ptr<measure::PeerProcess>>> open_peers(const Options& o, const measure::EngineSettings& settings) {
  std::vector<std::pair<std::string, std::string>> args;
  for (const std::string& given : o.peer_args) {
    LUMEN_TRY(pair, split("--peer-args", given, "\"-fa 1\""));
    args.push_back(pair);
  }
  std::vector<std::unique_ptr<measure::PeerProcess>> out;
  std::vector<std::string> names;
  for (const std::string& given : o.peers) {
    LUMEN_TRY(pair, split("--peer", given, "PATH_TO_llama-bench"));
    if (std::find(names.begin(), names.end(), pair.first) != names.end()) return Error{"--peer " + pair.first + ": given twice", true};
    names.push_back(pair.first);
    auto own = std::find_if(args.begin(), args.end(), [&](auto& a) { return a.first == pair.first; });
    LUMEN_TRY(peer, measure::PeerProcess::open(settings, pair.first, pair.second,
                                               own == args.end() ? std::vector<std::string>() : words_of(own->second), own == args.end()));
    out.push_back(std::move(peer));
  }
  for (auto& [name, value] : args)
    if (std::find(names.begin(), names.end(), name) == names.end()) return Error{"--peer-args " + name + ": no --peer of that name", true};
  return out;
}

// What --lum and such ask of every command, with paths that hold from anywhere.
std::vector<std::string> globals_of(const Arguments& a) {
  std::vector<std::string> out;
  for (const std::string& d : a.globals().lum_directories) out.insert(out.end(), {"--lum", std::filesystem::absolute(d).string()});
  if (a.globals().trust_embedded_formats) out.push_back("--trust-embedded-formats");
  return out;
}

Status bench_compare(const Arguments& a, const Options& o) {
  bool output = false, logits = false;
  LUMEN_TRY(tests, tests_of(o, output, logits));
  LUMEN_TRY(html, ReportFile::open("--html", o.html));
  LUMEN_TRY(save, ReportFile::open("--save", o.save));
  LUMEN_TRY(scratch, Scratch::make());
  measure::Comparison c;
  c.cores = cpu::detect().cores;
  c.threads = o.threads > 0 ? static_cast<int>(o.threads) : c.cores;
  c.cpu = measure::cpu_name();
  c.date = utc_now();
  c.kernel = system_name();
  c.memory = measure::memory_info();
  c.caches = measure::caches();
  c.target = o.target;
  c.int8_instructions = cpu::int8_peak_instructions();
  c.prompt = o.prompt;
  measure::EngineSettings settings{.threads = c.threads, .prompt = o.prompt, .timeout = o.timeout, .directory = scratch.path};
  LUMEN_TRY(prober, measure::Prober::start(c.threads, [](ThreadTeam& team) {
              cpu::Peak p = cpu::measure_peak(team);
              return measure::ArithmeticPeak{p.int8_ops, p.f32_ops};
            }));
  std::error_code ec;
  std::string self = std::filesystem::read_symlink("/proc/self/exe", ec).string();
  if (ec) return Error{"bench-compare: /proc/self/exe does not say where this program lies: " + ec.message()};
  measure::LumenProcess lumen(settings, self, o.target, globals_of(a));
  LUMEN_TRY(peers, open_peers(o, settings));
  for (const std::string& name : o.models) {
    LUMEN_TRY(found, hub::resolve_model(name));
    std::filesystem::path path = std::filesystem::absolute(found).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();  // "DIR/"
    std::string shown = (std::filesystem::is_directory(path, ec) ? path.filename() : path.stem()).string();
    if (std::any_of(c.models.begin(), c.models.end(), [&](auto& m) { return m.subject.name == shown; })) shown = path.string();
    LUMEN_TRY(subject, lumen.examine(shown, path.string()));
    c.models.push_back({subject, {}});
  }
  measure::CompareOptions options{
      .tests = tests, .rounds = o.rounds, .continued_tokens = output ? o.continued : 0, .logits = logits, .progress = {}};
  if (o.verbose || isatty(2)) options.progress = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  measure::catch_interrupts();
  LUMEN_CHECK(measure::compare(lumen, peers, *prober, settings, options, c));
  LUMEN_CHECK(print_out(o.json ? comparison_json(c) : measure::markdown_report(c)));
  LUMEN_CHECK(html.write(measure::html_report(c)));
  LUMEN_CHECK(save.write(comparison_json(c)));
  if (measure::interrupted()) return Error{"interrupted: the results are those until then"};
  return ok_status();
}

}  // namespace

Action declare_bench_compare(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positionals("MODEL", o->models, "paths, or names of fetched models");
  a.texts("--peer", o->peers, "NAME=PATH of a llama-bench; its other programs are looked for beside it (may be repeated)");
  a.texts("--peer-args", o->peer_args, "NAME=\"OPTIONS\" for that llama-bench (default: -fa 1 and -rtr 1 where it knows them)");
  a.integers("-p", o->prompts, 1, 1 << 20, "tokens of the prompts (default 512)");
  a.integer("-n", o->generate, 1, 1 << 20, "tokens decoded one by one (default 128)");
  a.integers("-d,--depths", o->depths, 0, 1 << 20, "tokens that the context holds before decoding (default 0)");
  a.flag("--busy", o->busy, "decode once more while another process keeps one core busy");
  a.integer("-t,--threads", o->threads, 1, 1024, "threads (default: all the process may use)");
  a.integer("-r,--rounds", o->rounds, 1, 1000, "rounds, of which the median is shown (default 5)");
  a.choice("--target", o->target, {"native", "avx2", "avx512", "avx512vnni"}, "the code that Lumen makes");
  a.text("--prompt", o->prompt, "of the starts and the continuations");
  a.integer("--continue", o->continued, 1, 480, "tokens of the continuations that are compared (default 48)");
  a.text("--tests", o->tests, "some of start,prefill,decode,output,logits (default: all)");
  a.number("--timeout", o->timeout, 0.1, 1e6, "seconds after which a process is given up (default 1800)");
  a.text("--html", o->html, "a file for a report with plots");
  a.text("--save", o->save, "a file for every trial as JSON, beside what is printed");
  a.flag("--json", o->json, "every trial as JSON, instead of tables");
  a.flag("-v,--verbose", o->verbose, "each trial on standard error, as on a terminal");
  return [&a, o] { return bench_compare(a, *o); };
}

}  // namespace lumen::tool
