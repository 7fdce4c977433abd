// Order of a finished function's values: parameters first, so that a reader sees what it needs.
#include <algorithm>

#include "compiler/sema/compute.h"

namespace lumen::sema {

void params_first(ir::Function& f, std::vector<int>& residuals) {
  auto group = [](const ir::Value& v) {
    if (v.kind != ir::ValueKind::Param) return 3;
    return v.role == ir::Role::State ? 2 : v.role == ir::Role::Weight ? 1 : 0;
  };
  std::vector<int> order(f.values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return group(f.values[static_cast<size_t>(a)]) < group(f.values[static_cast<size_t>(b)]); });
  std::vector<int> now(order.size());
  std::vector<ir::Value> values;
  for (size_t i = 0; i < order.size(); ++i) {
    now[static_cast<size_t>(order[i])] = static_cast<int>(i);
    values.push_back(std::move(f.values[static_cast<size_t>(order[i])]));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    values[i].id = static_cast<int>(i);
    for (int& o : values[i].operands) o = now[static_cast<size_t>(o)];
  }
  f.values = std::move(values);
  for (int& r : f.results) r = now[static_cast<size_t>(r)];
  for (int& r : residuals) r = now[static_cast<size_t>(r)];
}

}  // namespace lumen::sema
