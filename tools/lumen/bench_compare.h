// bench-compare's JSON. Its schema is described in docs/benchmarks.md.
#pragma once
#include <string>

#include "measure/comparison.h"

namespace lumen::tool {

std::string comparison_json(const measure::Comparison& c);

}  // namespace lumen::tool
