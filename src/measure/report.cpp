// Figures as text, and the Markdown report.
#include "measure/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lumen::measure {
namespace {

std::string spelled(double v, const char* format) {
  char text[48];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

std::string percent(double share) { return share > 0 ? spelled(100 * share, "%.0f%%") : ""; }

std::string span(const Spread& s, double scale) {
  return s.count > 1 ? rounded(s.lowest * scale) + " to " + rounded(s.highest * scale) : "";
}

std::string with_span(const Spread& s, double scale, const char* unit) {
  return rounded(s.median * scale) + " " + unit + (s.count > 1 ? " (" + span(s, scale) + ")" : "");
}

// Cells must not end a row.
std::string cell(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '|', '/');
  return text;
}

void starts_table(std::string& out, const Comparison& c) {
  std::vector<size_t> tests;
  for (size_t t = 0; t < c.tests.size(); ++t)
    if (c.tests[t].in_seconds()) tests.push_back(t);
  if (tests.empty()) return;
  out += "\n### Start\n\nMilliseconds, median (lowest to highest); behind it Lumen's advantage.\n\n| model | engine |";
  for (size_t t : tests) out += " " + c.tests[t].name() + " |";
  out += "\n|---|---|";
  for (size_t i = 0; i < tests.size(); ++i) out += "---|";
  out += "\n";
  for (const ModelResult& m : c.models)
    for (size_t e = 0; e < c.engines.size(); ++e) {
      out += "| " + cell(m.subject.name) + " | " + cell(c.engines[e].name) + " |";
      for (size_t t : tests) {
        Shown s = shown(c, m, e, t);
        out += " " +
               (s.median.empty()
                    ? "–"
                    : s.median + (s.spread.empty() ? "" : " (" + s.spread + ")") + (s.ratio.empty() ? "" : ", " + s.ratio + "×")) +
               " |";
      }
      out += "\n";
    }
}

// Where Lumen's cold starts go, a column for each model.
void spans_table(std::string& out, const Comparison& c) {
  for (size_t t = 0; t < c.tests.size(); ++t) {
    if (c.tests[t].kind != TestKind::ColdStart) continue;
    std::vector<std::vector<Span>> all;
    for (const ModelResult& m : c.models) all.push_back(m.engines[0].figures[t].spans());
    std::vector<std::string> names;
    for (auto& spans : all)
      for (const Span& s : spans)
        if (std::find(names.begin(), names.end(), s.name) == names.end()) names.push_back(s.name);
    if (names.empty()) return;
    out += "\nWhere Lumen's cold start goes, in milliseconds (when it begins):\n\n| part |";
    for (const ModelResult& m : c.models) out += " " + cell(m.subject.name) + " |";
    out += "\n|---|";
    for (size_t i = 0; i < all.size(); ++i) out += "---|";
    out += "\n";
    for (const std::string& name : names) {
      out += "| " + cell(name) + " |";
      for (auto& spans : all) {
        auto s = std::find_if(spans.begin(), spans.end(), [&](const Span& x) { return x.name == name; });
        out += s == spans.end() ? " |" : " " + spelled(1e3 * s->seconds, "%.1f") + " (" + spelled(1e3 * s->begin, "%.1f") + ") |";
      }
      out += "\n";
    }
  }
}

void speed_table(std::string& out, const Comparison& c) {
  if (std::all_of(c.tests.begin(), c.tests.end(), [](const Test& t) { return t.in_seconds(); })) return;
  out +=
      "\n### Speed\n\n| model | test | engine | tokens/s | lowest to highest | Lumen/it | of bandwidth | of peak | CPU taken by others "
      "|\n|---|---|---|---|---|---|---|---|---|\n";
  for (const ModelResult& m : c.models)
    for (size_t t = 0; t < c.tests.size(); ++t)
      for (size_t e = 0; e < c.engines.size() && !c.tests[t].in_seconds(); ++e) {
        Shown s = shown(c, m, e, t);
        out += "| " + cell(m.subject.name) + " | " + c.tests[t].name() + " | " + cell(c.engines[e].name) + " | " +
               (s.median.empty() ? "–" : s.median) + " | " + s.spread + " | " + s.ratio + " | " + s.bandwidth + " | " + s.peak + " | " +
               s.others + " |\n";
      }
}

void memory_table(std::string& out, const Comparison& c) {
  out +=
      "\n### Memory\n\nMost resident at once, mapped pages included, in MB.\n\n| model | file | engine | starting and running | while "
      "packing, nothing kept |\n|---|---|---|---|---|\n";
  for (const ModelResult& m : c.models)
    for (size_t e = 0; e < c.engines.size(); ++e)
      out += "| " + cell(m.subject.name) + " | " + megabytes(m.subject.file_bytes) + " | " + cell(c.engines[e].name) + " | " +
             megabytes(c.peak_bytes(m.engines[e])) + " | " + megabytes(c.peak_bytes(m.engines[e], TestKind::FirstStart)) + " |\n";
}

void agreement_table(std::string& out, const Comparison& c) {
  auto compared = [](const EngineResult& r) { return r.continuation || r.logits.rows > 0; };
  if (c.engines.size() < 2 || std::none_of(c.models.begin(), c.models.end(), [&](const ModelResult& m) {
        return std::any_of(m.engines.begin() + 1, m.engines.end(), compared);
      }))
    return;
  out +=
      "\n### The same answers\n\n| model | beside | greedy continuation | rows of logits | same best token | divergence, nats: mean | "
      "largest | perplexity: Lumen | the other |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const ModelResult& m : c.models)
    for (size_t e = 1; e < c.engines.size(); ++e) {
      const LogitsComparison& l = m.engines[e].logits;
      out += "| " + cell(m.subject.name) + " | " + cell(c.engines[e].name) + " | " + cell(agreement_text(c, m, e)) + " |";
      if (l.rows > 0)
        out += " " + std::to_string(l.rows) + " | " + std::to_string(l.same_best) + " | " + spelled(l.kl_mean, "%.5f") + " | " +
               spelled(l.kl_max, "%.5f") + " | " + spelled(l.perplexity, "%.3f") + " | " + spelled(l.peer_perplexity, "%.3f") + " |\n";
      else
        out += " – | | | | | |\n";
    }
}

void list(std::string& out, const std::string& title, const std::vector<std::string>& lines) {
  if (!lines.empty()) out += "\n" + title + "\n\n";
  for (const std::string& line : lines) out += "- " + cell(line) + "\n";
}

}  // namespace

std::string rounded(double v) {
  double size = std::abs(v);
  return spelled(v, size >= 1000 ? "%.0f" : size >= 100 ? "%.1f" : size >= 1 ? "%.2f" : "%.3g");
}

std::string megabytes(uint64_t bytes) { return bytes == 0 ? "" : std::to_string(std::llround(static_cast<double>(bytes) / 1e6)); }

Shown shown(const Comparison& c, const ModelResult& m, size_t engine, size_t test) {
  const Figure& f = m.engines[engine].figures[test];
  const Spread v = f.value();
  Shown s;
  if (v.count == 0) return s;
  const double scale = c.tests[test].in_seconds() ? 1e3 : 1;
  s.median = rounded(v.median * scale);
  s.spread = span(v, scale);
  if (double r = engine > 0 ? c.ratio(m, engine, test) : 0; r > 0) s.ratio = spelled(r, "%.2f");
  if (c.tests[test].kind == TestKind::Decode) s.bandwidth = percent(f.bandwidth_share());
  if (c.tests[test].kind == TestKind::Prefill) s.peak = percent(c.peak_share(m, f));
  s.others = spelled(100 * f.others_share(), "%.0f%%");
  s.doubtful = c.doubtful(m, engine, test);
  return s;
}

std::string machine_line(const Comparison& c) {
  std::string out = c.cpu + ", " + std::to_string(c.cores) + (c.cores == 1 ? " core" : " cores") + ", " + std::to_string(c.threads) +
                    (c.threads == 1 ? " thread" : " threads") + "; " + rounded(static_cast<double>(c.memory.total) / 1e9) +
                    " GB of memory, 2 MB pages: " + c.memory.huge_pages;
  for (const Cache& k : c.caches)
    if (k.type != "Instruction") out += ", L" + std::to_string(k.level) + " " + std::to_string(k.bytes >> 10) + " kB";
  return out + "; " + c.kernel;
}

std::string measured_line(const Comparison& c) {
  std::string out =
      "In the same run: streaming read " + with_span(c.read_bytes, 1e-9, "GB/s") + (c.huge_pages ? ", in 2 MB pages" : ", in 4 kB pages");
  if (c.int8_ops.median > 0)
    out += "; 8-bit integers " + with_span(c.int8_ops, 1e-9, "GOP/s") + (c.int8_instructions.empty() ? "" : " by " + c.int8_instructions);
  if (c.f32_ops.median > 0) out += "; f32 " + with_span(c.f32_ops, 1e-9, "GFLOP/s");
  return out;
}

std::string agreement_text(const Comparison& c, const ModelResult& m, size_t engine) {
  const EngineResult& r = m.engines[engine];
  if (c.continued_tokens == 0 || !r.continuation || !m.engines[0].continuation) return "–";
  if (r.agreement.equal) return "equal, " + std::to_string(c.continued_tokens) + " tokens";
  return "equal for " + std::to_string(r.agreement.common_bytes) + " of " + std::to_string(m.engines[0].continuation->size()) + " bytes";
}

std::string markdown_report(const Comparison& c) {
  std::string out = machine_line(c) + ". " + c.date + ".\n\n" + measured_line(c) + ".\n\n";
  for (const EngineInfo& e : c.engines) out += "- " + cell(e.name) + (e.description.empty() ? "" : ": " + cell(e.description)) + "\n";
  out += "\nMedians of " + std::to_string(c.rounds) + (c.rounds == 1 ? " round" : " rounds") +
         "; engines alternate within a round, each trial is a process of its own.\n";
  list(out, "**Read with care:**", c.warnings());
  speed_table(out, c);
  starts_table(out, c);
  spans_table(out, c);
  memory_table(out, c);
  agreement_table(out, c);
  list(out, "Not measured:", c.problems());
  return out;
}

}  // namespace lumen::measure
