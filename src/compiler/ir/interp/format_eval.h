// Evaluates expressions over the fields of formats, with the compiled programs kept between calls (a small cache a thread).
#pragma once
#include <vector>

#include "compiler/ir/interp/machine.h"

namespace lumen::ir::interp {

enum class FieldLanes : uint8_t {
  None,      // Index 0 is a scalar; one block
  Elements,  // Index 0 runs over lanes; Machine::lane_base says where each lane's block is
  Blocks,    // no Index; the lanes are blocks
};

class FormatProgram {
 public:
  FormatProgram(const FormatType& f, const std::vector<ExprPtr>& outputs, FieldLanes lanes);
  // The program for these outputs, from the calling thread's cache. Valid until the thread's next call.
  static FormatProgram& get(const FormatType& f, const std::vector<ExprPtr>& outputs, FieldLanes lanes);
  // With the format handed over: fields are read by f's layout, for rows of row_k elements.
  Machine& machine(const FormatType& f, int64_t row_k) {
    machine_.set_format(&f, row_k);
    return machine_;
  }
  // Runs n lanes (1 for None). `same_index`: Index 0 is as it was in the last run.
  void run(int n, bool same_index = false);

 private:
  std::vector<ExprPtr> outputs_;  // kept alive: the cache finds programs by their addresses
  FieldLanes lanes_;
  Program program_;
  Machine machine_;
};

}  // namespace lumen::ir::interp
