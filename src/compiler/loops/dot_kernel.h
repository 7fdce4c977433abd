// The inner kernels of dot products: a tile of tokens x row groups accumulated over the whole of k.
#pragma once
#include <vector>

#include "compiler/loops/dot_operand.h"

namespace lumen::loops {

// Rows of activations of a tile, all of one format: row t lies at byte base[t] + disp[t] of buffer[t].
struct TokenRows {
  std::vector<int> buffer;
  std::vector<Reg> base;
  std::vector<int64_t> disp;
  int count() const { return static_cast<int>(base.size()); }
};

// Elements [first, first + count) of k, `first` a multiple of 4; all of k where `first` is invalid.
struct KBlock {
  Reg first, count;
};

// `d`: the weight, and the format of the rows. acc[t * groups + g], F32 vectors, assigned by the caller: the products are added to them. `group_base`: byte offsets of the row
// groups in the packed tensor (direct), or {panel base}.
void integer_kernel(LowerContext& c, const DotOperand& d, WeightReader& reader, bool panel, const std::vector<Reg>& group_base, int groups,
                    const TokenRows& x, std::vector<Reg>& acc);
void float_kernel(LowerContext& c, const DotOperand& d, const std::vector<Reg>& group_base, int groups, const TokenRows& x,
                  const KBlock& block, std::vector<Reg>& acc);

}  // namespace lumen::loops
