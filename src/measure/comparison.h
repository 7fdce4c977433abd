// What bench-compare found: every trial of every test, by model and engine, with what the machine gave at that moment. Reports are
// written from this and from nothing else. The first engine is Lumen; ratios are Lumen against the others, above 1 where Lumen is better.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "measure/machine.h"

namespace lumen::measure {

enum class TestKind { ColdStart, FirstStart, HotStart, Load, Prefill, Decode };

struct Test {
  TestKind kind;
  int64_t tokens = 0, depth = 0;
  bool busy = false;  // another process keeps one core busy meanwhile
  bool in_seconds() const { return kind != TestKind::Prefill && kind != TestKind::Decode; }
  std::string name() const;  // "prefill 512", "decode 128 at 4096"
  std::string id() const;    // "prefill_512", for JSON
};

// A part of a start, in seconds; begin counts from the process's beginning.
struct Span {
  std::string name;
  double begin = 0, seconds = 0;
};

// Seconds, or tokens a second.
struct Trial {
  double value = 0;
  double others_share = 0;                           // CPU time taken by others, of the machine's
  uint64_t peak_bytes = 0;                           // of the process, mapped pages included
  double bytes_per_token = 0;                        // decoding: weights and cache that a token needs read; 0: not known
  double read_bytes = 0, int8_ops = 0, f32_ops = 0;  // what the machine gave just before and after, a second
  std::vector<Span> spans;                           // Lumen's starts: where the time went
};

struct Spread {
  double median = 0, lowest = 0, highest = 0;
  size_t count = 0;
};
Spread spread_of(std::vector<double> values);

// One test of one engine on one model.
struct Figure {
  std::vector<Trial> trials;
  std::string problem;  // why trials are missing; empty: none is
  Spread value() const;
  double others_share() const;      // mean
  double bandwidth_share() const;   // median of bytes read, of a streaming read beside it; 0: not known
  std::vector<Span> spans() const;  // medians over trials, in the order they began
  double seconds_in_all = 0;        // of the processes
};

// Two engines' greedy continuations of one prompt.
struct Agreement {
  bool equal = false;
  int64_t common_bytes = 0;  // before they part
};
Agreement agreement_of(const std::string& a, const std::string& b);

// Log-probabilities of a text's next tokens, Lumen's beside a peer's.
struct LogitsComparison {
  int64_t rows = 0, same_best = 0;
  double kl_mean = 0, kl_max = 0;              // divergence of Lumen's from the peer's, in nats
  double largest_difference = 0;               // of a token's probability
  double perplexity = 0, peer_perplexity = 0;  // of the rows' true next tokens
  bool same_tokens = false;                    // both tokenizers gave the same ids
  std::string problem;                         // why it was not measured
};

struct EngineResult {
  std::vector<Figure> figures;  // by test
  std::optional<std::string> continuation;
  std::string continuation_problem;
  Agreement agreement;      // with Lumen's, where both have one
  LogitsComparison logits;  // beside Lumen's
};

struct Subject {  // a model
  std::string name, path, architecture;
  uint64_t file_bytes = 0;
  double multiplied_weights = 0;     // by every token of a prompt: all matrices but embedding and output
  double bytes_per_token = 0;        // of weights, as stored in the file, that decoding a token reads
  double cache_bytes_per_token = 0;  // that one token of context takes
  bool float_weights = false;        // most of the multiplied weights are plain floats
  int64_t prompt_tokens = 0;         // of the start-up prompt
};

struct ModelResult {
  Subject subject;
  std::vector<EngineResult> engines;
};

struct EngineInfo {
  std::string name, description, path;
  std::vector<std::string> lacks;  // "no llama-perplexity beside /x/llama-bench: …"
};

struct Comparison {
  std::string date, cpu, kernel, target, int8_instructions, prompt;
  int cores = 1, threads = 1;
  MemoryInfo memory;
  std::vector<Cache> caches;
  bool huge_pages = false;  // the streaming read got 2 MB pages
  int64_t rounds = 0, continued_tokens = 0;
  std::vector<Test> tests;
  std::vector<EngineInfo> engines;
  std::vector<ModelResult> models;
  Spread read_bytes, int8_ops, f32_ops;  // over the whole run, a second

  // Lumen's median beside another engine's, above 1 where Lumen is better. 0: one of them is missing.
  double ratio(const ModelResult& m, size_t engine, size_t test) const;
  // Prefill: operations of the layers' matrices, of the peak for the kind of weights. 0: not known.
  double peak_share(const ModelResult& m, const Figure& f) const;
  // The largest of a test's processes, or of all tests but first starts; 0: none was measured.
  uint64_t peak_bytes(const EngineResult& r, std::optional<TestKind> of = {}) const;
  bool doubtful(const ModelResult& m, size_t engine, size_t test) const;  // others took much of the CPU, unasked
  std::vector<std::string> warnings() const;                              // why figures may mislead
  std::vector<std::string> problems() const;  // what was not measured, and why: "MODEL, ENGINE, TEST: …", equal reasons together
};

}  // namespace lumen::measure
