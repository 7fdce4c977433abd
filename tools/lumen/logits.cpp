// lumen logits: the rows of the last N tokens of a prompt.
#include <algorithm>
#include <numeric>

#include "command.h"
#include "common.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  PromptChoice prompt;
  int64_t last = 1;
  bool json = false;
};

void print_best(const Opened& m, int64_t position, const float* logits) {
  std::vector<int32_t> order(static_cast<size_t>(m.vocab()));
  std::iota(order.begin(), order.end(), 0);
  size_t shown = std::min<size_t>(10, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(shown), order.end(),
                    [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  std::printf("after token %lld:\n", static_cast<long long>(position));
  for (size_t i = 0; i < shown; ++i)
    std::printf("  %10.4f  %6d  %s\n", logits[order[i]], order[i], m.tokenizer ? quoted(m.tokenizer->piece(order[i])).c_str() : "");
}

Status logits(const Arguments& a, const Options& o) {
  LUMEN_TRY(m, open_chosen(a, o.model));
  LUMEN_TRY(ids, prompt_ids(a, o.prompt, m));
  if (!o.json) return run_rows(m, ids, static_cast<int64_t>(ids.size()) - o.last, [&](int64_t i, const float* row) { print_best(m, i, row); });
  JsonWriter w;
  w.begin_object().key("tokens").begin_array();
  for (int32_t t : ids) w.value(t);
  w.end_array().key("logits").begin_array();
  LUMEN_CHECK(run_rows(m, ids, static_cast<int64_t>(ids.size()) - o.last, [&](int64_t, const float* row) {
    w.begin_array();
    for (int64_t i = 0; i < m.vocab(); ++i) w.value(row[i]);
    w.end_array();
  }));
  w.end_array().end_object();
  return print_out(w.take() + "\n");
}

}  // namespace

Action declare_logits(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, true);
  declare_prompt(a, o->prompt);
  a.integer("--last", o->last, 1, 1 << 24, "rows: of the last N tokens (default 1)");
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  a.flag("--json", o->json, "all logits as JSON; without it, the ten largest of each row");
  return [&a, o] { return logits(a, *o); };
}

}  // namespace lumen::tool
