// Types of the tensor IR: dimensions, element types (a scalar type or a storage format), tensor types.
// Invariant: tensors are dense and row-major; a formatted tensor's innermost axis holds whole blocks.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace lumen::ir {

struct FormatType;  // format.h
using FormatRef = std::shared_ptr<const FormatType>;

// One extent: a constant, or a symbol bounded at run time ("T" tokens, "S" sequences, "R" logit rows, …).
struct Dim {
  int64_t value = 0;
  std::string symbol;  // empty: constant
  Dim() = default;
  Dim(int64_t v) : value(v) {}
  explicit Dim(std::string s) : symbol(std::move(s)) {}
  bool is_const() const { return symbol.empty(); }
  bool operator==(const Dim&) const = default;
};
std::string to_string(const Dim& d);

// f32[T, 576], i32[S], nibbles<32>[2048, 2048]
struct Type {
  DType scalar = DType::F32;  // what a Load yields: F32 for a formatted tensor
  FormatRef format;           // null: elements are stored as `scalar`
  std::vector<Dim> dims;      // outermost first
  int rank() const { return static_cast<int>(dims.size()); }
};
bool operator==(const Type& a, const Type& b);  // formats compare by name, which spells out their parameters
std::string to_string(const Type& t);  // a format named like a scalar type gets an @: @f16[4, 64]

}  // namespace lumen::ir
