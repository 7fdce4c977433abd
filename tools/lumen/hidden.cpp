// lumen hidden: the residual stream of every token after a layer; 0 is the embedding.
#include <algorithm>

#include "command.h"
#include "common.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  PromptChoice prompt;
  int64_t layer = -1;
  bool json = false;
};

Status hidden(const Arguments& a, const Options& o) {
  if (o.layer < 0) return Error{"expected --layer L, 0 being the embedding", true};
  LUMEN_TRY(m, open_chosen(a, o.model));
  LUMEN_TRY(ids, prompt_ids(a, o.prompt, m));
  int64_t n = static_cast<int64_t>(ids.size());
  std::vector<std::vector<float>> parts;
  for (int64_t at = 0; at < n; at += m.max_batch()) {
    LUMEN_TRY(x, m.hidden(engine::batch_of(ids, at, std::min(n, at + m.max_batch())), static_cast<int>(o.layer)));
    parts.push_back(std::move(x));
  }
  size_t elements = 0;
  for (const auto& p : parts) elements += p.size();
  size_t width = elements / ids.size();
  JsonWriter w;
  w.begin_object().key("tokens").begin_array();
  for (int32_t t : ids) w.value(t);
  w.end_array().field("layer", o.layer).key("hidden").begin_array();
  size_t token = 0;
  for (const auto& p : parts)
    for (size_t i = 0; i < p.size(); i += width, ++token) {
      if (!o.json) {
        std::printf("token %zu (%d):", token, ids[token]);
        for (size_t j = 0; j < std::min<size_t>(8, width); ++j) std::printf(" %.5g", p[i + j]);
        std::printf(" … %zu in all\n", width);
        continue;
      }
      w.begin_array();
      for (size_t j = 0; j < width; ++j) w.value(p[i + j]);
      w.end_array();
    }
  w.end_array().end_object();
  return o.json ? print_out(w.take() + "\n") : ok_status();
}

}  // namespace

Action declare_hidden(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, true);
  declare_prompt(a, o->prompt);
  a.integer("--layer", o->layer, 0, 1 << 20, "after which layer; 0 is the embedding");
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  a.flag("--json", o->json, "all values as JSON; without it, the first eight of each token");
  return [&a, o] { return hidden(a, *o); };
}

}  // namespace lumen::tool
