// A comparison for people: Markdown tables, which read well on a terminal too, and a page of HTML that needs nothing from outside.
#pragma once
#include <string>

#include "measure/comparison.h"

namespace lumen::measure {

std::string markdown_report(const Comparison& c);
std::string html_report(const Comparison& c);

// What both say about a figure.
struct Shown {
  std::string median, spread, ratio, bandwidth, peak, others;  // empty: does not apply, or is not known
  bool doubtful = false;                                       // others took much of the CPU
};
Shown shown(const Comparison& c, const ModelResult& m, size_t engine, size_t test);
std::string machine_line(const Comparison& c);   // "AMD EPYC, 2 cores, …"
std::string measured_line(const Comparison& c);  // "streaming read 26.0 GB/s (25.1 to 26.9), …"
std::string agreement_text(const Comparison& c, const ModelResult& m, size_t engine);
std::string megabytes(uint64_t bytes);  // "145", or "" for 0
std::string rounded(double v);          // 4 digits that say something: "1234", "123.4", "0.01234"

}  // namespace lumen::measure
