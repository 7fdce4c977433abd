// GGUF files as the engine sees them: tensor types come from the formats at hand, private ones from declarations the file names.
#pragma once
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_reader.h"
#include "compiler/sema/library.h"

namespace lumen::engine {

// The IR type of a file's tensor: plain floats as scalars, everything else through its format. Error: no format declares the type.
Result<ir::Type> gguf_tensor_type(const sema::Library& lib, const Checkpoint& file, const CheckpointTensor& t);
// How many elements of it in how many bytes; nullopt: no format declares the type, or none of blocks.
std::optional<BlockGeometry> gguf_geometry(const sema::Library& lib, const Checkpoint& file, uint32_t type_id);
// Private types (kFirstPrivateType and above) are named in the file itself: lumen.format.<id>.name, beside the declaration's
// text in lumen.format.<id>.source. The format of that name must be at hand; the text in the file is never loaded by itself,
// but a declaration at hand that says something else is an Error, since values would be read wrongly.
Result<Checkpoint> open_gguf_checkpoint(const std::string& path, const sema::Library& lib);
// Adds the declarations that a file brings to `lib`: for users who said that they trust the file. Each must be one format.
Status add_embedded_formats(sema::Library& lib, const std::string& path);
std::string private_name_key(uint32_t type_id);
std::string private_source_key(uint32_t type_id);

}  // namespace lumen::engine
