// Small SVG plots for reports, drawn here so that a report needs nothing from outside. Colours are classes c0 … c5 and roles
// ("plot-axis", "plot-text", "plot-spread") that the page's style sheet fills in, so that they follow the reader's light or dark mode.
#pragma once
#include <string>
#include <vector>

#include "measure/comparison.h"

namespace lumen::measure {

constexpr int kPlotColours = 6;

std::string html_escaped(const std::string& text);
// A round number at or above v, of the kind that axes end with.
double axis_end(double v);

struct Bar {
  std::string label, value;  // shown left and right of the bar
  Spread spread;             // count 0: nothing was measured, `value` says why
  int colour = 0;
};
// Horizontal bars from 0, with whiskers from the lowest to the highest.
std::string bar_plot(const std::string& title, const std::vector<Bar>& bars);

struct Line {
  std::string label;
  int colour = 0;
  std::vector<Spread> points;  // one for each x; count 0: a gap
};
// Lines over evenly spaced, labelled x, y from 0, with whiskers.
std::string line_plot(const std::string& title, const std::string& x_label, const std::vector<std::string>& xs,
                      const std::vector<Line>& lines);

}  // namespace lumen::measure
