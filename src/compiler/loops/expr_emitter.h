// ExprEmitter: scalar expressions of an operation's body as loop IR, at one lane or vectorised along one index ("the vector
// index": lane i stands for base + i). Integer index arithmetic is I64; values are F32 or I32.
#pragma once
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "compiler/ir/ir.h"
#include "compiler/loops/builder.h"

namespace lumen::loops {

class ExprEmitter {
 public:
  ExprEmitter(Builder& b, const ir::Function& f, const ir::Value& v);

  std::vector<int> operand_buffer;                  // buffer of each operand
  std::map<int, Reg> index;                         // bound indices, I64
  int vector_index = -1;                            // -1: none
  int vector_lanes = 1;                             // lanes of vectorised reductions
  Reg tail;                                         // set: only that many lanes of vector loads exist
  std::string error;                                // first construct that could not be lowered
  // Values given from outside (a dot product's accumulators): looked up by node before anything else.
  std::unordered_map<const ir::Expr*, Reg> given;

  Reg dim(const ir::Dim& d);                        // I64
  Reg scalar(const ir::ExprPtr& e);                 // integer or Bool expression at the current indices, I64
  Reg value(const ir::ExprPtr& e, int lanes);       // F32 or I32
  // Byte address of element `indices` of a dense tensor of `type` in `buffer`; the vector index counts as its base.
  Address address(const ir::Type& type, int buffer, const std::vector<ir::ExprPtr>& indices);
  // Elements from one value of the vector index to the next; nothing where the address is not affine in it.
  std::optional<int64_t> stride(const ir::Type& type, const std::vector<ir::ExprPtr>& indices) const;
  bool can_vectorize(const ir::ExprPtr& e) const;   // along vector_index
  // Evaluates every costly part of e that does not depend on the vector index now, ahead of the loop about to open.
  void hoist(const ir::ExprPtr& e, int lanes);

  // Registers computed inside a loop or branch are forgotten when it ends.
  void push_scope() { scopes_.emplace_back(); }
  void pop_scope() { scopes_.pop_back(); }
  template <class F>
  void scoped(F&& body) {
    push_scope();
    body();
    pop_scope();
  }

 private:
  struct Block {  // where Field nodes read: a block or a row of planes
    const ir::FormatType* format;
    int buffer;
    Reg base;     // byte offset
    int64_t row;  // elements in a row, for planes
  };
  using Memo = std::map<std::pair<const ir::Expr*, int>, std::pair<Reg, ir::ExprPtr>>;
  Reg find(const ir::ExprPtr& e, int lanes) const;
  Reg keep(const ir::ExprPtr& e, int lanes, Reg r);
  Reg fail(const std::string& what, int lanes);
  Reg scalar_op(const ir::ExprPtr& e);
  Reg value_op(const ir::ExprPtr& e, int lanes);
  Reg int_value_op(const ir::ExprPtr& e, int lanes);
  Reg load(const ir::ExprPtr& e, int lanes);
  Reg decode(const ir::ExprPtr& e, int lanes);
  Reg reduce(const ir::ExprPtr& e);
  Reg table(const ir::ExprPtr& e, int lanes);
  Reg from_half_bits(Reg x, DType type, int lanes);
  Reg wrap(Reg r, DType t);
  const ir::Type& operand_type(int operand) const { return f_.values[v_.operands[operand]].type; }

  Builder& b_;
  const ir::Function& f_;
  const ir::Value& v_;
  std::vector<Memo> scopes_;  // keyed by node and lanes; the node is kept alive beside its register
  std::vector<Block> blocks_;
};

// coefficient and rest of e = coefficient * index + rest, where e is affine in `index`.
struct Affine {
  int64_t coefficient;
  ir::ExprPtr rest;
};
std::optional<Affine> affine_in(const ir::ExprPtr& e, int index);

// Simplifies e for index in [lo, hi): comparisons, quotients and remainders by constants that are decided on that range.
ir::ExprPtr narrow(const ir::ExprPtr& e, int index, int64_t lo, int64_t hi);
// Where the pieces of e along `index` (0 <= index < extent) begin: 0 first; at most `most` pieces, else just {0}.
std::vector<int64_t> pieces(const ir::ExprPtr& e, int index, int64_t extent, int most);

}  // namespace lumen::loops
