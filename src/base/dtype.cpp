// Names and portable conversions of the 16-bit float types.
#include "base/dtype.h"

#include <bit>

namespace lumen {

std::optional<DType> dtype_named(std::string_view text) {
#define X(id, str, size) \
  if (text == str) return DType::id;
  LUMEN_DTYPES(X)
#undef X
  return std::nullopt;
}

float half_to_float(uint16_t h) {
  uint32_t sign = (h & 0x8000u) << 16, exp = (h >> 10) & 31, frac = h & 0x3FF;
  if (exp == 31) return std::bit_cast<float>(sign | 0x7F800000u | frac << 13);
  if (exp == 0) {  // zero or subnormal: frac * 2^-24, exact in f32
    float v = static_cast<float>(frac) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(v) | sign);
  }
  return std::bit_cast<float>(sign | (exp + 112) << 23 | frac << 13);
}

uint16_t float_to_half(float f) {
  uint32_t u = std::bit_cast<uint32_t>(f), sign = (u >> 16) & 0x8000, abs = u & 0x7FFFFFFF;
  if (abs > 0x7F800000) return sign | 0x7E00 | ((abs >> 13) & 0x3FF);  // NaN, quiet, payload kept
  if (abs >= 0x477FF000) return sign | 0x7C00;                         // rounds to infinity
  if (abs < 0x38800000) {                                              // subnormal or zero
    float v = std::bit_cast<float>(abs) + 0.5f;                        // 0.5f has ulp 2^-24: addition rounds to nearest even
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(v) - 0x3F000000u);
  }
  uint32_t rounded = abs + 0xFFF + ((abs >> 13) & 1) - (112u << 23);
  return sign | static_cast<uint16_t>(rounded >> 13);
}

float bfloat_to_float(uint16_t b) { return std::bit_cast<float>(static_cast<uint32_t>(b) << 16); }

uint16_t float_to_bfloat(float f) {
  uint32_t u = std::bit_cast<uint32_t>(f);
  if ((u & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(u >> 16 | 0x40);
  return static_cast<uint16_t>((u + 0x7FFF + ((u >> 16) & 1)) >> 16);
}

}  // namespace lumen
