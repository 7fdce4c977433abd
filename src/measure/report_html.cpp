// The page: a summary of ratios, then each model's plots and tables, then what the columns mean.
#include <algorithm>
#include <cstdio>

#include "measure/plot.h"
#include "measure/report.h"

namespace lumen::measure {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1c1e21; --soft: #646a73; --rule: #dfe1e4; --card: #f3f4f5; --good: #1a7f4b; --bad: #b3401e;
  --note: #fff4d6; --s0: #2458c8; --s1: #c9711a; --s2: #2b8a6b; --s3: #8a4fb5; --s4: #b8375f; --s5: #6b7280; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e6e7e9; --soft: #9aa1ab; --rule: #34383e; --card: #1f2226; --good: #5cc490; --bad: #ef8a63; --note: #3a3115;
    --s0: #7aa5ff; --s1: #eda257; --s2: #62c3a0; --s3: #c194e8; --s4: #ee7c9f; --s5: #a3a9b3; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.55rem; margin: 0 0 .4rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p, li { max-width: 62rem; } .soft { color: var(--soft); } ul { padding-left: 1.2rem; }
.note { background: var(--note); border-radius: 8px; padding: .7rem 1rem; margin: 1rem 0; } .note ul { margin: .3rem 0 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0 1rem; min-width: 40rem; }
th, td { padding: .28rem .7rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; } th.text, td.text { text-align: left; } .narrow th, td.test { white-space: normal; } .narrow th { max-width: 7rem; } td.test { max-width: 11rem; }
tr.lumen td { font-weight: 600; } tr.first td { border-top: 2px solid var(--rule); }
.ahead { color: var(--good); font-weight: 600; } .behind { color: var(--bad); font-weight: 600; } .doubtful { color: var(--bad); }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .45em; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; align-items: start; margin-bottom: 1rem; }
.plots > div { background: var(--card); border-radius: 8px; padding: .8rem 1rem; } svg.plot { width: 100%; height: auto; display: block; }
.plot-text { fill: var(--ink); font-size: 12px; } .plot-title { font-weight: 600; font-size: 13px; } .plot-missing { fill: var(--soft); font-style: italic; }
.plot-axis { stroke: var(--soft); } .plot-grid { stroke: var(--rule); } .plot-spread { stroke: var(--ink); stroke-width: 1.3; fill: none; opacity: .75; }
.stroke { fill: none; stroke-width: 2; } .stroke.thin { stroke-width: 1.2; }
.c0 { --c: var(--s0); } .c1 { --c: var(--s1); } .c2 { --c: var(--s2); } .c3 { --c: var(--s3); } .c4 { --c: var(--s4); } .c5 { --c: var(--s5); }
.fill { fill: var(--c); } .stroke { stroke: var(--c); } .dot { background: var(--c); }
dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; max-width: 62rem; }
)";

std::string tag(const char* name, const std::string& text, const char* css = "") {
  std::string open = std::string("<") + name + (*css ? std::string(" class=\"") + css + "\"" : "") + ">";
  return open + html_escaped(text) + "</" + name + ">";
}

std::string dash(const std::string& text) { return text.empty() ? "–" : text; }

std::string dotted(const Comparison& c, size_t engine, const char* name) {
  return "<" + std::string(name) + " class=\"text\"><span class=\"dot c" + std::to_string(engine % kPlotColours) + "\"></span>" +
         html_escaped(c.engines[engine].name) + "</" + name + ">";
}

std::string ratio_cell(const std::string& ratio, bool doubtful = false) {
  if (ratio.empty()) return "<td></td>";
  return tag("td", ratio + "×" + (doubtful ? " ?" : ""), std::strtod(ratio.c_str(), nullptr) >= 1 ? "ahead" : "behind");
}

std::string row_start(size_t engine) { return engine == 0 ? "<tr class=\"lumen first\">" : "<tr>"; }

// Lumen against each peer, test by test: what most readers came for.
std::string summary(const Comparison& c) {
  if (c.engines.size() < 2) return "";
  std::string out =
      "<h2>Lumen beside the others</h2>\n<p class=\"soft\">How many times as fast Lumen is: 1 is level, green is ahead; a question "
      "mark: others took more than 10% of the CPU time meanwhile. Memory: the other's peak over Lumen's.</p>\n"
      "<div class=\"scroll narrow\"><table><thead><tr><th class=\"text\">model</th><th class=\"text\">beside</th>";
  for (const Test& t : c.tests)
    if (t.kind != TestKind::FirstStart) out += tag("th", t.name());
  out += "<th>memory</th></tr></thead><tbody>\n";
  for (const ModelResult& m : c.models)
    for (size_t e = 1; e < c.engines.size(); ++e) {
      out += "<tr>" + tag("td", m.subject.name, "text") + dotted(c, e, "td");
      for (size_t t = 0; t < c.tests.size(); ++t)
        if (c.tests[t].kind != TestKind::FirstStart)
          out += ratio_cell(shown(c, m, e, t).ratio, shown(c, m, 0, t).doubtful || shown(c, m, e, t).doubtful);
      double ours = static_cast<double>(c.peak_bytes(m.engines[0])), theirs = static_cast<double>(c.peak_bytes(m.engines[e]));
      char text[32];
      std::snprintf(text, sizeof text, "%.2f", ours > 0 ? theirs / ours : 0);
      out += ratio_cell(ours > 0 && theirs > 0 ? text : "") + "</tr>\n";
    }
  return out + "</tbody></table></div>\n";
}

std::string plots(const Comparison& c, const ModelResult& m) {
  std::string out = "<div class=\"plots\">\n";
  for (size_t t = 0; t < c.tests.size(); ++t) {
    const Test& test = c.tests[t];
    std::vector<Bar> bars;
    const double scale = test.in_seconds() ? 1e3 : 1;
    for (size_t e = 0; e < c.engines.size(); ++e) {
      Spread v = m.engines[e].figures[t].value();
      if (e > 0 && test.kind == TestKind::FirstStart) continue;
      v.median *= scale, v.lowest *= scale, v.highest *= scale;
      bars.push_back({c.engines[e].name, v.count ? rounded(v.median) + (test.in_seconds() ? " ms" : " tok/s") : "not measured", v,
                      static_cast<int>(e)});
    }
    out += "<div>" + bar_plot(test.name() + (test.in_seconds() ? ", ms (less is better)" : ", tokens/s"), bars) + "</div>\n";
  }
  out += "</div>\n<div class=\"plots\">\n";
  for (TestKind kind : {TestKind::Prefill, TestKind::Decode}) {
    std::vector<size_t> tests;
    std::vector<std::string> xs;
    for (size_t t = 0; t < c.tests.size(); ++t)
      if (c.tests[t].kind == kind && !c.tests[t].busy)
        tests.push_back(t), xs.push_back(std::to_string(kind == TestKind::Decode ? c.tests[t].depth : c.tests[t].tokens));
    if (tests.size() < 2) continue;
    std::vector<Line> lines;
    for (size_t e = 0; e < c.engines.size(); ++e) {
      Line& l = lines.emplace_back(Line{c.engines[e].name, static_cast<int>(e), {}});
      for (size_t t : tests) l.points.push_back(m.engines[e].figures[t].value());
    }
    bool decode = kind == TestKind::Decode;
    out += "<div>" +
           line_plot(decode ? "decode over context depth, tokens/s" : "prefill over prompt length, tokens/s",
                     decode ? "tokens in the context before" : "tokens of the prompt", xs, lines) +
           "</div>\n";
  }
  return out + "</div>\n";
}

std::string figures(const Comparison& c, const ModelResult& m) {
  std::string out =
      "<div class=\"scroll\"><table><thead><tr><th class=\"text\">test</th><th class=\"text\">engine</th><th>median</th><th>lowest to "
      "highest</th><th>Lumen ahead</th>"
      "<th>of bandwidth</th><th>of peak</th><th>CPU taken<br>by others</th><th>peak memory<br>MB</th></tr></thead><tbody>\n";
  for (size_t t = 0; t < c.tests.size(); ++t)
    for (size_t e = 0; e < c.engines.size(); ++e) {
      if (e > 0 && c.tests[t].kind == TestKind::FirstStart) continue;
      Shown s = shown(c, m, e, t);
      uint64_t peak = 0;
      for (const Trial& x : m.engines[e].figures[t].trials) peak = std::max(peak, x.peak_bytes);
      const char* unit = c.tests[t].in_seconds() ? " ms" : " tok/s";
      out += row_start(e) + tag("td", e == 0 ? c.tests[t].name() : "", "text test") + dotted(c, e, "td") +
             tag("td", s.median.empty() ? "–" : s.median + unit) + tag("td", s.spread) + ratio_cell(s.ratio) + tag("td", s.bandwidth) +
             tag("td", s.peak) + tag("td", s.others, s.doubtful ? "doubtful" : "") +
             tag("td", c.tests[t].kind == TestKind::Load ? "" : megabytes(peak)) + "</tr>\n";
    }
  return out + "</tbody></table></div>\n";
}

std::string answers(const Comparison& c, const ModelResult& m) {
  if (c.engines.size() < 2) return "";
  std::string out =
      "<h3>The same answers</h3>\n<div class=\"scroll\"><table><thead><tr><th class=\"text\">beside</th><th class=\"text\">greedy "
      "continuation</th><th>same best token</th><th>divergence, nats:<br>mean</th><th>largest</th><th>largest difference<br>of a "
      "probability</th><th>perplexity:<br>Lumen</th><th>the other</th></tr></thead><tbody>\n";
  auto number = [](double v, const char* format) {
    char text[32];
    std::snprintf(text, sizeof text, format, v);
    return tag("td", text);
  };
  for (size_t e = 1; e < c.engines.size(); ++e) {
    const LogitsComparison& l = m.engines[e].logits;
    out += "<tr>" + dotted(c, e, "td") + tag("td", agreement_text(c, m, e), "text");
    if (l.rows > 0)
      out += tag("td", std::to_string(l.same_best) + " of " + std::to_string(l.rows) + (l.same_tokens ? "" : ", tokens differ")) +
             number(l.kl_mean, "%.5f") + number(l.kl_max, "%.5f") + number(l.largest_difference, "%.4f") + number(l.perplexity, "%.3f") +
             number(l.peer_perplexity, "%.3f");
    else
      out += "<td>–</td><td colspan=\"5\"></td>";
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  for (size_t e = 0; e < c.engines.size(); ++e)
    if (m.engines[e].continuation)
      out += "<p><b>" + html_escaped(c.engines[e].name) + "</b> <span class=\"soft\">" + html_escaped(c.prompt) + "</span>" +
             html_escaped(*m.engines[e].continuation) + "</p>\n";
  return out;
}

std::string start_parts(const Comparison& c, const ModelResult& m) {
  for (size_t t = 0; t < c.tests.size(); ++t) {
    if (c.tests[t].kind != TestKind::ColdStart) continue;
    std::vector<Span> spans = m.engines[0].figures[t].spans();
    if (spans.empty()) return "";
    std::string out =
        "<h3>Where Lumen's cold start goes</h3>\n<div class=\"scroll\"><table><thead><tr><th class=\"text\">part</th><th>begins, "
        "ms</th><th>takes, ms</th></tr></thead><tbody>\n";
    for (const Span& s : spans)
      out += "<tr>" + tag("td", s.name, "text") + tag("td", rounded(1e3 * s.begin)) + tag("td", rounded(1e3 * s.seconds)) + "</tr>\n";
    return out + "</tbody></table></div>\n";
  }
  return "";
}

constexpr const char* kMeanings = R"(<h2>What the columns mean</h2>
<dl>
<dt>cold start</dt><dd>From starting a new process to the first byte of its answer to the prompt, files in the page cache; Lumen's packed weights and kernels kept from an earlier start.</dd>
<dt>first start</dt><dd>The same for Lumen with nothing kept (LUMEN_CACHE=off): weights are packed and kernels compiled.</dd>
<dt>hot first token</dt><dd>In a process that has loaded the model and run before: the prompt, to the logits of its last token.</dd>
<dt>load</dt><dd>Cold start less hot first token, round by round: everything before the prompt's own work.</dd>
<dt>prefill N, decode N at D</dt><dd>Tokens a second: a prompt of N tokens at once; N tokens one by one, behind D tokens of context.</dd>
<dt>beside a busy core</dt><dd>While another process keeps one core busy all the time.</dd>
<dt>median, lowest to highest</dt><dd>Over rounds. Engines alternate within a round; each trial is a process of its own.</dd>
<dt>of bandwidth</dt><dd>Bytes of weights and cache that a decoded token needs, times tokens a second, of a streaming read of as many bytes (16 to 512 MB) by as many threads just before and after the trial.
For Lumen the bytes are those of its packed weights, for the others those of the file.</dd>
<dt>of peak</dt><dd>Operations of the layers' matrices (two for each weight and token, without attention), of what the CPU does at most from registers, measured beside the trial: 8-bit integers where the weights are quantised, f32 where they are plain floats. A weight that takes two products cannot reach 100%.</dd>
<dt>CPU taken by others</dt><dd>Of the machine's CPU time while the process ran, a hypervisor's share included. Figures with much of it mean little.</dd>
<dt>peak memory</dt><dd>Most that a process had resident at once, mapped pages included (wait4's ru_maxrss).</dd>
<dt>same best token, divergence, perplexity</dt><dd>Log-probabilities of the next token over the second half of 64 tokens of text, the other's (its perplexity program, 16 bits) beside Lumen's for the same tokens.
Divergence is Kullback and Leibler's, of Lumen's distribution from the other's.</dd>
</dl>
)";

std::string list(const char* title, const std::vector<std::string>& lines, const char* css) {
  if (lines.empty()) return "";
  std::string out = std::string("<div class=\"") + css + "\"><b>" + title + "</b><ul>\n";
  for (const std::string& l : lines) out += tag("li", l) + "\n";
  return out + "</ul></div>\n";
}

}  // namespace

std::string html_report(const Comparison& c) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      "<title>Lumen: bench-compare</title>\n<style>" +
      std::string(kStyle) + "</style></head><body>\n<h1>Lumen: bench-compare</h1>\n";
  out += "<p>" + html_escaped(machine_line(c)) + "<br>" + html_escaped(measured_line(c)) + "<br><span class=\"soft\">" +
         html_escaped(c.date) + ", " + std::to_string(c.rounds) + (c.rounds == 1 ? " round" : " rounds") + "</span></p>\n<ul>\n";
  for (size_t e = 0; e < c.engines.size(); ++e)
    out += "<li><span class=\"dot c" + std::to_string(e % kPlotColours) + "\"></span><b>" + html_escaped(c.engines[e].name) +
           "</b> <span class=\"soft\">" + html_escaped(dash(c.engines[e].description)) + "</span></li>\n";
  out += "</ul>\n" + list("Read with care", c.warnings(), "note") + summary(c);
  for (const ModelResult& m : c.models) {
    out += tag("h2", m.subject.name) + "\n<p class=\"soft\">" + html_escaped(m.subject.architecture) + ", file of " +
           megabytes(m.subject.file_bytes) + " MB, " + rounded(m.subject.bytes_per_token / 1e6) + " MB of weights a token, " +
           std::to_string(m.subject.prompt_tokens) + " tokens in the starts' prompt</p>\n";
    out += plots(c, m) + figures(c, m) + start_parts(c, m) + answers(c, m);
  }
  out += list("Not measured", c.problems(), "");
  return out + kMeanings + "</body></html>\n";
}

}  // namespace lumen::measure
