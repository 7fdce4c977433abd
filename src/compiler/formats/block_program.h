// Expressions over the fields of one block as a straight list of instructions: for enumerating, checking, packing and encoding,
// where the same few expressions are evaluated millions of times. Same arithmetic as the interpreter (ir/scalar.h).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "compiler/ir/format.h"

namespace lumen::formats {

class BlockProgram {
 public:
  // Outputs must hold nothing but constants, operations, casts, tables and fields (Index 0 is the value given to run).
  // error() is set, and run must not be called, where one holds something else.
  BlockProgram(const ir::FormatType& f, const std::vector<ir::ExprPtr>& outputs);
  const std::string& error() const { return error_; }

  void run(const uint8_t* block, int64_t index0 = 0);
  int64_t integer(size_t output) const { return slots_[outputs_[output]].i; }
  float real(size_t output) const { return slots_[outputs_[output]].f; }
  double number(size_t output) const { return float_[output] ? real(output) : static_cast<double>(integer(output)); }
  // The float outputs of `count` blocks, at most kBatch, that stand one after the other: block b's output i in out[b * outputs + i].
  // One instruction works on all blocks before the next: several times as fast as run, and equal to it.
  static constexpr int kBatch = 16;
  void run_batch(const uint8_t* blocks, int count, float* out);
  // False when the last run looked past a field or a table, or divided by zero; such a read gives 0.
  bool in_range() const { return in_range_; }

 private:
  union Slot {
    int64_t i;
    float f;
  };
  struct Instr {
    const ir::Expr* e;
    int dst, a, b, c;
    int offset, count;  // Field
    DType from;         // Cast, Bitcast, Op: type of the first argument
  };
  int add(const ir::ExprPtr& e);
  void step(const Instr& n, const uint8_t* block);
  void step_batch(const Instr& n, const uint8_t* blocks, int count);

  const ir::FormatType& f_;
  std::vector<ir::ExprPtr> roots_;
  std::unordered_map<const ir::Expr*, int> slot_of_;
  std::vector<Instr> code_;
  std::vector<Slot> slots_, lanes_;  // lanes_: kBatch for each slot, made when first needed
  std::vector<int> outputs_;
  std::vector<bool> float_;
  int index_slot_ = -1;
  bool in_range_ = true;
  std::string error_;
};

// One stored number, little-endian.
int64_t read_integer(DType t, const uint8_t* p);
float read_float(DType t, const uint8_t* p);

}  // namespace lumen::formats
