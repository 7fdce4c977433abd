// Types of tensors in Hugging Face and MLX directories: plain numbers by their dtype; the rest by the formats that declare what such
// a directory calls their data (`hf "F8_E4M3"`, `mlx "affine"`), with fields in tensors beside the weight's own.
#pragma once
#include "checkpoint/checkpoint.h"
#include "compiler/sema/library.h"

namespace lumen::engine {

Result<ir::Type> hf_tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t);

}  // namespace lumen::engine
