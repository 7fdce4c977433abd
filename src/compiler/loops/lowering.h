// What the three lowerings share: the operation at hand, its builder and emitter, the kernel's bookkeeping.
#pragma once
#include <string>

#include "base/assert.h"
#include "compiler/loops/builder.h"
#include "compiler/loops/expr_emitter.h"
#include "compiler/loops/lower.h"

namespace lumen::loops {

struct LowerContext {
  LowerContext(const ir::Function& function, const ir::Value& value, const Machine& machine, const Schedule& schedule, const std::string& kernel_name);
  const ir::Function& f;
  const ir::Value& v;
  const Machine& m;
  const Schedule& s;
  Builder b;
  ExprEmitter e;
  std::vector<std::optional<formats::PackedLayout>> layouts;

  int result_buffer() const { return v.kind == ir::ValueKind::Scatter ? e.operand_buffer[0] : result_; }
  void add_item_factor(const ir::Dim& d, int64_t divisor) { b.kernel().items.push_back({d.value, d.symbol, divisor}); }
  Error unsupported(const std::string& what) const;
  Result<Lowered> finish();  // the kernel, or the emitter's error

 private:
  int result_ = -1;
};

Result<Lowered> lower_rows(LowerContext& c);
Result<Lowered> lower_dot(LowerContext& c);
Result<Lowered> lower_attention(LowerContext& c);

}  // namespace lumen::loops
