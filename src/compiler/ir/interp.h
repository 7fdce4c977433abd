// The interpreter: the living definition of every operation of the tensor IR. Slow by design, but vectorised over one axis so
// that a 135M-parameter model answers within minutes.
//
// Dot(x, w) is defined by the types of its operands:
//  - x f32 and w anything: the f32 sum over k ascending of x[k] * value(w, k), accumulated in f64 and rounded once.
//  - x a row-plane format with one scale field s (per `group`), codes q (i8), w with an integer form of block B (IntForm).
//    Let E be the finest extent among w's float levels and `group`. For each run of E elements, in f32:
//      P = sum over runs g of the integer scale's extent (or the whole run where there is none) of sc_g * sum_k q[k] * code(k)   (int32, exact)
//      M = sum of sc_g * sum_k q[k]                                       (int32, exact; used where bias != 0)
//      O = sum over runs of the integer offset of m_g * sum_k q[k]        (int32, exact; where there are offset levels)
//      y += s * (d * (P + bias * M) + m * O)
//    accumulated over runs in ascending order. Kernels may reassociate the f32 sums; integers are equal to the bit.
//
// Encoding by EncodeRule::AbsMax of a run x[0..group): a = max |x|; s = a / 127; inv = a > 0 ? 127 / a : 0;
//   q = clamp(round_even(x * inv), -127, 127); then derived fields in order.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/ir/ir.h"

namespace lumen::ir {

// A tensor the interpreter works on. `data` is in storage layout (row_bytes for formats, dense scalars otherwise);
// `external`, when set, is used instead of data (a mapped weight) and never written.
struct Tensor {
  Type type;                     // dims all constant
  std::vector<uint8_t> data;
  const uint8_t* external = nullptr;
  const uint8_t* bytes() const { return external ? external : data.data(); }
};
int64_t byte_size(const Type& type);  // dims all constant
Tensor make_tensor(Type type);        // zeroed
std::vector<float> to_floats(const Tensor& t);  // decoded through the format where there is one

struct Bindings {
  std::map<std::string, Tensor*> params;     // by name; state tensors are updated in place
  std::map<std::string, int64_t> symbols;    // "T" -> 5
  int threads = 1;
};
// Runs f; the results in order. Errors: missing binding, wrong shape, index out of range; each names the value.
Result<std::vector<Tensor>> interpret(const Function& f, const Bindings& b);

// Single pieces, shared with tests, formats and passes.
// Value of element k of a block (or of a row, for row planes; then `block` points at the row and `row_k` is its length).
float decode(const FormatType& f, const uint8_t* block, int64_t k, int64_t row_k = 0);
void decode_row(const FormatType& f, const uint8_t* row, int64_t k, float* out);
void encode_absmax_row(const FormatType& f, const float* x, int64_t k, uint8_t* row);
// Evaluates an expression over the fields of one block (Index 0 = k); integers exactly, floats as written in f32.
double eval_block_expr(const FormatType& f, const ExprPtr& e, const uint8_t* block, int64_t k);

}  // namespace lumen::ir
