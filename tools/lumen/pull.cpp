// lumen pull: a model of a hub into the local store. Its path goes to standard output, all that is said on the way to standard error.
#include "hub/pull.h"

#include <unistd.h>

#include <cmath>

#include "command.h"
#include "common.h"
#include "hub/names.h"
#include "json_writer.h"
#include "measure/machine.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string name;
  double memory = 0;
  hub::PullOptions pull;
  bool json = false, quiet = false;
};

// Lines and one bar at a time on standard error.
hub::Watcher watcher(bool quiet) {
  hub::Watcher w;
  if (quiet) return w;
  bool watched = isatty(2) != 0;
  w.say = [watched](const std::string& line) { std::fprintf(stderr, "%s%s\n", watched ? "\r\033[K" : "", line.c_str()); };
  auto bar = std::make_shared<std::pair<std::string, std::function<void(int64_t, int64_t)>>>();
  w.progress = [bar](const std::string& doing, int64_t done, int64_t total) {
    if (bar->first != doing) *bar = {doing, progress_bar(doing)};
    bar->second(done, total);
  };
  return w;
}

Status print_names() {
  LUMEN_TRY(names, hub::short_names());
  std::printf("short names, beside hf:ORG/REPO[@REVISION][:PATTERN]:\n");
  for (const hub::ShortName& n : names) std::printf("  %-22s %s\n", n.name.c_str(), n.ref.text().c_str());
  return ok_status();
}

Status print_pulled(const hub::Pulled& p, bool json) {
  if (!json) {
    if (p.path.empty())  // a dry run
      for (const hub::RemoteFile& f : p.files)
        std::printf("%s  %s  %s %s\n", f.path.c_str(), size_text(f.bytes).c_str(), f.digest.name(), f.digest.hex.c_str());
    else
      std::printf("%s\n", p.path.c_str());
    return ok_status();
  }
  JsonWriter w;
  w.begin_object()
      .field("name", p.name)
      .field("path", p.path)
      .field("commit", p.commit)
      .field("fetched_bytes", p.fetched)
      .key("files")
      .begin_array();
  for (const hub::RemoteFile& f : p.files)
    w.begin_object().field("path", f.path).field("bytes", f.bytes).field(f.digest.name(), f.digest.hex).end_object();
  w.end_array().end_object();
  return print_out(w.take() + "\n");
}

Status pull(const Arguments& a, Options& o) {
  if (o.name.empty()) return print_names();
  o.pull.memory = a.given("--memory") ? static_cast<uint64_t>(std::llround(o.memory * 1e9)) : measure::memory_info().available;
  hub::Watcher w = watcher(o.quiet);
  LUMEN_TRY(pulled, hub::pull(o.name, o.pull, w));
  if (w.say && !o.pull.dry_run) w.say("lumen run " + pulled.name);
  return print_pulled(pulled, o.json);
}

}  // namespace

Action declare_pull(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("MODEL", o->name, "hf:ORG/REPO[@REVISION][:PATTERN], or a short name; without it: the short names", false);
  a.flag("--all", o->pull.all, "every GGUF file that matches, not the one that fits this machine best");
  a.number("--memory", o->memory, 0.001, 1e6, "choose for so many GB of free memory (default: what is free here)");
  a.flag("--dry-run", o->pull.dry_run, "say what would be pulled, and stop");
  a.flag("--json", o->json, "the result as JSON");
  a.flag("--quiet", o->quiet, "no words on the way");
  return [&a, o] { return pull(a, *o); };
}

}  // namespace lumen::tool
