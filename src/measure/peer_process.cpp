// llama.cpp's kin: llama-bench's JSON, llama-completion's (or llama-cli's) text, llama-perplexity's file of log-probabilities. What a
// program can do is read from its --help: versions differ.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include "base/json.h"
#include "base/mmap.h"
#include "measure/engine_process.h"

namespace lumen::measure {
namespace {

constexpr double kHelpSeconds = 30;  // at most, for a program's --help

bool runs(const std::string& path) {
  std::error_code ec;
  return access(path.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(path, ec);
}

// --help of a program, whatever status it ends with. Empty: it did not end, or was killed.
std::string help_of(const std::string& program, const EngineSettings& settings) {
  ProcessOptions o;
  o.timeout = std::min(kHelpSeconds, settings.timeout);
  o.directory = settings.directory;
  auto r = run_process({program, "--help"}, o);
  return r && !r->timed_out && r->status >= 0 ? r->out + r->err : "";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : " ") + w;
  return out;
}

// From a line that begins with '[' to the last ']': some builds print remarks of their own around it.
std::string_view array_in(std::string_view text) {
  size_t begin = text.rfind('[', 0) == 0 ? 0 : text.find("\n[");
  size_t end = text.rfind(']');
  return begin == std::string_view::npos || end == std::string_view::npos || end < begin ? text : text.substr(begin, end + 1 - begin);
}

}  // namespace

bool PeerProcess::knows(const std::string& help, const std::string& option) {
  auto part_of_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; };
  for (size_t at = help.find(option); at != std::string::npos; at = help.find(option, at + 1)) {
    size_t end = at + option.size();
    if ((at == 0 || !part_of_word(help[at - 1])) && (end == help.size() || !part_of_word(help[end]))) return true;
  }
  return false;
}

Result<std::unique_ptr<PeerProcess>> PeerProcess::open(EngineSettings settings, std::string name, std::string bench,
                                                       std::vector<std::string> options, bool own_options) {
  std::error_code ec;
  std::string path = std::filesystem::absolute(bench, ec).lexically_normal().string();
  std::string who = "--peer " + name + "=" + bench + ": ";
  if (!std::filesystem::exists(path, ec)) return Error{who + "no such file; expected the path of a llama-bench program", true};
  if (!runs(path)) return Error{who + "cannot be run; expected the path of a llama-bench program", true};
  std::unique_ptr<PeerProcess> p(new PeerProcess(std::move(settings), std::move(name), path));
  p->bench_help_ = help_of(path, p->settings_);
  if (p->bench_help_.empty()) return Error{who + "its --help did not come, or it was killed; expected a llama-bench program"};
  for (const char* needed : {"-m", "-p", "-n", "-t", "-r", "-o"})
    if (!knows(p->bench_help_, needed))
      return Error{who + "its --help does not name the option " + needed + "; expected a llama-bench program"};
  if (own_options)
    for (const char* best : {"-fa", "-rtr"})
      if (knows(p->bench_help_, best)) options.insert(options.end(), {best, "1"});
  p->options_ = std::move(options);
  p->completion_ = p->beside({"llama-completion", "llama-cli", "main"});
  if (!p->completion_.empty()) p->completion_help_ = help_of(p->completion_, p->settings_);
  p->perplexity_ = p->beside({"llama-perplexity", "perplexity"});
  return p;
}

std::string PeerProcess::beside(const std::vector<std::string>& names) const {
  std::filesystem::path file(bench_);
  std::string own = file.filename().string();
  size_t at = own.find("llama-bench");  // "ik-llama-bench" has "ik-llama-cli" for a neighbour
  for (const std::string& name : names) {
    std::string prefixed = at == std::string::npos ? name : own.substr(0, at) + name + own.substr(at + 11);
    std::string path = (file.parent_path() / prefixed).string();
    if (runs(path)) return path;
  }
  return "";
}

EngineInfo PeerProcess::info() const {
  EngineInfo i{name_, joined(options_), bench_, {}};
  if (!commit_.empty()) i.description += (i.description.empty() ? "" : "; ") + ("build " + commit_);
  if (completion_.empty()) i.lacks.push_back("cold start, load and output: no llama-completion or llama-cli beside " + bench_);
  if (perplexity_.empty()) i.lacks.push_back("logits: no llama-perplexity beside " + bench_);
  return i;
}

Result<std::vector<std::string>> PeerProcess::start_command(const Subject& model, int64_t tokens) const {
  if (completion_.empty()) return Error{"no llama-completion or llama-cli beside " + bench_};
  std::vector<std::string> c = {completion_,
                                "-m",
                                model.path,
                                "-p",
                                settings_.prompt,
                                "-n",
                                std::to_string(tokens),
                                "-c",
                                std::to_string(settings_.start_context),
                                "-t",
                                std::to_string(settings_.threads),
                                "--temp",
                                "0"};
  // Without a warm-up the first token comes sooner; without the prompt on standard output the first byte is the answer's.
  for (const char* wished : {"--no-display-prompt", "-no-cnv", "--no-warmup"})
    if (knows(completion_help_, wished)) c.push_back(wished);
  return c;
}

Result<Trial> PeerProcess::run(const Subject& model, const Test& test, double& wall_seconds) {
  if (test.kind != TestKind::ColdStart) return bench(model, test, wall_seconds);
  LUMEN_TRY(command, start_command(model, 1));
  LUMEN_TRY(r, output_of(command));
  wall_seconds = r.wall_seconds;
  if (r.first_byte_seconds <= 0) return Error{completion_ + ": it answered with nothing"};
  return Trial{.value = r.first_byte_seconds, .others_share = r.others_share, .peak_bytes = r.peak_bytes};
}

Result<Trial> PeerProcess::bench(const Subject& model, const Test& test, double& wall_seconds) {
  bool decode = test.kind == TestKind::Decode;
  std::string n = std::to_string(test.tokens), depth = std::to_string(test.depth);
  std::vector<std::string> c = {bench_, "-m", model.path, "-t", std::to_string(settings_.threads), "-r", "1", "-o", "json"};
  if (!decode || test.depth == 0)
    c.insert(c.end(), {"-p", decode ? "0" : n, "-n", decode ? n : "0"});
  else if (knows(bench_help_, "-d"))
    c.insert(c.end(), {"-p", "0", "-n", n, "-d", depth});
  else if (knows(bench_help_, "-gp"))
    c.insert(c.end(), {"-p", "0", "-n", "0", "-gp", depth + "," + n});
  else
    return Error{"its llama-bench knows neither -d nor -gp"};
  c.insert(c.end(), options_.begin(), options_.end());
  LUMEN_TRY(r, output_of(c));
  wall_seconds = r.wall_seconds;
  auto doc = JsonDocument::parse(array_in(r.out));
  if (!doc) return Error{bench_ + " printed no JSON: " + doc.error().message};
  for (const Json& t : doc->root().items()) {
    const Json *speed = t.find("avg_ts"), *generated = t.find("n_gen"), *commit = t.find("build_commit");
    if (!speed || !speed->is_number() || !generated || !generated->is_number() || (generated->as_double() > 0) != decode) continue;
    if (speed->as_double() <= 0) return Error{bench_ + ": a speed of " + std::to_string(speed->as_double()) + " tokens/s"};
    if (commit && commit->is_string()) commit_ = commit->as_string();
    double tokens = static_cast<double>(test.tokens);
    Trial trial{.value = test.in_seconds() ? tokens / speed->as_double() : speed->as_double(),
                .others_share = r.others_share,
                .peak_bytes = r.peak_bytes};
    if (decode && model.cache_bytes_per_token > 0)
      trial.bytes_per_token = model.bytes_per_token + model.cache_bytes_per_token * (static_cast<double>(test.depth) + tokens / 2);
    return trial;
  }
  return Error{bench_ + ": its JSON has no entry with avg_ts and n_gen for " + test.name()};
}

Result<std::string> PeerProcess::continuation(const Subject& model, int64_t tokens) {
  LUMEN_TRY(command, start_command(model, tokens));
  LUMEN_TRY(r, output_of(command));
  std::string text = r.out;
  const std::string end = "[end of text]";
  size_t last = text.find_last_not_of(" \r\n\t");
  if (last != std::string::npos && last + 1 >= end.size() && text.compare(last + 1 - end.size(), end.size(), end) == 0)
    text.resize(last + 1 - end.size());
  return text;
}

Result<LogProbs> PeerProcess::log_probs(const Subject& model, const std::string& text_file, int64_t chunk) const {
  if (perplexity_.empty()) return Error{"no llama-perplexity beside " + bench_};
  std::string size = std::to_string(chunk), file = (std::filesystem::path(settings_.directory) / "log_probs").string();
  std::remove(file.c_str());
  LUMEN_TRY(r, output_of({perplexity_, "-m", model.path, "-f", text_file, "-c", size, "-b", size, "--chunks", "1", "-t",
                          std::to_string(settings_.threads), "--kl-divergence-base", file}));
  (void)r;
  auto map = MappedFile::open(file);
  if (!map) return Error{perplexity_ + " wrote no log-probabilities: " + map.error().message};
  auto bytes = map->bytes();
  auto out = read_log_probs({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, perplexity_);
  std::remove(file.c_str());
  return out;
}

}  // namespace lumen::measure
