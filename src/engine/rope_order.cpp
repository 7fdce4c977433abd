// See rope_order.h.
#include "engine/rope_order.h"

#include <numeric>

namespace lumen::engine {

std::vector<int64_t> rope_order(const sema::WeightExpr& e, int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  int64_t per = n / e.heads, half = e.rotated / 2;
  for (int64_t h = 0; h < e.heads; ++h)
    for (int64_t i = 0; i < half; ++i) {
      order[static_cast<size_t>(h * per + i)] = h * per + 2 * i;
      order[static_cast<size_t>(h * per + i + half)] = h * per + 2 * i + 1;
    }
  return order;
}

}  // namespace lumen::engine
