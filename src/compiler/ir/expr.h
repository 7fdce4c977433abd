// Scalar expressions: the bodies of `compute` operations and the value rules of formats. Immutable, shared (a DAG).
// The interpreter (interp.h) defines what each kind means; kExprOps is the one table of arithmetic.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace lumen::ir {

// name, number of arguments. Integers wrap in their type; integer div and mod are floor (Python's) and by a non-zero divisor;
// shr is arithmetic on signed and logical on unsigned types; a shift count below 0 or not below the width shifts every bit out;
// comparisons and logic give Bool. Floats: f32 IEEE, no contraction (f16 and bf16: computed in f32, then rounded); min(a, b) is
// a < b ? a : b, max likewise; round is to nearest even; rsqrt is 1 / sqrt; exp, log, sin, cos, tanh, pow, erf within 2 ulp.
// select evaluates both arms: loads in either must be in range.
#define LUMEN_EXPR_OPS(X) \
  X(Add, "add", 2) X(Sub, "sub", 2) X(Mul, "mul", 2) X(Div, "div", 2) X(Mod, "mod", 2) X(Min, "min", 2) X(Max, "max", 2) \
  X(And, "and", 2) X(Or, "or", 2) X(Xor, "xor", 2) X(Shl, "shl", 2) X(Shr, "shr", 2) X(Eq, "eq", 2) X(Ne, "ne", 2) \
  X(Lt, "lt", 2) X(Le, "le", 2) X(Pow, "pow", 2) X(Neg, "neg", 1) X(Not, "not", 1) X(Abs, "abs", 1) X(Sqrt, "sqrt", 1) \
  X(Rsqrt, "rsqrt", 1) X(Exp, "exp", 1) X(Log, "log", 1) X(Sin, "sin", 1) X(Cos, "cos", 1) X(Tanh, "tanh", 1) \
  X(Erf, "erf", 1) X(Floor, "floor", 1) X(Round, "round", 1) X(Select, "select", 3)

enum class Op : uint8_t {
#define X(id, text, arity) id,
  LUMEN_EXPR_OPS(X)
#undef X
};
std::string_view name(Op op);
int arity(Op op);

enum class Reduction : uint8_t { Sum, Max, Min, SoftmaxSum };
std::string_view name(Reduction r);  // "sum", "max", "min", "softmax_sum"

enum class Ek : uint8_t {
  Int,      // ival, of an integer type or Bool; printed 3 (i32 is the default), 3:u8
  Float,    // fval, F32
  Index,    // ival: the variable's number. Output axes are 0..rank-1; reductions bind further numbers. Type I32
  Extent,   // symbol: a run-time dimension's value. Type I32
  Op,       // op(args)
  Cast,     // value conversion to `type`; float to integer truncates and saturates, f32 -> f16/bf16 rounds to even
  Bitcast,  // same bits, same size
  Load,     // element [args] of tensor operand `operand`; a formatted operand yields its f32 value
  Field,    // element args[0] of field number `ival` of the block at hand (value rules of formats only); the field's type
  Table,    // table[args[0]], constants of `type`; an index out of range is an error
  Reduce,   // reduction over Index `ival` in [args[0], args[1]) of args[2]; SoftmaxSum: sum softmax(args[2]) * args[3], optional
            // sink args[4]: a score that joins the denominator only (outside the Index's scope). An empty range gives 0 (Sum,
            // SoftmaxSum), -inf, +inf; for integers the type's lowest and highest value
  Dot,      // dot product over the whole innermost axis of row args[0..operand rank-1) of `operand` and the row given by
            // the remaining args of `operand2`: see interp.h for the integer form. Type F32. ival: operand's rank - 1
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

struct Expr {
  Ek kind = Ek::Int;
  DType type = DType::I32;
  Op op = Op::Add;
  Reduction reduction = Reduction::Sum;
  int operand = -1;   // Load, Dot: number of the tensor operand of the enclosing operation
  int operand2 = -1;  // Dot: the weight
  int64_t ival = 0;
  double fval = 0;
  std::string symbol;
  std::vector<ExprPtr> args;
  std::shared_ptr<const std::vector<double>> table;
  uint64_t hash = 0;  // structural, set by the makers below
};

ExprPtr make_int(int64_t v, DType t = DType::I32);
ExprPtr make_float(double v);
ExprPtr make_index(int number);
ExprPtr make_extent(std::string symbol);
// Operands of an Op must already have equal types (Shl/Shr counts and Select conditions excepted). Folds constants and the
// identities x+0, x*1, x/1, x%1, select with a constant condition (integers and index arithmetic; floats only when all constant).
ExprPtr make_op(Op op, std::vector<ExprPtr> args);
ExprPtr make_cast(ExprPtr e, DType t);
ExprPtr make_bitcast(ExprPtr e, DType t);
ExprPtr make_load(int operand, DType t, std::vector<ExprPtr> indices);
ExprPtr make_field(int field, DType t, ExprPtr index);
ExprPtr make_table(std::shared_ptr<const std::vector<double>> table, DType t, ExprPtr index);
ExprPtr make_reduce(Reduction r, int index, std::vector<ExprPtr> args);
ExprPtr make_dot(int x, std::vector<ExprPtr> x_row, int w, std::vector<ExprPtr> w_row);

bool equal(const ExprPtr& a, const ExprPtr& b);  // structural
// Rebuilds bottom-up (through the makers, so folding happens): f returns a replacement for a rebuilt node, or null to keep it.
ExprPtr rewrite(const ExprPtr& e, const std::function<ExprPtr(const ExprPtr&)>& f);
// Calls f once on every distinct node, arguments first.
void visit(const ExprPtr& e, const std::function<void(const Expr&)>& f);
ExprPtr substitute(const ExprPtr& e, int index, const ExprPtr& by);  // Index `index` -> by
bool uses_index(const ExprPtr& e, int index);
// A number above every Index used or bound in e, and not below at_least.
int first_free_index(const ExprPtr& e, int at_least);
// Gives every reduction of e its own new number, counted up from `next`: needed before two bodies are joined.
ExprPtr rename_bound(const ExprPtr& e, int& next);

}  // namespace lumen::ir
