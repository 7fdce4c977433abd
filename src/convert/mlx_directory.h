// A model's weights in a format that MLX reads, as a Hugging Face directory: config.json that says so, safetensors in shards, every other small
// file as it was.
#pragma once
#include <map>
#include <string>

#include "convert/quantize.h"

namespace lumen::convert {

// The declaration of a format named by its own name or with its whole numbers ("codes<4, 64>", the type of its scales being each tensor's
// own) where it says what MLX calls it; null: it does not.
const ast::FormatDecl* mlx_declaration(const sema::Library& lib, const std::string& format);

// Writes the directory `out`, which must not exist, or nothing. `in` has the tensors by their names in such a directory. Matrices whose rows are
// whole blocks and whose name ends in ".weight" take the format, or what the rules of options.recipe say: another one of MLX's, or to stay.
// texts: the small files by name, config.json among them; empty: those of the directory that `in` is.
Result<QuantizeReport> quantize_directory(const sema::Library& lib, const Checkpoint& in, const std::map<std::string, std::string>& texts,
                                          const std::string& out, const QuantizeOptions& options);

}  // namespace lumen::convert
