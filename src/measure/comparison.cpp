// Medians, ratios, shares, and when not to trust them.
#include "measure/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lumen::measure {
namespace {

constexpr double kBusy = 0.10;       // CPU time of others above which a figure is doubtful
constexpr double kUnsteady = 0.25;   // the machine's bandwidth moved by more than this around its median
constexpr double kLongEnough = 0.3;  // seconds of a test's processes in all, below which the kernel's clocks are too coarse to judge

std::string percent(double share) { return std::to_string(std::lround(100 * share)) + "%"; }

std::string gigabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", bytes / 1e9);
  return text;
}

}  // namespace

std::string Test::name() const {
  switch (kind) {
    case TestKind::ColdStart:
      return "cold start";
    case TestKind::FirstStart:
      return "first start";
    case TestKind::HotStart:
      return "hot first token";
    case TestKind::Load:
      return "load";
    case TestKind::Prefill:
      return "prefill " + std::to_string(tokens);
    case TestKind::Decode:
      return "decode " + std::to_string(tokens) + (depth > 0 ? " at " + std::to_string(depth) : "") + (busy ? " beside a busy core" : "");
  }
  return "";
}

std::string Test::id() const {
  std::string out = name();
  std::replace(out.begin(), out.end(), ' ', '_');
  return out;
}

Spread spread_of(std::vector<double> v) {
  if (v.empty()) return {};
  std::sort(v.begin(), v.end());
  size_t n = v.size();
  return {n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2, v.front(), v.back(), n};
}

Spread Figure::value() const {
  std::vector<double> v;
  for (const Trial& t : trials) v.push_back(t.value);
  return spread_of(std::move(v));
}

double Figure::others_share() const {
  double sum = 0;
  for (const Trial& t : trials) sum += t.others_share;
  return trials.empty() ? 0 : std::max(0.0, sum / static_cast<double>(trials.size()));
}

double Figure::bandwidth_share() const {
  std::vector<double> v;
  for (const Trial& t : trials)
    if (t.bytes_per_token > 0 && t.read_bytes > 0) v.push_back(t.value * t.bytes_per_token / t.read_bytes);
  return spread_of(std::move(v)).median;
}

std::vector<Span> Figure::spans() const {
  std::vector<Span> out;
  for (const Span& first : trials.empty() ? std::vector<Span>() : trials[0].spans) {
    std::vector<double> begins, lengths;
    for (const Trial& t : trials)
      for (const Span& s : t.spans)
        if (s.name == first.name) begins.push_back(s.begin), lengths.push_back(s.seconds);
    if (std::none_of(out.begin(), out.end(), [&](const Span& s) { return s.name == first.name; }))
      out.push_back({first.name, spread_of(begins).median, spread_of(lengths).median});
  }
  std::sort(out.begin(), out.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  return out;
}

Agreement agreement_of(const std::string& a, const std::string& b) {
  auto parted = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return {a == b, parted.first - a.begin()};
}

uint64_t Comparison::peak_bytes(const EngineResult& r, std::optional<TestKind> of) const {
  uint64_t most = 0;
  for (size_t t = 0; t < tests.size(); ++t)
    if (of ? tests[t].kind == *of : tests[t].kind != TestKind::FirstStart)
      for (const Trial& x : r.figures[t].trials) most = std::max(most, x.peak_bytes);
  return most;
}

double Comparison::ratio(const ModelResult& m, size_t engine, size_t test) const {
  const Spread ours = m.engines[0].figures[test].value(), theirs = m.engines[engine].figures[test].value();
  if (ours.count == 0 || theirs.count == 0 || ours.median <= 0 || theirs.median <= 0) return 0;
  return tests[test].in_seconds() ? theirs.median / ours.median : ours.median / theirs.median;
}

double Comparison::peak_share(const ModelResult& m, const Figure& f) const {
  std::vector<double> v;
  for (const Trial& t : f.trials) {
    double peak = m.subject.float_weights ? t.f32_ops : t.int8_ops;
    if (peak > 0 && m.subject.multiplied_weights > 0) v.push_back(2 * m.subject.multiplied_weights * t.value / peak);
  }
  return spread_of(std::move(v)).median;
}

bool Comparison::doubtful(const ModelResult& m, size_t engine, size_t test) const {
  const Figure& f = m.engines[engine].figures[test];
  return !tests[test].busy && f.seconds_in_all >= kLongEnough && f.others_share() > kBusy;
}

std::vector<std::string> Comparison::warnings() const {
  std::vector<std::string> out;
  for (const ModelResult& m : models)
    for (size_t e = 0; e < m.engines.size(); ++e)
      for (size_t t = 0; t < tests.size(); ++t) {
        const Figure& f = m.engines[e].figures[t];
        if (tests[t].kind != TestKind::Load && doubtful(m, e, t))  // a load is its cold start's
          out.push_back(m.subject.name + ", " + engines[e].name + ", " + tests[t].name() + ": others took " + percent(f.others_share()) +
                        " of the machine's CPU time meanwhile");
      }
  if (out.size() > 6) {
    size_t more = out.size() - 5;
    out.resize(5);
    out.push_back("and " + std::to_string(more) + " more figures taken while others used more than " + percent(kBusy) + " of the CPU time");
  }
  if (read_bytes.count > 1 && read_bytes.highest - read_bytes.lowest > kUnsteady * read_bytes.median)
    out.push_back("the machine's memory gave between " + gigabytes(read_bytes.lowest) + " and " + gigabytes(read_bytes.highest) +
                  " GB/s during the run: compare shares of bandwidth, and tokens a second only where they differ by more than that");
  if (rounds < 3)
    out.push_back("only " + std::to_string(rounds) + (rounds == 1 ? " round" : " rounds") + ": a median of fewer than 3 says little");
  if (threads > cores) out.push_back(std::to_string(threads) + " threads share " + std::to_string(cores) + " cores");
  return out;
}

std::vector<std::string> Comparison::problems() const {
  std::vector<std::string> out;
  for (size_t e = 0; e < engines.size(); ++e)
    for (const std::string& lack : engines[e].lacks) out.push_back(engines[e].name + ": not measured: " + lack);
  for (const ModelResult& m : models)
    for (size_t e = 0; e < m.engines.size(); ++e) {
      std::vector<std::pair<std::string, std::string>> reasons;  // reason -> tests
      auto note = [&](const std::string& what, const std::string& reason) {
        bool said = reason.empty() || std::any_of(engines[e].lacks.begin(), engines[e].lacks.end(),
                                                  [&](const std::string& l) { return l.find(reason) != std::string::npos; });
        if (said) return;
        auto it = std::find_if(reasons.begin(), reasons.end(), [&](auto& r) { return r.first == reason; });
        if (it == reasons.end())
          reasons.push_back({reason, what});
        else
          it->second += ", " + what;
      };
      for (size_t t = 0; t < tests.size(); ++t) note(tests[t].name(), m.engines[e].figures[t].problem);
      note("continuation", m.engines[e].continuation_problem);
      note("logits", m.engines[e].logits.problem);
      for (auto& [reason, what] : reasons)
        out.push_back(m.subject.name + ", " + engines[e].name + ", " + what + ": not measured: " + reason);
    }
  return out;
}

}  // namespace lumen::measure
