// The interpreter: the living definition of every operation of the tensor IR. Slow by design, but vectorised over one axis so
// that a 135M-parameter model answers within minutes.
//
// Dot(x, w) is defined by the types of its operands:
//  - x f32 and w anything: the f32 sum over k ascending of x[k] * value(w, k), accumulated in f64 and rounded once.
//  - x a row-plane format with one scale field s (per `group`), codes q (i8), w with an integer form of block B (IntForm).
//    Let E be the finest extent among w's float levels and `group`. For each run of E elements, in f32:
//      P = sum over runs g of the integer scale's extent (or the whole run where there is none) of sc_g * sum_k q[k] * code(k)
//          (exact)
//      M = sum of sc_g * sum_k q[k]                                       (int32, exact; used where bias != 0)
//      O = sum over runs of the integer offset of m_g * sum_k q[k]        (int32, exact; where there are offset levels)
//      y += s * (d * (P + bias * M) + m * O)
//    accumulated over runs in ascending order. Kernels may reassociate the f32 sums; integers are equal to the bit.
//
// Reduce: Sum of floats adds the values, each rounded as written, in f64 in ascending order and rounds once; Sum of integers wraps.
// SoftmaxSum: m = max of the scores and the sink; e = exp(score - m) in f32; sum of e * value and sum of e in f64, divided, rounded
// once; 0 where every score is -inf. Dest of a scatter may repeat: the last in domain order stays. A scatter reads before it writes.
// A scatter into a format with blocks writes whole blocks (whole rows for row planes), each encoded by the format's rule.
//
// Encoding by EncodeRule::AbsMax of a run x[0..group): a = max |x|; s = a / 127; inv = a > 0 ? 127 / a : 0;
//   q = clamp(round_even(x * inv), -127, 127); then derived fields in order.
#pragma once
#include <map>
#include <memory>
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

// Encodes k elements (whole blocks) by EncodeRule::Search; given by compiler/formats, which stands above this room.
using EncodeHook = void (*)(const FormatType& f, const float* x, int64_t k, uint8_t* row);
void set_encode_hook(EncodeHook hook);  // for every interpretation whose Bindings name none

struct Bindings {
  std::map<std::string, Tensor*> params;     // by name; state tensors are updated in place
  std::map<std::string, int64_t> symbols;    // "T" -> 5; symbols in the shapes of parameters may be left out
  int threads = 1;
  EncodeHook encode = nullptr;
};
// Runs f; the results in order. Errors: missing binding, wrong shape, index out of range; each names the value.
// A result that is a parameter (after updates) has no data of its own: its `external` points at the bound tensor's bytes.
Result<std::vector<Tensor>> interpret(const Function& f, const Bindings& b);

// The same, keeping what was decoded from parameters with `external` set between runs, found again by that pointer: their bytes
// must not change or move, or call forget(). Decoded weights take 4 bytes an element (2 to 3 more for integer dot products).
class Interpreter {
 public:
  Interpreter();
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Result<std::vector<Tensor>> run(const Function& f, const Bindings& b);
  void forget();

 private:
  struct Caches;
  std::unique_ptr<Caches> caches_;
};

// Single pieces, shared with tests, formats and passes.
// Value of element k of a block (or of a row, for row planes; then `block` points at the row and `row_k` is its length).
float decode(const FormatType& f, const uint8_t* block, int64_t k, int64_t row_k = 0);
void decode_row(const FormatType& f, const uint8_t* row, int64_t k, float* out);
void encode_absmax_row(const FormatType& f, const float* x, int64_t k, uint8_t* row);
// Evaluates an expression over the fields of one block (Index 0 = k); integers exactly, floats as written in f32.
double eval_block_expr(const FormatType& f, const ExprPtr& e, const uint8_t* block, int64_t k);

}  // namespace lumen::ir
