// Rows of a weight as f32, exactly as the value rule gives them; faster than the interpreter, equal to it.
#pragma once
#include <memory>
#include <vector>

#include "compiler/formats/block_program.h"
#include "compiler/ir/type.h"

namespace lumen::formats {

class RowDecoder {
 public:
  explicit RowDecoder(const ir::Type& weight);  // a plain float type or a format; the format must outlive the decoder
  // True where a row is a plain array of elements of type t.
  bool stored_as(DType t) const { return plain_ && scalar_ == t; }
  void decode(const uint8_t* row, int64_t k, float* out);

 private:
  const ir::FormatType* f_ = nullptr;
  bool plain_ = false;
  DType scalar_ = DType::F32;
  std::unique_ptr<BlockProgram> block_;  // one output an element
};

}  // namespace lumen::formats
