// Elementwise instructions over the lanes of registers, and the conversion of elements between memory and registers.
#include <bit>
#include <cstring>

#include "compiler/ir/interp/machine.h"
#include "compiler/ir/scalar.h"

namespace lumen::ir::interp {
namespace {

template <class F>
void each_int(Vec& d, const Vec& a, const Vec& b, int n, const F& f) {
  for (int i = 0; i < n; ++i) d.i[i] = f(a.i[i], b.i[i]);
}
template <class F>
void each_float(Vec& d, const Vec& a, const Vec& b, int n, const F& f) {
  for (int i = 0; i < n; ++i) d.f[i] = f(a.f[i], b.f[i]);
}

uint64_t u(int64_t v) { return static_cast<uint64_t>(v); }

template <class T>
void wrap_each(Vec& d, int n) {
  for (int i = 0; i < n; ++i) d.i[i] = static_cast<T>(d.i[i]);
}
void wrap_lanes(DType t, Vec& d, int n) {
  switch (t) {
    case DType::I8:
      return wrap_each<int8_t>(d, n);
    case DType::U8:
      return wrap_each<uint8_t>(d, n);
    case DType::I16:
      return wrap_each<int16_t>(d, n);
    case DType::U16:
      return wrap_each<uint16_t>(d, n);
    case DType::I32:
      return wrap_each<int32_t>(d, n);
    case DType::U32:
      return wrap_each<uint32_t>(d, n);
    default:
      return;
  }
}

// The shift that divides by b in every lane: b is one power of two. -1: no such.
int common_shift(const Vec& b, int n) {
  int64_t v = b.i[0];
  if (v <= 0 || (v & (v - 1)) != 0) return -1;
  for (int i = 1; i < n; ++i)
    if (b.i[i] != v) return -1;
  return std::countr_zero(u(v));
}

// Division and remainder; false where a divisor is 0 (the lane gets a number, which is not used).
bool divide(Op op, DType t, Vec& d, const Vec& a, const Vec& b, int n) {
  int shift = t == DType::U64 ? -1 : common_shift(b, n);
  if (shift >= 0 && op == Op::Div) {
    for (int k = 0; k < n; ++k) d.i[k] = a.i[k] >> shift;
    return true;
  }
  if (shift >= 0) {
    int64_t mask = b.i[0] - 1;
    for (int k = 0; k < n; ++k) d.i[k] = a.i[k] & mask;
    return true;
  }
  bool ok = true;
  for (int k = 0; k < n; ++k) {
    ok &= b.i[k] != 0;
    d.i[k] = int_op(op, t, a.i[k], b.i[k] != 0 ? b.i[k] : 1);
  }
  return ok;
}

// The most common operations in loops of their own; the rest through int_op.
bool run_int(const Instr& i, Vec& d, const Vec& a, const Vec& b, int n) {
  DType t = i.from;
  int64_t width = 8 * size_of(t);
  switch (i.op) {
    case Op::Add:
      each_int(d, a, b, n, [](int64_t x, int64_t y) { return static_cast<int64_t>(u(x) + u(y)); });
      break;
    case Op::Sub:
      each_int(d, a, b, n, [](int64_t x, int64_t y) { return static_cast<int64_t>(u(x) - u(y)); });
      break;
    case Op::Mul:
      each_int(d, a, b, n, [](int64_t x, int64_t y) { return static_cast<int64_t>(u(x) * u(y)); });
      break;
    case Op::And:
      each_int(d, a, b, n, [](int64_t x, int64_t y) { return x & y; });
      return true;
    case Op::Or:
      each_int(d, a, b, n, [](int64_t x, int64_t y) { return x | y; });
      return true;
    case Op::Shl:
      each_int(d, a, b, n, [=](int64_t x, int64_t y) { return u(y) < u(width) ? static_cast<int64_t>(u(x) << y) : 0; });
      break;
    case Op::Shr:
      if (is_signed(t) || t == DType::U64) {
        each_int(d, a, b, n, [=](int64_t x, int64_t y) { return shift_right(x, y, t); });
      } else {
        each_int(d, a, b, n, [=](int64_t x, int64_t y) { return u(y) < u(width) ? x >> y : 0; });
      }
      return true;
    case Op::Div:
    case Op::Mod:
      return divide(i.op, t, d, a, b, n);
    default: {
      bool unary = arity(i.op) == 1;
      for (int k = 0; k < n; ++k) d.i[k] = int_op(i.op, t, a.i[k], unary ? 0 : b.i[k]);
      return true;
    }
  }
  wrap_lanes(t, d, n);
  return true;
}

void run_float(const Instr& i, Vec& d, const Vec& a, const Vec& b, int n) {
  switch (i.op) {
    case Op::Add:
      each_float(d, a, b, n, [](float x, float y) { return x + y; });
      break;
    case Op::Sub:
      each_float(d, a, b, n, [](float x, float y) { return x - y; });
      break;
    case Op::Mul:
      each_float(d, a, b, n, [](float x, float y) { return x * y; });
      break;
    case Op::Div:
      each_float(d, a, b, n, [](float x, float y) { return x / y; });
      break;
    default:
      if (is_comparison(i.op)) {
        Vec out;  // d may not alias: registers are written once, but its lanes are wider than floats
        for (int k = 0; k < n; ++k) out.i[k] = float_compare(i.op, a.f[k], b.f[k]);
        std::memcpy(d.i, out.i, sizeof(int64_t) * static_cast<size_t>(n));
        return;
      }
      bool unary = arity(i.op) == 1;
      for (int k = 0; k < n; ++k) d.f[k] = float_op(i.op, a.f[k], unary ? 0.0f : b.f[k]);
  }
  if (i.type != DType::F32)
    for (int k = 0; k < n; ++k) d.f[k] = round_to(d.f[k], i.type);
}

}  // namespace

bool run_op(const Instr& i, Vec* regs, int n) {
  Vec& d = regs[i.dst];
  const Vec& a = regs[i.src[0]];
  if (i.op == Op::Select) {
    const Vec &x = regs[i.src[1]], &y = regs[i.src[2]];
    if (is_float(i.type)) {
      for (int k = 0; k < n; ++k) d.f[k] = a.i[k] ? x.f[k] : y.f[k];
    } else {
      for (int k = 0; k < n; ++k) d.i[k] = a.i[k] ? x.i[k] : y.i[k];
    }
    return true;
  }
  const Vec& b = i.src[1] >= 0 ? regs[i.src[1]] : a;
  if (is_float(i.from)) {
    run_float(i, d, a, b, n);
    return true;
  }
  return run_int(i, d, a, b, n);
}

void run_cast(const Instr& i, Vec* regs, int n) {
  Vec& d = regs[i.dst];
  const Vec& a = regs[i.src[0]];
  if (is_float(i.from) && is_float(i.type)) {
    std::memcpy(d.f, a.f, sizeof(float) * static_cast<size_t>(n));
  } else if (is_float(i.from)) {
    for (int k = 0; k < n; ++k) d.i[k] = float_to_int(a.f[k], i.type);
    return;
  } else if (is_float(i.type)) {
    if (i.from == DType::U64)
      for (int k = 0; k < n; ++k) d.f[k] = int_to_float(a.i[k], i.from);
    else
      for (int k = 0; k < n; ++k) d.f[k] = static_cast<float>(a.i[k]);
  } else if (i.type == DType::Bool) {
    for (int k = 0; k < n; ++k) d.i[k] = a.i[k] != 0;
    return;
  } else {
    std::memcpy(d.i, a.i, sizeof(int64_t) * static_cast<size_t>(n));
    wrap_lanes(i.type, d, n);
    return;
  }
  if (i.type != DType::F32)
    for (int k = 0; k < n; ++k) d.f[k] = round_to(d.f[k], i.type);
}

void run_bitcast(const Instr& i, Vec* regs, int n) {
  Vec& d = regs[i.dst];
  const Vec& a = regs[i.src[0]];
  for (int k = 0; k < n; ++k) {
    uint64_t bits = is_float(i.from) ? float_bits(a.f[k], i.from) : u(a.i[k]);
    if (is_float(i.type))
      d.f[k] = bits_float(bits, i.type);
    else
      d.i[k] = wrap(static_cast<int64_t>(bits), i.type);
  }
}

namespace {
template <class T>
T get(const uint8_t* array, int64_t at) {
  T v;
  std::memcpy(&v, array + at * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return v;
}
template <class T>
void put(uint8_t* array, int64_t at, T v) {
  std::memcpy(array + at * static_cast<int64_t>(sizeof(T)), &v, sizeof(T));
}
}  // namespace

void read_element(DType t, const uint8_t* array, int64_t at, Vec& v, int lane) {
  switch (t) {
    case DType::Bool:
      v.i[lane] = array[at] != 0;
      break;
    case DType::I8:
      v.i[lane] = get<int8_t>(array, at);
      break;
    case DType::U8:
      v.i[lane] = array[at];
      break;
    case DType::I16:
      v.i[lane] = get<int16_t>(array, at);
      break;
    case DType::U16:
      v.i[lane] = get<uint16_t>(array, at);
      break;
    case DType::I32:
      v.i[lane] = get<int32_t>(array, at);
      break;
    case DType::U32:
      v.i[lane] = get<uint32_t>(array, at);
      break;
    case DType::I64:
    case DType::U64:
      v.i[lane] = get<int64_t>(array, at);
      break;
    case DType::F16:
      v.f[lane] = half_to_float(get<uint16_t>(array, at));
      break;
    case DType::BF16:
      v.f[lane] = bfloat_to_float(get<uint16_t>(array, at));
      break;
    case DType::F32:
      v.f[lane] = get<float>(array, at);
      break;
    case DType::F64:
      v.f[lane] = static_cast<float>(get<double>(array, at));
      break;  // the verifier keeps f64 out of bodies
  }
}

void write_element(DType t, uint8_t* array, int64_t at, const Vec& v, int lane) {
  switch (t) {
    case DType::Bool:
    case DType::I8:
    case DType::U8:
      put(array, at, static_cast<uint8_t>(v.i[lane]));
      break;
    case DType::I16:
    case DType::U16:
      put(array, at, static_cast<uint16_t>(v.i[lane]));
      break;
    case DType::I32:
    case DType::U32:
      put(array, at, static_cast<uint32_t>(v.i[lane]));
      break;
    case DType::I64:
    case DType::U64:
      put(array, at, v.i[lane]);
      break;
    case DType::F16:
      put(array, at, float_to_half(v.f[lane]));
      break;
    case DType::BF16:
      put(array, at, float_to_bfloat(v.f[lane]));
      break;
    case DType::F32:
      put(array, at, v.f[lane]);
      break;
    case DType::F64:
      put(array, at, static_cast<double>(v.f[lane]));
      break;
  }
}

}  // namespace lumen::ir::interp
