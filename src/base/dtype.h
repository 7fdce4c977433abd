// DType: the scalar types a value or a stored field may have. One table drives names and sizes.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace lumen {

#define LUMEN_DTYPES(X) \
  X(Bool, "bool", 1) X(I8, "i8", 1) X(U8, "u8", 1) X(I16, "i16", 2) X(U16, "u16", 2) X(I32, "i32", 4) X(U32, "u32", 4) \
  X(I64, "i64", 8) X(U64, "u64", 8) X(F16, "f16", 2) X(BF16, "bf16", 2) X(F32, "f32", 4) X(F64, "f64", 8)

enum class DType : uint8_t {
#define X(name, text, size) name,
  LUMEN_DTYPES(X)
#undef X
};

constexpr std::string_view name(DType t) {
  constexpr std::string_view names[] = {
#define X(name, text, size) text,
      LUMEN_DTYPES(X)
#undef X
  };
  return names[static_cast<int>(t)];
}
constexpr int size_of(DType t) {  // bytes
  constexpr int sizes[] = {
#define X(name, text, size) size,
      LUMEN_DTYPES(X)
#undef X
  };
  return sizes[static_cast<int>(t)];
}
constexpr bool is_float(DType t) { return t >= DType::F16; }
constexpr bool is_signed(DType t) { return t == DType::I8 || t == DType::I16 || t == DType::I32 || t == DType::I64 || is_float(t); }
constexpr bool is_integer(DType t) { return t != DType::Bool && !is_float(t); }
std::optional<DType> dtype_named(std::string_view text);

// IEEE half and bfloat16, round to nearest even. Exact, portable; hot paths use the device's own conversions.
float half_to_float(uint16_t h);
uint16_t float_to_half(float f);
float bfloat_to_float(uint16_t b);
uint16_t float_to_bfloat(float f);

}  // namespace lumen
