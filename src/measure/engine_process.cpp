// What Lumen's commands print, read back.
#include "measure/engine_process.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/json.h"
#include "base/timeline.h"

namespace lumen::measure {
namespace {

Result<double> number_in(const Json& object, std::initializer_list<const char*> path, const std::string& program) {
  const Json* at = &object;
  std::string shown;
  for (const char* key : path) {
    shown += (shown.empty() ? "" : ".") + std::string(key);
    at = at->find(key);
    if (!at) return Error{program + ": its JSON has no \"" + shown + "\""};
  }
  if (!at->is_number()) return Error{program + ": its JSON's \"" + shown + "\" is no number"};
  return at->as_double();
}

// Lines of LUMEN_TIMELINE: "  12.34 ms  +5.67  name" (base/timeline.h).
std::vector<Span> spans_in(const std::string& text) {
  std::vector<Span> out;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    double begin = 0, length = 0;
    int name = 0;
    if (std::sscanf(line.c_str(), " %lf ms +%lf %n", &begin, &length, &name) == 2 && name > 0)
      out.push_back({line.substr(static_cast<size_t>(name)), begin / 1e3, length / 1e3});
  }
  return out;
}

}  // namespace

Result<ProcessResult> EngineProcess::output_of(const std::vector<std::string>& command, ProcessOptions o) const {
  o.timeout = settings_.timeout;
  o.directory = settings_.directory;
  LUMEN_TRY(r, run_process(command, o));
  if (!r.fine()) return Error{command[0] + " " + r.complaint(o)};
  return r;
}

LumenProcess::LumenProcess(EngineSettings settings, std::string program, std::string target, std::vector<std::string> globals)
    : EngineProcess(std::move(settings)), program_(std::move(program)), target_(std::move(target)), globals_(std::move(globals)) {}

EngineInfo LumenProcess::info() const { return {"Lumen", "code for " + (made_for_.empty() ? target_ : made_for_), program_, {}}; }

std::vector<std::string> LumenProcess::command(const std::vector<std::string>& rest) const {
  std::vector<std::string> out = {program_};
  out.insert(out.end(), globals_.begin(), globals_.end());
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

std::vector<std::string> LumenProcess::start_command(const Subject& model, int64_t tokens) const {
  return command({"run", model.path, settings_.prompt, "--raw", "--temp", "0", "-n", std::to_string(tokens), "--ctx",
                  std::to_string(settings_.start_context), "-t", std::to_string(settings_.threads), "--target", target_});
}

Result<Trial> LumenProcess::run(const Subject& model, const Test& test, double& wall_seconds) {
  if (test.kind != TestKind::ColdStart && test.kind != TestKind::FirstStart) return bench(model, test, wall_seconds);
  ProcessOptions o;
  o.environment = {{"LUMEN_TIMELINE", std::to_string(timeline_clock())}};
  if (test.kind == TestKind::FirstStart) o.environment.push_back({"LUMEN_CACHE", "off"});
  LUMEN_TRY(r, output_of(start_command(model, 1), o));
  wall_seconds = r.wall_seconds;
  if (r.first_byte_seconds <= 0) return Error{program_ + " run: it answered with nothing"};
  return Trial{.value = r.first_byte_seconds, .others_share = r.others_share, .peak_bytes = r.peak_bytes, .spans = spans_in(r.err)};
}

Result<Trial> LumenProcess::bench(const Subject& model, const Test& test, double& wall_seconds) {
  bool decode = test.kind == TestKind::Decode;
  std::string n = std::to_string(test.tokens);
  LUMEN_TRY(r, output_of(command({"bench", model.path, "-p", decode ? "0" : n, "-n", decode ? n : "0", "-d", std::to_string(test.depth),
                                  "-r", "1", "-t", std::to_string(settings_.threads), "--target", target_, "--no-probe", "--json"})));
  wall_seconds = r.wall_seconds;
  std::string who = program_ + " bench";
  auto doc = JsonDocument::parse(r.out);
  if (!doc) return Error{who + ": it printed no JSON: " + doc.error().message};
  const Json& root = doc->root();
  LUMEN_TRY(speed, number_in(root, {decode ? "decode" : "prefill", "tokens_per_second"}, who));
  if (speed <= 0) return Error{who + ": a speed of " + std::to_string(speed) + " tokens/s"};
  LUMEN_TRY(states, number_in(root, {"state_bytes_per_token"}, who));
  cache_bytes_per_token_ = states;
  if (const Json* target = root.find("target"); target && target->is_string()) made_for_ = target->as_string();
  Trial t{.value = test.in_seconds() ? static_cast<double>(test.tokens) / speed : speed,
          .others_share = r.others_share,
          .peak_bytes = r.peak_bytes};
  if (decode) {
    LUMEN_TRY(bytes, number_in(root, {"decode", "bytes_per_token"}, who));
    t.bytes_per_token = bytes;
  }
  return t;
}

Result<std::string> LumenProcess::continuation(const Subject& model, int64_t tokens) {
  LUMEN_TRY(r, output_of(start_command(model, tokens)));
  return r.out;
}

Result<Subject> LumenProcess::examine(const std::string& name, const std::string& path) const {
  LUMEN_TRY(r, output_of(command({"inspect", path, "--json"})));
  auto doc = JsonDocument::parse(r.out);
  if (!doc) return Error{program_ + " inspect: " + doc.error().message};
  const Json& root = doc->root();
  Subject s;
  s.name = name;
  s.path = path;
  if (const Json* problem = root.find("model_problem"); problem && problem->is_string())
    return Error{path + ": " + std::string(problem->as_string())};
  LUMEN_TRY(bytes, number_in(root, {"file_bytes"}, program_ + " inspect"));
  s.file_bytes = static_cast<uint64_t>(bytes);
  double embedding = 0, float_bytes = 0, multiplied_bytes = 0;
  bool output = false;
  const Json* tensors = root.find("tensors");
  for (const Json& t : tensors ? tensors->items() : std::span<const Json>()) {
    const Json *used = t.find("used_as"), *size = t.find("bytes"), *dims = t.find("dims"), *format = t.find("format");
    if (!used || !used->is_string() || used->as_string().empty() || !size || !size->is_number() || !dims || !format) continue;
    s.bytes_per_token += size->as_double();
    if (used->as_string() == "embed") embedding = size->as_double();
    output |= used->as_string() == "output";
    if (used->as_string() == "embed" || used->as_string() == "output" || dims->items().size() < 2) continue;
    double weights = 1;
    for (const Json& d : dims->items()) weights *= d.as_double();
    s.multiplied_weights += weights;
    multiplied_bytes += size->as_double();
    if (format->as_string() == "f32" || format->as_string() == "f16" || format->as_string() == "bf16") float_bytes += size->as_double();
  }
  if (output) s.bytes_per_token -= embedding;  // a row of it is read, no more
  s.float_weights = float_bytes > multiplied_bytes / 2;
  if (const Json* meta = root.find("metadata"))
    if (const Json* a = meta->find("general.architecture"); a && a->is_string()) s.architecture = a->as_string();
  LUMEN_TRY(ids, tokenize(s.path, settings_.prompt));
  s.prompt_tokens = static_cast<int64_t>(ids.size());
  return s;
}

Result<std::vector<int32_t>> LumenProcess::tokenize(const std::string& model, const std::string& text) const {
  LUMEN_TRY(r, output_of(command({"tokenize", model, text, "--json"})));
  auto doc = JsonDocument::parse(r.out);
  if (!doc) return Error{program_ + " tokenize: " + doc.error().message};
  std::vector<int32_t> ids;
  const Json* tokens = doc->root().find("tokens");
  for (const Json& t : tokens ? tokens->items() : std::span<const Json>()) ids.push_back(static_cast<int32_t>(t.as_int()));
  if (ids.empty()) return Error{program_ + " tokenize: no tokens for '" + text.substr(0, 40) + "'"};
  return ids;
}

Result<std::vector<std::vector<float>>> LumenProcess::log_probs(const Subject& model, const std::vector<int32_t>& tokens,
                                                                int64_t rows) const {
  std::string list;
  for (int32_t t : tokens) list += (list.empty() ? "" : ",") + std::to_string(t);
  ProcessOptions o;
  o.most_output = size_t{2} << 30;
  LUMEN_TRY(r, output_of(command({"logits", model.path, "--tokens", list, "--last", std::to_string(rows), "-t",
                                  std::to_string(settings_.threads), "--target", target_, "--json"}),
                         o));
  auto doc = JsonDocument::parse(r.out);
  if (!doc) return Error{program_ + " logits: " + doc.error().message};
  std::vector<std::vector<float>> out;
  const Json* all = doc->root().find("logits");
  for (const Json& row : all ? all->items() : std::span<const Json>()) {
    std::vector<float>& v = out.emplace_back();
    v.reserve(row.items().size());
    for (const Json& x : row.items()) v.push_back(static_cast<float>(x.as_double()));
    if (v.empty()) return Error{program_ + " logits: an empty row"};
    log_softmax(v);
  }
  if (static_cast<int64_t>(out.size()) != rows)
    return Error{program_ + " logits: " + std::to_string(out.size()) + " rows, expected " + std::to_string(rows)};
  return out;
}

}  // namespace lumen::measure
