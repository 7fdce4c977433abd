// The arithmetic of one scalar value, shared by the folding makers and the interpreter: integers live in an int64_t wrapped to
// their type (u64 as its bit pattern), f32, f16 and bf16 in a float that holds a value of the type exactly.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/dtype.h"
#include "compiler/ir/expr.h"

namespace lumen::ir {

inline int64_t wrap(int64_t v, DType t) {
  switch (t) {
    case DType::Bool:
      return v != 0;
    case DType::I8:
      return static_cast<int8_t>(v);
    case DType::U8:
      return static_cast<uint8_t>(v);
    case DType::I16:
      return static_cast<int16_t>(v);
    case DType::U16:
      return static_cast<uint16_t>(v);
    case DType::I32:
      return static_cast<int32_t>(v);
    case DType::U32:
      return static_cast<uint32_t>(v);
    default:
      return v;
  }
}
inline float round_to(float v, DType t) {
  if (t == DType::F16) return half_to_float(float_to_half(v));
  if (t == DType::BF16) return bfloat_to_float(float_to_bfloat(v));
  return v;
}

inline bool is_comparison(Op op) { return op == Op::Eq || op == Op::Ne || op == Op::Lt || op == Op::Le; }

// Integer division rounds to minus infinity; b != 0. The smallest value by -1 wraps.
inline int64_t floor_div(int64_t a, int64_t b, DType t) {
  if (t == DType::U64) return static_cast<int64_t>(static_cast<uint64_t>(a) / static_cast<uint64_t>(b));
  if (b == -1) return static_cast<int64_t>(0 - static_cast<uint64_t>(a));
  int64_t q = a / b;
  return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}
inline int64_t floor_mod(int64_t a, int64_t b, DType t) {
  if (t == DType::U64) return static_cast<int64_t>(static_cast<uint64_t>(a) % static_cast<uint64_t>(b));
  if (b == -1) return 0;
  int64_t r = a % b;
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}
// A count below zero or of at least the type's width shifts every bit out.
inline int64_t shift_left(int64_t a, int64_t count, DType t) {
  if (count < 0 || count >= 8 * size_of(t)) return 0;
  return static_cast<int64_t>(static_cast<uint64_t>(a) << count);
}
inline int64_t shift_right(int64_t a, int64_t count, DType t) {
  if (count < 0 || count >= 8 * size_of(t)) return is_signed(t) && a < 0 ? -1 : 0;
  return t == DType::U64 ? static_cast<int64_t>(static_cast<uint64_t>(a) >> count) : a >> count;
}
inline bool int_less(int64_t a, int64_t b, DType t) {
  return t == DType::U64 ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
}

// Op on integers or Bool of type t (the operands' type). Div and Mod: b != 0.
inline int64_t int_op(Op op, DType t, int64_t a, int64_t b) {
  auto u = [](int64_t v) { return static_cast<uint64_t>(v); };
  switch (op) {
    case Op::Add:
      return wrap(static_cast<int64_t>(u(a) + u(b)), t);
    case Op::Sub:
      return wrap(static_cast<int64_t>(u(a) - u(b)), t);
    case Op::Mul:
      return wrap(static_cast<int64_t>(u(a) * u(b)), t);
    case Op::Div:
      return wrap(floor_div(a, b, t), t);
    case Op::Mod:
      return wrap(floor_mod(a, b, t), t);
    case Op::Min:
      return int_less(a, b, t) ? a : b;
    case Op::Max:
      return int_less(b, a, t) ? a : b;
    case Op::And:
      return a & b;
    case Op::Or:
      return a | b;
    case Op::Xor:
      return a ^ b;
    case Op::Shl:
      return wrap(shift_left(a, b, t), t);
    case Op::Shr:
      return wrap(shift_right(a, b, t), t);
    case Op::Eq:
      return a == b;
    case Op::Ne:
      return a != b;
    case Op::Lt:
      return int_less(a, b, t);
    case Op::Le:
      return !int_less(b, a, t);
    case Op::Neg:
      return wrap(static_cast<int64_t>(0 - u(a)), t);
    case Op::Not:
      return t == DType::Bool ? !a : wrap(~a, t);
    case Op::Abs:
      return wrap(is_signed(t) && a < 0 ? static_cast<int64_t>(0 - u(a)) : a, t);
    default:
      return 0;
  }
}

inline float float_mod(float a, float b) {  // the divisor's sign, as for integers
  float r = std::fmod(a, b);
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}
// Op on floats that gives a float.
inline float float_op(Op op, float a, float b) {
  switch (op) {
    case Op::Add:
      return a + b;
    case Op::Sub:
      return a - b;
    case Op::Mul:
      return a * b;
    case Op::Div:
      return a / b;
    case Op::Mod:
      return float_mod(a, b);
    case Op::Min:
      return a < b ? a : b;
    case Op::Max:
      return a > b ? a : b;
    case Op::Pow:
      return std::pow(a, b);
    case Op::Neg:
      return -a;
    case Op::Abs:
      return std::fabs(a);
    case Op::Sqrt:
      return std::sqrt(a);
    case Op::Rsqrt:
      return 1.0f / std::sqrt(a);
    case Op::Exp:
      return std::exp(a);
    case Op::Log:
      return std::log(a);
    case Op::Sin:
      return std::sin(a);
    case Op::Cos:
      return std::cos(a);
    case Op::Tanh:
      return std::tanh(a);
    case Op::Erf:
      return std::erf(a);
    case Op::Floor:
      return std::floor(a);
    case Op::Round:
      return std::nearbyint(a);
    default:
      return 0;
  }
}
inline bool float_compare(Op op, float a, float b) {
  switch (op) {
    case Op::Eq:
      return a == b;
    case Op::Ne:
      return a != b;
    case Op::Lt:
      return a < b;
    default:
      return a <= b;
  }
}

// Toward zero, saturating; NaN gives 0.
inline int64_t float_to_int(float v, DType t) {
  if (t == DType::Bool) return v != 0;
  if (std::isnan(v)) return 0;
  if (t == DType::U64) {
    if (v >= 0x1p64f) return -1;
    return v <= 0 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(v));
  }
  int bits = 8 * size_of(t);
  double lo = is_signed(t) ? -std::ldexp(1.0, bits - 1) : 0.0, end = std::ldexp(1.0, is_signed(t) ? bits - 1 : bits);
  double d = std::trunc(static_cast<double>(v));
  if (d < lo) return static_cast<int64_t>(lo);
  if (d >= end) return t == DType::I64 ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(end - 1);
  return static_cast<int64_t>(d);
}
inline float int_to_float(int64_t v, DType from) {
  return from == DType::U64 ? static_cast<float>(static_cast<uint64_t>(v)) : static_cast<float>(v);
}

// Bits of a value of type t, zero-extended; and back.
inline uint64_t float_bits(float v, DType t) {
  if (t == DType::F16) return float_to_half(v);
  if (t == DType::BF16) return float_to_bfloat(v);
  return std::bit_cast<uint32_t>(v);
}
inline float bits_float(uint64_t bits, DType t) {
  if (t == DType::F16) return half_to_float(static_cast<uint16_t>(bits));
  if (t == DType::BF16) return bfloat_to_float(static_cast<uint16_t>(bits));
  return std::bit_cast<float>(static_cast<uint32_t>(bits));
}

}  // namespace lumen::ir
