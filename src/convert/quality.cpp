// See quality.h.
#include "convert/quality.h"

#include <algorithm>
#include <cmath>

#include "convert/chunks.h"

namespace lumen::convert {
namespace {

struct Totals {
  double kl = 0, worst = 0, before = 0, after = 0;
  int64_t same = 0, positions = 0;
};

void add_row(const float* a, const float* b, int64_t vocab, int32_t next, Totals& t) {
  int64_t best_a, best_b;
  double za = log_sum(a, vocab, best_a), zb = log_sum(b, vocab, best_b), kl = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    double la = a[i] - za;
    if (la > -40) kl += std::exp(la) * (la - (b[i] - zb));
  }
  t.kl += kl;
  t.worst = std::max(t.worst, kl);
  t.before += za - a[next];
  t.after += zb - b[next];
  t.same += best_a == best_b;
  ++t.positions;
}

}  // namespace

double log_sum(const float* row, int64_t n, int64_t& best) {
  best = std::max_element(row, row + n) - row;
  double sum = 0, top = row[best];
  for (int64_t i = 0; i < n; ++i) sum += std::exp(row[i] - top);
  return top + std::log(sum);
}

Result<Quality> compare_models(engine::Model& before, engine::Model& after, const std::vector<int32_t>& tokens, const QualityOptions& o) {
  if (before.vocab() != after.vocab())
    return Error{"the models have vocabularies of " + std::to_string(before.vocab()) + " and " + std::to_string(after.vocab()) + " tokens",
                 true};
  LUMEN_TRY(chunks, cut(tokens, o.chunk, o.chunks, o.first_token, std::min(before.context(), after.context())));
  int64_t step = std::min({before.max_batch(), before.max_rows(), after.max_batch(), after.max_rows()});
  Totals t;
  for (size_t c = 0; c < chunks.size(); ++c) {
    if (o.progress) o.progress(static_cast<int64_t>(c), static_cast<int64_t>(chunks.size()));
    for (int64_t at = 0; at < o.chunk; at += step) {
      engine::Batch b = engine::batch_of(chunks[c], at, std::min(o.chunk, at + step));
      for (size_t i = 0; i < b.tokens.size(); ++i) b.rows.push_back(static_cast<int32_t>(i));
      LUMEN_TRY(x, before.step(b));
      LUMEN_TRY(y, after.step(b));
      for (int64_t i = 0; i < static_cast<int64_t>(b.tokens.size()); ++i)
        if (int64_t p = at + i; p > 0 && p + 1 < o.chunk)
          add_row(x + i * before.vocab(), y + i * before.vocab(), before.vocab(), chunks[c][static_cast<size_t>(p + 1)], t);
    }
  }
  if (o.progress) o.progress(static_cast<int64_t>(chunks.size()), static_cast<int64_t>(chunks.size()));
  double n = static_cast<double>(t.positions);
  return Quality{t.positions, t.kl / n, t.worst, static_cast<double>(t.same) / n, std::exp(t.before / n), std::exp(t.after / n)};
}

}  // namespace lumen::convert
