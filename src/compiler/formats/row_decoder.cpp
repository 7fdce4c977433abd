// Formats that are plain numbers are read directly, other blocks by one program that computes all elements.
#include "compiler/formats/row_decoder.h"

#include <algorithm>

#include "base/assert.h"
#include "compiler/formats/enumerate.h"
#include "compiler/ir/interp.h"

namespace lumen::formats {

constexpr int kMaxBlock = 4096;  // longer blocks are left to the interpreter

RowDecoder::RowDecoder(const ir::Type& weight) : f_(weight.format.get()), plain_(!weight.format), scalar_(weight.scalar) {
  if (!f_) {
    LUMEN_ASSERT(is_float(scalar_));
    return;
  }
  if (f_->row_planes || f_->block > kMaxBlock) return;
  const ir::Expr* core = f_->value.get();
  while (core->kind == ir::Ek::Cast && core->type == DType::F32) core = core->args[0].get();
  if (f_->block == 1 && f_->fields.size() == 1 && core->kind == ir::Ek::Field && is_float(core->type)) {
    plain_ = true;
    scalar_ = core->type;
    return;
  }
  Interner intern;
  std::vector<ir::ExprPtr> elements;
  for (int k = 0; k < f_->block; ++k) elements.push_back(intern(ir::substitute(f_->value, 0, ir::make_int(k))));
  auto program = std::make_unique<BlockProgram>(*f_, elements);
  if (program->error().empty()) block_ = std::move(program);
}

void RowDecoder::decode(const uint8_t* row, int64_t k, float* out) {
  if (plain_) {
    int size = size_of(scalar_);
    for (int64_t i = 0; i < k; ++i) out[i] = read_float(scalar_, row + i * size);
  } else if (block_) {
    for (int64_t b = 0, blocks = k / f_->block; b < blocks; b += BlockProgram::kBatch) {
      int count = static_cast<int>(std::min<int64_t>(BlockProgram::kBatch, blocks - b));
      block_->run_batch(row + b * f_->block_bytes, count, out + b * f_->block);
    }
  } else {
    ir::decode_row(*f_, row, k, out);
  }
}

}  // namespace lumen::formats
