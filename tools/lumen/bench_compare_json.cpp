// A comparison as JSON: every trial, so that other questions can be asked later.
#include "bench_compare.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

void write_spread(JsonWriter& w, const char* name, const measure::Spread& s) {
  if (s.count == 0) return;
  w.key(name).begin_object().field("median", s.median).field("lowest", s.lowest).field("highest", s.highest).end_object();
}

void write_problem(JsonWriter& w, const std::string& problem) {
  if (!problem.empty()) w.field("not_measured", problem);
}

void write_machine(JsonWriter& w, const measure::Comparison& c) {
  w.key("machine")
      .begin_object()
      .field("cpu", c.cpu)
      .field("cores", c.cores)
      .field("system", c.kernel)
      .field("memory_bytes", c.memory.total);
  w.field("huge_pages", c.memory.huge_pages)
      .field("huge_pages_given", c.huge_pages)
      .field("int8_peak_by", c.int8_instructions)
      .key("caches")
      .begin_array();
  for (const measure::Cache& k : c.caches)
    w.begin_object().field("level", k.level).field("type", k.type).field("bytes", k.bytes).field("shared_by", k.shared_by).end_object();
  w.end_array();
  write_spread(w, "read_bytes_per_second", c.read_bytes);
  write_spread(w, "int8_ops_per_second", c.int8_ops);
  write_spread(w, "f32_ops_per_second", c.f32_ops);
  w.end_object();
}

void write_figure(JsonWriter& w, const measure::Comparison& c, const measure::ModelResult& m, size_t engine, size_t test) {
  const measure::Figure& f = m.engines[engine].figures[test];
  const measure::Spread s = f.value();
  w.begin_object();
  write_problem(w, f.problem);
  if (s.count > 0) {
    w.field("unit", c.tests[test].in_seconds() ? "s" : "tokens/s")
        .field("median", s.median)
        .field("lowest", s.lowest)
        .field("highest", s.highest);
    if (double r = engine > 0 ? c.ratio(m, engine, test) : 0; r > 0) w.field("lumen_ahead", r);
    if (double r = f.bandwidth_share(); r > 0) w.field("share_of_bandwidth", r);
    if (double r = c.tests[test].kind == measure::TestKind::Prefill ? c.peak_share(m, f) : 0; r > 0) w.field("share_of_peak", r);
    w.field("others_share", f.others_share()).key("trials").begin_array();
    for (const measure::Trial& t : f.trials) {
      w.begin_object().field("value", t.value).field("others_share", t.others_share).field("peak_bytes", t.peak_bytes);
      if (t.bytes_per_token > 0) w.field("bytes_per_token", t.bytes_per_token);
      w.field("read_bytes_per_second", t.read_bytes).field("int8_ops_per_second", t.int8_ops).field("f32_ops_per_second", t.f32_ops);
      if (!t.spans.empty()) {
        w.key("spans").begin_array();
        for (const measure::Span& s : t.spans)
          w.begin_object().field("name", s.name).field("begin", s.begin).field("seconds", s.seconds).end_object();
        w.end_array();
      }
      w.end_object();
    }
    w.end_array();
  }
  w.end_object();
}

void write_logits(JsonWriter& w, const measure::LogitsComparison& l) {
  w.key("logits").begin_object();
  write_problem(w, l.problem);
  if (l.rows > 0)
    w.field("rows", l.rows)
        .field("same_best", l.same_best)
        .field("kl_mean", l.kl_mean)
        .field("kl_max", l.kl_max)
        .field("largest_probability_difference", l.largest_difference)
        .field("perplexity_lumen", l.perplexity)
        .field("perplexity", l.peer_perplexity)
        .field("same_tokens", l.same_tokens);
  w.end_object();
}

void write_engine(JsonWriter& w, const measure::Comparison& c, const measure::ModelResult& m, size_t e) {
  const measure::EngineResult& r = m.engines[e];
  w.begin_object()
      .field("engine", c.engines[e].name)
      .field("peak_bytes", c.peak_bytes(r))
      .field("peak_bytes_first_start", c.peak_bytes(r, measure::TestKind::FirstStart));
  w.key("tests").begin_object();
  for (size_t t = 0; t < c.tests.size(); ++t) {
    if (e > 0 && c.tests[t].kind == measure::TestKind::FirstStart) continue;
    w.key(c.tests[t].id());
    write_figure(w, c, m, e, t);
  }
  w.end_object().key("continuation").begin_object();
  write_problem(w, r.continuation_problem);
  if (r.continuation) {
    w.field("text", *r.continuation);
    if (e > 0 && m.engines[0].continuation) w.field("equal", r.agreement.equal).field("common_bytes", r.agreement.common_bytes);
  }
  w.end_object();
  if (e > 0) write_logits(w, r.logits);
  w.end_object();
}

void write_model(JsonWriter& w, const measure::Comparison& c, const measure::ModelResult& m) {
  const measure::Subject& s = m.subject;
  w.begin_object().field("model", s.name).field("path", s.path).field("architecture", s.architecture).field("file_bytes", s.file_bytes);
  w.field("weight_bytes_per_token", s.bytes_per_token)
      .field("cache_bytes_per_token", s.cache_bytes_per_token)
      .field("multiplied_weights", s.multiplied_weights);
  w.field("float_weights", s.float_weights).field("prompt_tokens", s.prompt_tokens).key("engines").begin_array();
  for (size_t e = 0; e < c.engines.size(); ++e) write_engine(w, c, m, e);
  w.end_array().end_object();
}

}  // namespace

std::string comparison_json(const measure::Comparison& c) {
  JsonWriter w;
  w.begin_object()
      .field("schema", "lumen-bench-compare-1")
      .field("date", c.date)
      .field("threads", c.threads)
      .field("rounds", c.rounds)
      .field("target", c.target);
  w.field("prompt", c.prompt).field("continued_tokens", c.continued_tokens);
  write_machine(w, c);
  w.key("engines").begin_array();
  for (const measure::EngineInfo& e : c.engines) {
    w.begin_object().field("name", e.name).field("path", e.path).field("options", e.description).key("lacks").begin_array();
    for (const std::string& l : e.lacks) w.value(l);
    w.end_array().end_object();
  }
  w.end_array().key("models").begin_array();
  for (const measure::ModelResult& m : c.models) write_model(w, c, m);
  w.end_array().key("warnings").begin_array();
  for (const std::string& s : c.warnings()) w.value(s);
  w.end_array().key("not_measured").begin_array();
  for (const std::string& s : c.problems()) w.value(s);
  w.end_array().end_object();
  return w.take() + "\n";
}

}  // namespace lumen::tool
