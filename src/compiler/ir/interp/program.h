// A body compiled for the interpreter: instructions over registers of up to kLanes values, in blocks nested like the loops.
// Invariants: a register is written by one instruction; a uniform register holds its value in lane 0 only (constants in all);
// a block of an outer level never reads a register of an inner one.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/format.h"

namespace lumen::ir::interp {

constexpr int kLanes = 64;

union alignas(64) Vec {
  int64_t i[kLanes];  // integers and Bool
  float f[kLanes];    // f32, f16, bf16
};

struct Src {
  int reg = -1;
  bool vec = false;  // one value a lane; otherwise the value of lane 0 holds for all
};

enum class Ik : uint8_t {
  Op,
  Cast,
  Bitcast,
  Splat,
  Load,
  Field,
  Table,
  Reduce,
  Softmax,
  SumProduct,
  LaneLoop,
  Dot
};  // from Reduce on: loops

struct Instr {
  Ik kind = Ik::Op;
  Op op = Op::Add;
  DType type = DType::I32;  // of the result
  DType from = DType::I32;  // of the first argument
  bool vec = false;
  int dst = -1;
  int src[3] = {-1, -1, -1};  // Op, Cast, Bitcast, Splat: all vec where the result is
  int aux = -1;               // number in the list of the kind's further data
};

struct Access {  // Load, and each side of SumProduct and Dot: element or row of an operand
  int operand = -1;
  std::vector<Src> index;
  bool contiguous = false;  // lanes are consecutive elements: only the last index is vec, and it counts up
};
struct Loop {
  Reduction reduction = Reduction::Sum;
  bool lanes = false;       // the variable's values are the lanes of `body`
  Src lo, hi;               // uniform
  int var = -1;             // register of the loop variable
  int pre = -1, body = -1;  // blocks; `pre` runs once, where the range is not empty
  Src value;
  // Softmax: scores come from `body` (always over lanes); values from a loop of its own over the same range
  int value_var = -1, value_pre = -1, value_body = -1;
  Src weighted, sink;
  // SumProduct
  Access a, b;
  // LaneLoop: lane_var is the vec register of the lanes' variable, var the scalar one it is handed to
  int lane_var = -1;
};
struct FieldRead {
  int field = -1;
  Src index;
  bool block_per_lane = false;  // otherwise every lane reads the block of lane 0
};
struct TableRead {
  std::shared_ptr<const std::vector<double>> table;
  Src index;
};

struct Program {
  struct Constant {
    int reg;
    DType type;
    int64_t i;
    float f;
  };
  int registers = 0;
  std::vector<Constant> constants;
  std::vector<std::vector<Instr>> blocks;
  std::vector<int> levels;     // blocks: [0] without axes, [1 + a] after axis a was set, then with
                               // fields_per_lane one more: after base and lane_base were set
  std::vector<int> axis_regs;  // one an axis
  int lane_axis = -1;          // the innermost axis, or -1: every axis is a scalar loop
  std::vector<Src> outputs;
  std::vector<Access> loads;
  std::vector<std::pair<Access, Access>> dots;
  std::vector<Loop> loops;
  std::vector<FieldRead> fields;
  std::vector<TableRead> tables;
};

// Where loads take their types and symbols their values from.
struct CompileInput {
  int rank = 0;
  bool lanes = false;            // vectorise over the innermost axis
  bool fields_per_lane = false;  // Field reads a block of its own in every lane; needs lanes
  std::vector<int> operand_ranks;
  std::vector<std::pair<std::string, int64_t>> symbols;
};
// Compiles the expressions of one body. On error (an unbound symbol) sets `error`.
Program compile(const std::vector<ExprPtr>& outputs, const CompileInput& in, std::string& error);

}  // namespace lumen::ir::interp
