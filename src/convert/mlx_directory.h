// A Hugging Face directory's weights in a format that MLX reads, as a directory of the same kind: config.json that says so, safetensors in
// shards, every other small file as it was.
#pragma once
#include <string>

#include "convert/quantize.h"

namespace lumen::convert {

// The declaration of a format named by its own name or with its whole numbers ("codes<4, 64>", the type of its scales being each tensor's
// own) where it says what MLX calls it; null: it does not.
const ast::FormatDecl* mlx_declaration(const sema::Library& lib, const std::string& format);

// Writes the directory `out`, which must not exist, or nothing. `in`: of container "hf" or "mlx". Matrices whose rows are whole blocks and
// whose name ends in ".weight" take the format; rules of options.recipe may only keep tensors as they are.
Result<QuantizeReport> quantize_directory(const sema::Library& lib, const Checkpoint& in, const std::string& out,
                                          const QuantizeOptions& options);

}  // namespace lumen::convert
