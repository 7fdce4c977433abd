// GGUF versions 2 and 3, little-endian: memory-mapped, nothing copied, everything checked before it is believed.
// Metadata and tensor table are read to the last field at open; tensor data is only bounded, never touched.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace lumen {

// Tensor types from here on are private: their meaning comes with a user's .lum file, whose text the file may also carry
// in metadata keys that begin with kFormatKeyPrefix (one key a format; the value is the declaration's text).
constexpr uint32_t kFirstPrivateType = 1000;
constexpr std::string_view kFormatKeyPrefix = "lumen.format.";

// A tensor of a type that `geometry` does not know is listed with its size unknown; asking for its data is an Error.
// Of a model in several files `path` is the first; the others are opened with it (gguf_split.h).
Result<Checkpoint> open_gguf(const std::string& path, const GeometryOf& geometry);

// The same from bytes in memory, which must outlive the Checkpoint. `name` stands for the file in messages.
Result<Checkpoint> parse_gguf(std::span<const uint8_t> bytes, const std::string& name, const GeometryOf& geometry);

}  // namespace lumen
