// See collect.h.
#include "convert/collect.h"

#include <algorithm>
#include <map>

#include "convert/chunks.h"

namespace lumen::convert {
namespace {

// The file's tensors that a weight is made of.
void tensors_of(const sema::WeightExpr& e, std::vector<std::string>& names) {
  if (e.kind == sema::WeightExpr::Tensor) names.push_back(e.name);
  for (const sema::WeightExpr& a : e.args) tensors_of(a, names);
}

}  // namespace

Result<Imatrix> collect_imatrix(engine::Model& model, const std::vector<int32_t>& tokens, const CollectOptions& o) {
  LUMEN_TRY(chunks, cut(tokens, o.chunk, o.chunks, o.first_token, model.context()));
  int64_t n = static_cast<int64_t>(chunks.size());
  std::vector<std::vector<double>> sums;
  for (int64_t c = 0; c < n; ++c) {
    if (o.progress) o.progress(c, n);
    for (int64_t at = 0; at < o.chunk; at += model.max_batch()) {
      engine::Batch b = engine::batch_of(chunks[static_cast<size_t>(c)], at, std::min(o.chunk, at + model.max_batch()));
      b.rows.push_back(static_cast<int32_t>(b.tokens.size()) - 1);
      LUMEN_CHECK(model.observe(b, sums));
    }
  }
  if (o.progress) o.progress(n, n);
  std::map<std::string, const sema::Weight*> weights;
  LUMEN_TRY(instance, model.instance());
  for (const sema::Weight& w : instance->weights) weights[w.param] = &w;
  Imatrix m;
  m.chunks = n;
  m.chunk_size = o.chunk;
  for (size_t i = 0; i < sums.size(); ++i) {
    const passes::DotInput& input = model.dot_inputs()[i];
    if (input.gives_result && !o.output) continue;
    for (const std::string& param : input.weights) {
      std::vector<std::string> names;
      tensors_of(weights.at(param)->from, names);
      for (const std::string& name : names) {
        Imatrix::Entry& e = m.entries[name];
        e.k = input.columns;
        e.counts = {static_cast<float>(n * o.chunk)};
        e.sum2.assign(sums[i].begin(), sums[i].end());
      }
    }
  }
  return m;
}

}  // namespace lumen::convert
