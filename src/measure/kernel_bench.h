// Speed of one matrix product, y = x W^T, in a weight format: a prompt's many tokens at once, and one token at a time over
// copies of the weight that together are larger than the caches.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "compiler/sema/library.h"
#include "compiler/target.h"

namespace lumen::measure {

struct KernelBenchOptions {
  int64_t tokens = 512, k = 4096, n = 4096;  // x is (tokens, k), W is (n, k)
  int64_t copies_bytes = int64_t{192} << 20;  // for one token: copies of W until they take so much
  double seconds = 0.5;                       // spent on each of the two, at least
  bool exact = false;                         // decoded weights, f32 throughout
};

struct KernelSpeed {
  std::string format;
  bool integer = false;           // products of integers
  double bits = 0;                // a weight takes in the layout the kernel reads
  double packed_bytes = 0;        // of one W
  // Quantising the activations is included in both.
  double prefill_ops = 0;         // multiplications and additions a second: 2 * tokens * k * n / median time
  double prefill_ops_cpu = 0;     // the same by the CPU time of the process over the threads, the best run: what a neighbour does not disturb
  double decode_bytes = 0;        // bytes of packed weight read a second, median
};

// `kernel`: a function of the library (x: f32[T, K], w: W[N, K]). Random weights. Errors: a format that is not known or does not
// fit K.
Result<KernelSpeed> bench_kernel(const sema::Library& lib, Target& target, const std::string& kernel, const std::string& format,
                                 const KernelBenchOptions& options);

}  // namespace lumen::measure
