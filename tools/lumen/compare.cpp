// lumen compare: how far one model's answers are from another's.
#include "compare.h"

#include "command.h"
#include "json_writer.h"

namespace lumen::tool {

Result<convert::Quality> compare(const Arguments& a, const Comparison& c) {
  LUMEN_TRY(text, read_text(c.text));
  LUMEN_TRY(before, open_chosen(a, c.before));
  LUMEN_TRY(after, open_chosen(a, c.after));
  LUMEN_TRY(tokens, before.encode(text, true, false));
  if (tokens.size() < 3) return Error{c.text + ": " + std::to_string(tokens.size()) + " tokens, expected at least 3", true};
  convert::QualityOptions q;
  q.chunk = std::min<int64_t>({c.chunk, static_cast<int64_t>(tokens.size()), before.context(), after.context()});
  q.chunks = c.chunks;
  if (before.tokenizer->spec().add_bos) q.first_token = before.tokenizer->spec().bos;
  q.progress = progress_bar("comparing");
  return convert::compare_models(*before.model, *after.model, tokens, q);
}

std::string quality_text(const convert::Quality& q) {
  return "divergence " + fixed(q.kl, 6) + " nats (mean of " + std::to_string(q.positions) + " positions; the worst " +
         fixed(q.worst_kl, 3) + "), the same best token for " + fixed(100 * q.same_best, 1) + "%, perplexity " +
         fixed(q.perplexity_before, 4) + " -> " + fixed(q.perplexity_after, 4);
}

Action declare_compare(Arguments& a) {
  struct Options {
    Comparison c;
    bool json = false;
  };
  auto o = std::make_shared<Options>();
  declare_model(a, o->c.before, true, false);
  a.positional("OTHER", o->c.after.model, "another model of the same vocabulary", true);
  a.positional("TEXT", o->c.text, "a text file that both read", true);
  a.integer("--chunk", o->c.chunk, 3, 1 << 20, "tokens of a piece of the text, read on its own (default 512)");
  a.integer("--chunks", o->c.chunks, 1, 1 << 30, "at most so many pieces (default 64)");
  a.flag("--exact", o->c.before.exact, "dequantised weights, f32 throughout");
  a.flag("--json", o->json, "as JSON");
  return [&a, o]() -> Status {
    ModelChoice& other = o->c.after;
    std::string model = other.model;
    other = o->c.before;
    other.model = model;
    LUMEN_TRY(q, compare(a, o->c));
    if (!o->json) return print_out(quality_text(q) + "\n");
    JsonWriter w;
    w.begin_object().field("positions", q.positions).field("kl", q.kl).field("worst_kl", q.worst_kl).field("same_best", q.same_best);
    w.field("perplexity", q.perplexity_before).field("perplexity_other", q.perplexity_after).end_object();
    return print_out(w.take() + "\n");
  };
}

}  // namespace lumen::tool
