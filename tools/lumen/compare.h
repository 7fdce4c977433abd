// Comparing two models' answers over a text: what `compare` and `quantize --report` print.
#pragma once
#include "common.h"
#include "convert/quality.h"

namespace lumen::tool {

struct Comparison {
  ModelChoice before, after;
  std::string text;  // a file
  int64_t chunk = 512, chunks = 64;
};
Result<convert::Quality> compare(const Arguments& a, const Comparison& c);
std::string quality_text(const convert::Quality& q);

}  // namespace lumen::tool
