// Lowering of one tensor operation to a loop IR kernel. Three shapes cover everything: dot products with weights (dot_lowering),
// softmax-weighted sums over cached keys and values (attention_lowering), and all else, row by row (row_lowering).
// A kernel's buffers are the operation's operands in order, then the result (a scatter's result is its operand 0), then scratch.
#pragma once
#include <optional>
#include <vector>

#include "base/result.h"
#include "compiler/formats/layout.h"
#include "compiler/ir/ir.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/machine.h"

namespace lumen::loops {

// Decisions of a lowering, as data; picked by compiler/schedule.
struct Schedule {
  int lanes = 8;          // lanes of vectors; rows of one interleaved group of a weight
  int row_groups = 2;     // groups of rows in a tile
  int pad_groups = 2;     // a weight is padded to a multiple of so many: the same for all schedules, which then share the packed bytes
  int prefetch = 0;       // bytes of codes to ask for ahead of their use; 0: left to the CPU
  int tokens = 4;         // tokens in a tile
  bool panel = false;     // codes unpacked once a tile into an L1/L2 panel, instead of in registers for each token tile
  bool one_token = false; // specialised for T = 1
  int64_t token_block = 0;  // tokens whose activations stay in L2 while a weight's rows pass; 0: all
  int64_t k_block = 0;      // elements of k whose weights stay in L1 while a block's tokens pass; 0: all
  int keys = 32;          // attention: keys handled between two rescalings
  bool operator==(const Schedule&) const = default;
};

enum class Shape : uint8_t { Rows, Dot, Attention };
Shape shape_of(const ir::Value& v);

struct Lowered {
  Kernel kernel;
  // One an operand: the derived layout it must lie in, or nothing for the type's own storage.
  std::vector<std::optional<formats::PackedLayout>> layouts;
};

// Errors name the operation and the construct that cannot be lowered.
Result<Lowered> lower(const ir::Function& f, const ir::Value& v, const Machine& m, const Schedule& s);

}  // namespace lumen::loops
