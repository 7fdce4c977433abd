// The passes over tensor IR, one a file, and the only place that orders them (pipeline.cpp). Each keeps the function valid.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "compiler/ir/ir.h"

namespace lumen::passes {

// A value nobody reads disappears; a scatter stays, since it changes state.
void eliminate_dead(ir::Function& f);

// Equal operations over equal operands become one.
//   %3 = compute(%1) {cos …}   %9 = compute(%1) {cos …}      ->   %3, used twice
void merge_equal(ir::Function& f);

// Operations whose operands are all constant, over constant extents, are evaluated by the interpreter.
//   %2: f32[32] = compute() [i] { pow(10000.0, …) }           ->   %2: f32[32] = const
void fold_constants(ir::Function& f);

// A sum of products of a weight's row with a row of activations becomes a dot.
//   sum(k: 0, 576, mul(%1[t, k], %2[n, k]))                   ->   dot(%1[t], %2[n])
void form_dots(ir::Function& f);

// Dots with weights that have an integer form read requantised activations: `activation(group)` is the format for groups of
// that many elements. Error bound: each activation moves by at most max|x| / 254 of its group.
//   dot(%1[t], %2[n])                                         ->   %5 = compute(%1) : act<32>[T, K];  dot(%5[t], %2[n])
// fine_results: a dot that is a result of the function gets twice as many digits, the activations' rounding error requantised as well;
// what other dots round, the layers behind them average out, this one nothing does (a quarter of a model's divergence).
//   dot(%1[t], %2[n])                                         ->   add(dot(%5[t], %2[n]), dot(%7[t], %2[n])), %7 from %1 - %5
void use_integer_dots(ir::Function& f, const std::function<ir::FormatRef(int group)>& activation, bool fine_results = false);

// A producer read once, element by element, moves into its reader: residual sums and gates into the dot before them, norms into
// the requantisation after them.
void fuse(ir::Function& f);

// Exact runs keep states in f32, whatever the model declares: f16 and bf16 states are widened.
void widen_states(ir::Function& f);

// For each tensor that weights' rows are multiplied with, one more result: the squares of its columns, summed over the rows.
//   dot(%1[t], %2[n])                                         ->   %9: f32[1, K] = compute(%1) { sum(t: 0, T, mul(%1[t, k], %1[t, k])) }
// Dots must have been formed; the passes before are run by the caller. What the results mean, in their order:
struct DotInput {
  std::vector<std::string> weights;  // params
  int64_t columns = 0;
  bool gives_result = false;  // a dot with it is a result of the function: the logits
};
std::vector<DotInput> observe_dots(ir::Function& f);

struct Options {
  bool integer_dots = true;  // false: --exact
  bool fine_results = false;  // see use_integer_dots
  std::function<ir::FormatRef(int group)> activation;
  std::vector<DotInput>* observed = nullptr;  // not null: observe_dots runs behind form_dots and writes here
  std::function<void(const std::string& pass, const ir::Function& f)> after;  // --after, LUMEN_DUMP; may be empty
};
// Runs all passes in order. The verifier runs after each in debug builds.
void run(ir::Function& f, const Options& options);
const std::vector<std::string>& pass_names();  // in order

}  // namespace lumen::passes
