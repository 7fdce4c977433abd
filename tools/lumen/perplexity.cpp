// lumen perplexity: exp of the mean negative log-likelihood of a text's tokens. The text is cut into chunks of --chunk tokens, each read
// from an empty context; tokens of a chunk's second half are judged, so that each has at least half a chunk before it. Where the
// tokenizer begins texts with a special token, every chunk begins with it, in the place of its own first token. That is what
// llama.cpp's llama-perplexity measures, so that figures can be compared.
#include <algorithm>
#include <cmath>

#include "command.h"
#include "common.h"
#include "convert/chunks.h"
#include "convert/quality.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  std::string file;
  int64_t chunk = 512, chunks = 0;
  bool json = false;
};

// Sums over the tokens judged.
struct Likelihood {
  int64_t count = 0;
  double sum = 0, squares = 0;  // of negative log-likelihoods, in nats

  void add(const float* logits, int64_t vocab, int32_t token) {
    int64_t best;
    double nll = convert::log_sum(logits, vocab, best) - static_cast<double>(logits[token]);
    ++count;
    sum += nll;
    squares += nll * nll;
  }
  double mean() const { return sum / static_cast<double>(count); }
  double perplexity() const { return std::exp(mean()); }
  double error() const {  // standard error of the perplexity
    if (count < 2) return 0;
    double n = static_cast<double>(count), variance = std::max(0.0, squares / n - mean() * mean()) / (n - 1);
    return perplexity() * std::sqrt(variance);
  }
};

Status perplexity(const Arguments& a, Options o) {
  if (a.given("--ctx")) return Error{"--ctx: the context is a chunk long here: expected --chunk", true};
  LUMEN_TRY(text, read_text(o.file));
  o.model.context = o.chunk;
  LUMEN_TRY(m, open_chosen(a, o.model));
  LUMEN_TRY(ids, m.encode(text, true, false));
  const TokenizerSpec& spec = m.tokenizer->spec();
  LUMEN_TRY(parts, convert::cut(ids, o.chunk, o.chunks, spec.add_bos ? spec.bos : -1, m.context()));
  auto progress = progress_bar("reading");
  Likelihood all;
  int64_t done = 0;
  for (const std::vector<int32_t>& part : parts) {
    std::vector<int32_t> read(part.begin(), part.end() - 1);
    LUMEN_CHECK(run_rows(m, read, o.chunk / 2, [&](int64_t i, const float* logits) { all.add(logits, m.vocab(), part[static_cast<size_t>(i) + 1]); }));
    progress(++done, static_cast<int64_t>(parts.size()));
  }
  if (!o.json)
    return print_out("perplexity " + fixed(all.perplexity(), 4) + " +/- " + fixed(all.error(), 4) + " over " + std::to_string(all.count) + " tokens of " +
                     std::to_string(parts.size()) + " chunks of " + std::to_string(o.chunk) + "\n");
  JsonWriter w;
  w.begin_object().key("perplexity").value(all.perplexity()).key("error").value(all.error()).key("nll").value(all.mean());
  w.key("tokens").value(all.count).key("chunks").value(static_cast<uint64_t>(parts.size())).key("chunk").value(o.chunk).end_object();
  return print_out(w.take() + "\n");
}

}  // namespace

Action declare_perplexity(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, true, false);
  a.positional("FILE", o->file, "a text, UTF-8", true);
  a.integer("--chunk", o->chunk, 8, 1 << 20, "tokens read from an empty context; the second half of them is judged (default 512)");
  a.integer("--chunks", o->chunks, 1, 1 << 24, "at most so many chunks (default: the whole text)");
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  a.flag("--json", o->json, "as JSON: perplexity, its standard error, mean negative log-likelihood in nats, tokens judged");
  return [&a, o] { return perplexity(a, *o); };
}

}  // namespace lumen::tool
