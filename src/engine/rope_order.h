// Where rope_rows takes its rows from, for whoever does it or undoes it.
#pragma once
#include <cstdint>
#include <vector>

#include "compiler/sema/model.h"

namespace lumen::engine {

// Place i of what `e` (WeightExpr::RopeRows) makes of n rows is the file's row order[i].
std::vector<int64_t> rope_order(const sema::WeightExpr& e, int64_t n);

}  // namespace lumen::engine
