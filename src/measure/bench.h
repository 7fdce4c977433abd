// Speed of a model: prefill of a prompt in full batches, decoding token by token, both behind a context of some depth. Medians over
// repetitions, with the share of CPU time a run got, since a machine shared with others makes wall clocks lie.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/open_model.h"

namespace lumen::measure {

struct Sample {
  double tokens_per_second = 0;
  double cpu_share = 0;  // CPU time of the process / (wall time * threads)
  double read_bytes_per_second = 0;  // decoding: a streaming read by as many threads just before and after
};

struct Series {
  int64_t tokens = 0;
  std::vector<Sample> samples;
  std::vector<std::pair<std::string, double>> profile;  // microseconds of all samples together, by kernel name, largest first
  double median() const;
  double lowest() const;
  double highest() const;
  double cpu_share() const;  // median
  double read_share(double bytes_per_token) const;  // median of what was read of weights and states, of what a streaming read gives
};

struct BenchOptions {
  int64_t prompt = 512, generate = 128, repetitions = 5;  // 0 tokens: that test is left out
  int64_t depth = 0;       // tokens that the context holds before
  int threads = 1;
  bool profile = false;
  bool probe_reads = true;  // measure a streaming read beside decoding; it takes memory of its own
  int64_t longest() const { return depth + (prompt > generate ? prompt : generate); }
};
struct BenchResult {
  Series prefill, decode;
  double load_seconds = 0;  // packing weights and compiling kernels: the first steps, which are not counted
  double state_bytes_per_token = 0;  // that a token of context takes
  double decode_bytes_per_token = 0;  // packed weights, and the states of the context and half the tokens decoded
  uint64_t peak_bytes = 0;  // most memory the process held at once, mapped pages included
};

// `model` needs a context of at least options.longest() tokens.
Result<BenchResult> bench(engine::Model& model, const BenchOptions& options);

std::string cpu_name();  // "AMD EPYC 9B14", or "unknown CPU"

}  // namespace lumen::measure
