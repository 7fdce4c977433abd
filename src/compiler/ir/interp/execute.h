// Runs one operation of the tensor IR over its domain. Errors name the operand, not the operation: the caller does.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/interp.h"
#include "compiler/ir/interp/machine.h"

namespace lumen::ir::interp {

using Symbols = std::vector<std::pair<std::string, int64_t>>;

struct Job {
  const std::vector<int64_t>& dims;  // the domain
  const std::vector<Operand>& operands;
  const Symbols& symbols;
  int threads = 1;
};
// Makes the decoded rows that `body` reads through the operands.
void prepare_operands(const ExprPtr& body, std::vector<Operand>& operands);
// out: the type's storage, zeroed. Returns the first error, or "".
std::string run_compute(const Job& job, const ExprPtr& body, const Type& type, uint8_t* out, EncodeHook hook);
// Writes into `state`; rows that changed are dropped from `decoded`.
std::string run_scatter(const Job& job, const ExprPtr& body, const std::vector<ExprPtr>& dest, const Type& type, uint8_t* state,
                        Decoded* decoded, EncodeHook hook);

}  // namespace lumen::ir::interp
