// Opening models for commands.
#include "common.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <thread>

#include "backend/cpu/cpu_target.h"
#include "backend/webgpu/webgpu_target.h"
#include "base/mmap.h"
#include "engine/gguf_source.h"
#include "hub/store.h"

namespace lumen::tool {

Result<std::shared_ptr<Target>> make_target(const std::string& name, int64_t threads) {
  if (name == "wgsl") {
    LUMEN_TRY(t, make_webgpu_target());
    return std::shared_ptr<Target>(std::move(t));
  }
  LUMEN_TRY(t, make_cpu_target({name, static_cast<int>(threads)}));
  return std::shared_ptr<Target>(std::move(t));
}

void declare_model(Arguments& a, ModelChoice& c, bool required, bool interp) {
  a.positional("MODEL", c.model, "a path, or the name of a fetched model", required);
  std::vector<std::string> targets = {"native", "avx2", "avx512", "avx512vnni", "wgsl"};
  if (interp) targets.insert(targets.end(), {"interp", "interp-passes"});
  a.choice("--target", c.target, targets,
           interp ? "the code to make and run; interp: the interpreter, very slow; interp-passes: the same after the compiler's passes"
                  : "the code to make and run");
  a.integer("--ctx", c.context, 1, 1 << 24, "tokens the context holds (default: the model's own, at most 4096)");
  a.integer("-t,--threads", c.threads, 1, 1024, "threads (default: all the process may use)");
  a.text("--quantize", c.quantize, "encode weights that are plain floats in this format while loading");
}

Result<std::shared_ptr<const sema::Library>> library_for(const Arguments& a, const std::string& model) {
  const Globals& g = a.globals();
  if (!g.trust_embedded_formats) return runtime::load_library(g.lum_directories);
  LUMEN_TRY(lib, sema::Library::standard());
  for (const std::string& d : g.lum_directories) LUMEN_CHECK(lib.add_directory(d));
  LUMEN_TRY(path, hub::resolve_model(model));
  LUMEN_CHECK(engine::add_embedded_formats(lib, path));
  return std::shared_ptr<const sema::Library>(std::make_shared<sema::Library>(std::move(lib)));
}

namespace {

class Bar {
 public:
  explicit Bar(std::string doing) : doing_(std::move(doing)) {}
  void show(int64_t done, int64_t total) {
    if (!watched_ || total <= 0) return;
    int percent = static_cast<int>(static_cast<double>(done) * 100 / static_cast<double>(total));
    if (percent == last_) return;
    last_ = percent;
    if (done >= total) {
      std::fputs("\r\033[K", stderr);
      last_ = -1;
    } else {
      std::string bar(static_cast<size_t>(percent) * 30 / 100, '#');
      bar.resize(30, '.');
      std::fprintf(stderr, "\r%s [%s] %d%%", doing_.c_str(), bar.c_str(), percent);
    }
    std::fflush(stderr);
  }

 private:
  std::string doing_;
  bool watched_ = isatty(2) != 0;
  int last_ = -1;
};

}  // namespace

std::function<void(int64_t, int64_t)> progress_bar(const std::string& doing) {
  return [bar = std::make_shared<Bar>(doing)](int64_t done, int64_t total) { bar->show(done, total); };
}

Result<Opened> open_chosen(const Arguments& a, const ModelChoice& c, int64_t sequences) {
  LUMEN_TRY(library, library_for(a, c.model));
  Opened out;
  if (c.target.rfind("interp", 0) == 0) {
    LUMEN_TRY(file, runtime::open_file(c.model, library));
    static_cast<runtime::OpenModel&>(out) = std::move(file);
    LUMEN_TRY(host, make_target("avx2", 1));  // holds memory, runs nothing
    int threads = c.threads > 0 ? static_cast<int>(c.threads) : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    LUMEN_TRY(interp,
              runtime::InterpModel::load(library, out.checkpoint, host, {threads, c.exact, c.target == "interp-passes", c.context, c.quantize}));
    out.interp = std::move(interp);
    return out;
  }
  LUMEN_TRY(target, make_target(c.target, c.threads));
  engine::ModelOptions o;
  o.threads = target->machine().threads;
  o.exact = c.exact;
  o.quantize = c.quantize;
  o.context = c.context;
  o.sequences = sequences;
  o.progress = progress_bar("loading");
  o.keeping = progress_bar("keeping packed weights for the next start");
  LUMEN_TRY(opened, runtime::open_model(c.model, library, target, o));
  static_cast<runtime::OpenModel&>(out) = std::move(opened);
  return out;
}

void declare_prompt(Arguments& a, PromptChoice& p) {
  a.text("--prompt", p.prompt, "the prompt, as text");
  a.text("--tokens", p.tokens, "the prompt, as ids: 1,2,3");
}

Result<std::vector<int32_t>> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char *p = text.data(), *end = p + text.size();
  while (p < end) {
    int32_t v = 0;
    auto [next, ec] = std::from_chars(p, end, v);
    if (ec != std::errc() || v < 0) return Error{"expected token ids such as 1,2,3, found '" + text + "'", true};
    ids.push_back(v);
    p = next;
    if (p < end && *p != ',' && *p != ' ') return Error{"expected token ids such as 1,2,3, found '" + text + "'", true};
    if (p < end && ++p == end) return Error{"expected a token id after the last '" + std::string(1, end[-1]) + "' of '" + text + "'", true};
  }
  return ids;
}

Result<std::vector<int32_t>> prompt_ids(const Arguments& a, const PromptChoice& p, const Opened& m) {
  bool prompt = a.given("--prompt"), tokens = a.given("--tokens");
  if (prompt == tokens) return Error{"expected one of --prompt TEXT and --tokens 1,2,3", true};
  std::vector<int32_t> ids;
  if (tokens) {
    LUMEN_TRY(parsed, parse_ids(p.tokens));
    ids = std::move(parsed);
  } else {
    LUMEN_TRY(encoded, m.encode(p.prompt));
    ids = std::move(encoded);
  }
  if (ids.empty()) return Error{"the prompt is empty: expected at least one token", true};
  if (static_cast<int64_t>(ids.size()) > m.context())
    return Error{
        "the prompt has " + std::to_string(ids.size()) + " tokens; the context holds " + std::to_string(m.context()) + " (--ctx sets it)",
        true};
  return ids;
}

Result<std::string> read_text(const std::string& path) {
  LUMEN_TRY(file, MappedFile::open(path));
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

Status print_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return Error{"writing to standard output failed"};
  return ok_status();
}

std::string visible(std::string_view text) {
  std::string q = quoted(text, 200);
  return q.substr(1, q.size() - 2);
}

std::string fixed(double v, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

Status run_rows(Opened& model, const std::vector<int32_t>& ids, int64_t first, const std::function<void(int64_t, const float*)>& row) {
  int64_t n = static_cast<int64_t>(ids.size());
  for (int64_t at = 0; at < n;) {
    int64_t end = std::min(n, at + model.max_batch());
    int64_t wanted = std::max(at, first);
    if (end > wanted) end = std::min(end, wanted + model.max_rows());
    engine::Batch b = engine::batch_of(ids, at, end);
    for (int64_t i = wanted; i < end; ++i) b.rows.push_back(static_cast<int32_t>(i - at));
    bool any = !b.rows.empty();
    if (!any) b.rows.push_back(static_cast<int32_t>(end - at - 1));
    LUMEN_TRY(logits, model.step(b));
    if (any)
      for (int64_t i = wanted; i < end; ++i) row(i, logits + (i - wanted) * model.vocab());
    at = end;
  }
  return ok_status();
}

}  // namespace lumen::tool
