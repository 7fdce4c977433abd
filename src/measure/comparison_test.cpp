// Medians, ratios, shares and warnings of a comparison made by hand; that its reports say them.
#include "measure/comparison.h"

#include <gtest/gtest.h>

#include "measure/plot.h"
#include "measure/report.h"

namespace lumen::measure {
namespace {

Figure figure(std::vector<double> values, double others = 0) {
  Figure f;
  for (double v : values)
    f.trials.push_back({.value = v,
                        .others_share = others,
                        .peak_bytes = static_cast<uint64_t>(v * 1e6),
                        .bytes_per_token = 2e8,
                        .read_bytes = 2e10,
                        .int8_ops = 6e11,
                        .f32_ops = 2e11});
  f.seconds_in_all = 10;
  return f;
}

// Lumen starts in 0.1 s, prefills 300, decodes 50; the other 0.4, 100, 40.
Comparison made() {
  Comparison c;
  c.cpu = "A CPU";
  c.rounds = 3;
  c.tests = {{TestKind::ColdStart}, {TestKind::Prefill, 512}, {TestKind::Decode, 128, 4096}};
  c.engines = {{"Lumen", "", "", {}}, {"the <other>", "-fa 1", "/x/llama-bench", {"logits: no llama-perplexity beside /x/llama-bench"}}};
  ModelResult m;
  m.subject.name = "a|model";
  m.subject.multiplied_weights = 1e9;
  m.engines.resize(2);
  m.engines[0].figures = {figure({0.3, 0.1, 0.09}), figure({310, 300, 250}), figure({50, 49, 51})};
  m.engines[1].figures = {figure({0.4, 0.4, 0.5}), figure({100, 100, 100}, 0.3), figure({40})};
  m.engines[1].figures[2].problem = "was killed by signal 9 (Killed)";
  c.models = {m};
  c.read_bytes = {2e10, 1.9e10, 2.1e10, 6};
  return c;
}

TEST(Comparison, Spreads) {
  EXPECT_EQ(spread_of({}).count, 0u);
  Spread s = spread_of({3, 1, 2, 10});
  EXPECT_EQ(s.median, 2.5);
  EXPECT_EQ(s.lowest, 1);
  EXPECT_EQ(s.highest, 10);
}

TEST(Comparison, RatiosAreAboveOneWhereLumenIsBetter) {
  Comparison c = made();
  EXPECT_DOUBLE_EQ(c.ratio(c.models[0], 1, 0), 4);
  EXPECT_DOUBLE_EQ(c.ratio(c.models[0], 1, 1), 3);
  EXPECT_DOUBLE_EQ(c.ratio(c.models[0], 1, 2), 1.25);
  c.models[0].engines[1].figures[1] = {};
  EXPECT_EQ(c.ratio(c.models[0], 1, 1), 0);
}

TEST(Comparison, Shares) {
  Comparison c = made();
  const ModelResult& m = c.models[0];
  EXPECT_DOUBLE_EQ(m.engines[0].figures[2].bandwidth_share(), 0.5);  // 50 tokens/s of 200 MB, of 20 GB/s
  EXPECT_DOUBLE_EQ(c.peak_share(m, m.engines[0].figures[1]), 1.0);   // 300 times 2e9, of 600e9
  c.models[0].subject.float_weights = true;
  EXPECT_DOUBLE_EQ(c.peak_share(m, m.engines[0].figures[1]), 3.0);
  EXPECT_EQ(c.peak_bytes(m.engines[0]), 310000000u);
  EXPECT_EQ(c.peak_bytes(m.engines[0], TestKind::FirstStart), 0u);
}

TEST(Comparison, Warnings) {
  Comparison c = made();
  ASSERT_EQ(c.warnings().size(), 1u);
  EXPECT_EQ(c.warnings()[0], "a|model, the <other>, prefill 512: others took 30% of the machine's CPU time meanwhile");
  c.rounds = 1;
  c.threads = 4;
  c.cores = 2;
  c.read_bytes = {2e10, 1e10, 2.1e10, 6};
  EXPECT_EQ(c.warnings().size(), 4u);
  c.models[0].engines[1].figures[1].seconds_in_all = 0.2;  // too short for the kernel's clocks
  EXPECT_EQ(c.warnings().size(), 3u);
}

TEST(Comparison, Agreement) {
  EXPECT_TRUE(agreement_of("abc", "abc").equal);
  EXPECT_EQ(agreement_of("abc", "abd").common_bytes, 2);
  EXPECT_FALSE(agreement_of("abc", "ab").equal);
}

TEST(Comparison, Reports) {
  Comparison c = made();
  std::string text = markdown_report(c), page = html_report(c);
  EXPECT_NE(text.find("| a/model | prefill 512 | Lumen | 300.0 | 250.0 to 310.0 |  |  | 100% | 0% |"), std::string::npos) << text;
  EXPECT_NE(text.find("| a/model | decode 128 at 4096 | the <other> | 40.00 |  | 1.25 | 40% |  | 0% |"), std::string::npos) << text;
  EXPECT_NE(text.find("- a/model, the <other>, decode 128 at 4096: not measured: was killed"), std::string::npos) << text;
  EXPECT_NE(text.find("- the <other>: not measured: logits: no llama-perplexity"), std::string::npos) << text;
  EXPECT_EQ(page.find("the <other>"), std::string::npos);
  EXPECT_NE(page.find("the &lt;other&gt;"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);  // nothing from outside
}

TEST(Plot, AxesEndAtRoundNumbers) {
  for (auto [v, end] :
       std::vector<std::pair<double, double>>{{0.9, 1}, {1, 1}, {1.1, 1.2}, {2.2, 2.4}, {3, 3.2}, {51, 60}, {0, 1}, {160, 160}, {0.061, 0.08}})
    EXPECT_DOUBLE_EQ(axis_end(v), end) << v;
}

TEST(Plot, WhatWasNotMeasuredIsSaid) {
  std::string svg = bar_plot("t", {{"a", "not measured", {}, 0}, {"b", "2", {2, 1, 3, 3}, 1}});
  EXPECT_NE(svg.find("not measured"), std::string::npos);
  EXPECT_NE(svg.find("plot-spread"), std::string::npos);
  EXPECT_NE(line_plot("t", "x", {"0", "1"}, {{"a", 0, {{}, {}}}}).find("</svg>"), std::string::npos);  // nothing at all
}

}  // namespace
}  // namespace lumen::measure
