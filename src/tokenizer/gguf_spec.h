// The tokenizer that a GGUF file's metadata describes (keys tokenizer.ggml.*).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/spec.h"

namespace lumen {

// Metadata by key, however it is stored. A getter gives nullopt when the key is absent or holds another type. Strings must stay
// alive as long as the Tokenizer.
class MetadataView {
 public:
  virtual ~MetadataView() = default;
  virtual bool has(std::string_view key) const = 0;
  virtual std::optional<std::string_view> get_string(std::string_view key) const = 0;
  virtual std::optional<int64_t> get_int(std::string_view key) const = 0;  // any integer type
  virtual std::optional<bool> get_bool(std::string_view key) const = 0;
  virtual std::optional<std::vector<std::string_view>> get_strings(std::string_view key) const = 0;
  virtual std::optional<std::vector<int64_t>> get_ints(std::string_view key) const = 0;   // array of any integer type
  virtual std::optional<std::vector<double>> get_floats(std::string_view key) const = 0;  // array of any number type
  virtual std::optional<std::string_view> get_bytes(std::string_view key) const = 0;      // array of i8 or u8
};

// Errors name the key and what was expected.
Result<TokenizerSpec> spec_from_gguf(const MetadataView& metadata);

}  // namespace lumen
