// SVG text. Sizes are units of the view box; the page scales it to its column.
#include "measure/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace lumen::measure {
namespace {

__attribute__((format(printf, 2, 3))) void add(std::string& out, const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  int n = std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  out.append(text, static_cast<size_t>(std::clamp(n, 0, static_cast<int>(sizeof text) - 1)));
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const char* extra = "") {
  std::string out;
  add(out, "<text class=\"plot-text%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", extra, x, y, anchor);
  return out + html_escaped(text) + "</text>\n";
}

std::string tick(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", v);
  return text;
}

std::string open_svg(const char* kind, double width, double height, const std::string& title) {
  std::string out;
  add(out, "<svg class=\"plot %s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">", kind, width, height);
  return out + "<title>" + html_escaped(title) + "</title>\n";
}

}  // namespace

std::string html_escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    unsigned char u = static_cast<unsigned char>(c);
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (u < 0x20 && c != '\n' && c != '\t')
      add(out, "&#x24%02X;", u);  // the picture of the control character
    else
      out += c;
  }
  return out;
}

double axis_end(double v) {
  if (!(v > 0)) return 1;
  double power = std::pow(10, std::floor(std::log10(v)));
  for (double step : {1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0})  // quarters of them are short numbers
    if (v <= step * power * 1.000001) return step * power;
  return 10 * power;
}

std::string bar_plot(const std::string& title, const std::vector<Bar>& bars) {
  constexpr double kWidth = 560, kLeft = 130, kRight = 130, kTop = 26, kStep = 26, kThick = 15;
  const double height = kTop + kStep * static_cast<double>(bars.size()) + 6, room = kWidth - kLeft - kRight;
  double most = 0;
  for (const Bar& b : bars) most = std::max(most, b.spread.highest);
  if (most <= 0) most = 1;
  std::string out = open_svg("bars", kWidth, height, title);
  out += text_at(0, 14, "start", title, " plot-title");
  add(out, "<line class=\"plot-axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", kLeft, kTop - 2, kLeft, height - 4);
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& b = bars[i];
    const double y = kTop + kStep * static_cast<double>(i) + 3, middle = y + kThick / 2;
    auto x = [&](double v) { return kLeft + v / most * room; };
    out += text_at(kLeft - 8, middle + 4, "end", b.label);
    if (b.spread.count == 0) {
      out += text_at(kLeft + 8, middle + 4, "start", b.value, " plot-missing");
      continue;
    }
    add(out, "<rect class=\"fill c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>\n", b.colour % kPlotColours, kLeft,
        y, std::max(0.5, x(b.spread.median) - kLeft), kThick);
    if (b.spread.count > 1)
      add(out, "<path class=\"plot-spread\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\"/>\n", x(b.spread.lowest), middle,
          x(b.spread.highest), x(b.spread.lowest), middle - 4, x(b.spread.highest), middle - 4);
    out += text_at(x(b.spread.highest) + 8, middle + 4, "start", b.value);
  }
  return out + "</svg>\n";
}

std::string line_plot(const std::string& title, const std::string& x_label, const std::vector<std::string>& xs,
                      const std::vector<Line>& lines) {
  constexpr double kWidth = 560, kHeight = 270, kLeft = 52, kRight = 16, kTop = 50, kBottom = 44;
  double most = 0;
  for (const Line& l : lines)
    for (const Spread& p : l.points) most = std::max(most, p.highest);
  most = axis_end(most);
  auto x = [&](size_t i) {
    double n = static_cast<double>(xs.size());
    return kLeft + (kWidth - kLeft - kRight) * (static_cast<double>(i) + 0.5) / n;
  };
  auto y = [&](double v) { return kHeight - kBottom - (kHeight - kTop - kBottom) * v / most; };
  std::string out = open_svg("lines", kWidth, kHeight, title);
  out += text_at(0, 14, "start", title, " plot-title");
  for (int i = 0; i <= 4; ++i) {
    double v = most * i / 4;
    add(out, "<line class=\"plot-grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", kLeft, y(v), kWidth - kRight, y(v));
    out += text_at(kLeft - 6, y(v) + 4, "end", tick(v));
  }
  for (size_t i = 0; i < xs.size(); ++i) out += text_at(x(i), kHeight - kBottom + 17, "middle", xs[i]);
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 6, "middle", x_label);
  double legend = kLeft;
  for (const Line& l : lines) {
    const std::string colour = std::to_string(l.colour % kPlotColours);
    add(out, "<rect class=\"fill c%s\" x=\"%.1f\" y=\"27\" width=\"10\" height=\"10\" rx=\"2\"/>\n", colour.c_str(), legend);
    out += text_at(legend + 14, 36, "start", l.label);
    legend += 34 + 7.2 * static_cast<double>(l.label.size());
    std::string path;
    bool pen_down = false;
    for (size_t i = 0; i < std::min(xs.size(), l.points.size()); ++i) {
      const Spread& p = l.points[i];
      if (p.count == 0) {
        pen_down = false;
        continue;
      }
      add(path, "%c%.1f %.1f", pen_down ? 'L' : 'M', x(i), y(p.median));
      pen_down = true;
      if (p.count > 1)
        add(out, "<line class=\"stroke thin c%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", colour.c_str(), x(i), y(p.lowest),
            x(i), y(p.highest));
      add(out, "<circle class=\"fill c%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", colour.c_str(), x(i), y(p.median));
    }
    out += "<path class=\"stroke c" + colour + "\" d=\"" + path + "\"/>\n";
  }
  return out + "</svg>\n";
}

}  // namespace lumen::measure
