// Short names for tests that build functions and tensors by hand, and hand-made formats with the structures of real ones.
#pragma once
#include <cstring>
#include <memory>
#include <random>

#include "base/assert.h"
#include "compiler/ir/interp.h"

namespace lumen::ir::testing {

inline ExprPtr i32(int64_t v) { return make_int(v); }
inline ExprPtr ix(int n) { return make_index(n); }
inline ExprPtr add(ExprPtr a, ExprPtr b) { return make_op(Op::Add, {a, b}); }
inline ExprPtr sub(ExprPtr a, ExprPtr b) { return make_op(Op::Sub, {a, b}); }
inline ExprPtr mul(ExprPtr a, ExprPtr b) { return make_op(Op::Mul, {a, b}); }
inline ExprPtr div(ExprPtr a, ExprPtr b) { return make_op(Op::Div, {a, b}); }
inline ExprPtr mod(ExprPtr a, ExprPtr b) { return make_op(Op::Mod, {a, b}); }
inline ExprPtr ld(int operand, std::vector<ExprPtr> index, DType t = DType::F32) { return make_load(operand, t, std::move(index)); }
inline ExprPtr sum(int var, ExprPtr lo, ExprPtr hi, ExprPtr body) { return make_reduce(Reduction::Sum, var, {lo, hi, body}); }
inline ExprPtr f32(ExprPtr e) { return make_cast(std::move(e), DType::F32); }

inline Type type_of(DType t, std::vector<Dim> dims) { return {t, nullptr, std::move(dims)}; }
inline Type type_of(FormatRef f, std::vector<Dim> dims) { return {DType::F32, std::move(f), std::move(dims)}; }

template <class T>
Tensor tensor(Type type, const std::vector<T>& values) {
  Tensor t = make_tensor(std::move(type));
  LUMEN_ASSERT(t.data.size() == values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(t.data.data(), values.data(), t.data.size());
  return t;
}
inline std::vector<float> random_floats(int64_t n, unsigned seed, float scale = 1) {
  std::mt19937 g(seed);
  std::uniform_real_distribution<float> d(-scale, scale);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) x = d(g);
  return v;
}
template <class T>
std::vector<T> values_of(const Tensor& t) {
  std::vector<T> v(static_cast<size_t>(byte_size(t.type)) / sizeof(T));
  if (!v.empty()) std::memcpy(v.data(), t.bytes(), v.size() * sizeof(T));
  return v;
}

inline ExprPtr field(int n, DType t, ExprPtr at) { return make_field(n, t, std::move(at)); }
inline ExprPtr nibble_of(ExprPtr byte, ExprPtr which) {  // bits 4 * which of a byte
  return make_op(Op::And,
                 {make_op(Op::Shr, {std::move(byte), make_op(Op::Mul, {std::move(which), make_int(4)})}), make_int(15, DType::U8)});
}

// d: f16, qs: u8[16]; value = d * (nibble - 8), 32 elements; low nibbles first.
inline FormatRef nibbles_format() {
  auto f = std::make_shared<FormatType>();
  f->name = "nibbles";
  f->block = 32;
  f->block_bytes = 18;
  f->fields = {{"d", DType::F16, 1, 0}, {"qs", DType::U8, 16, 2}};
  ExprPtr raw = nibble_of(field(1, DType::U8, mod(ix(0), i32(16))), div(ix(0), i32(16)));
  ExprPtr d = f32(field(0, DType::F16, i32(0)));
  f->value = mul(d, f32(sub(make_cast(raw, DType::I32), i32(8))));
  IntForm form;
  form.block = 32;
  form.bits = 4;
  form.raw_max = 15;
  form.bias = -8;
  for (int k = 0; k < 32; ++k) form.raw.push_back(substitute(raw, 0, i32(k)));
  form.scale = {{32, false, 0, 0, DType::F16, {d}}};
  f->form = form;
  return f;
}

// Two levels and offsets, 256 elements: d, dmin f16; sc, m u8[8]; qs u8[128]; value = d * sc[k/32] * nibble - dmin * m[k/32].
inline FormatRef two_level_format() {
  auto f = std::make_shared<FormatType>();
  f->name = "two_level";
  f->block = 256;
  f->block_bytes = 2 + 2 + 8 + 8 + 128;
  f->fields = {
      {"d", DType::F16, 1, 0}, {"dmin", DType::F16, 1, 2}, {"sc", DType::U8, 8, 4}, {"m", DType::U8, 8, 12}, {"qs", DType::U8, 128, 20}};
  // Byte 32 * (k / 64) + k % 32, low nibble for the first 32 of 64.
  ExprPtr at = add(mul(div(ix(0), i32(64)), i32(32)), mod(ix(0), i32(32)));
  ExprPtr raw = nibble_of(field(4, DType::U8, at), mod(div(ix(0), i32(32)), i32(2)));
  ExprPtr d = f32(field(0, DType::F16, i32(0))), dmin = f32(field(1, DType::F16, i32(0)));
  ExprPtr group = div(ix(0), i32(32));
  ExprPtr sc = field(2, DType::U8, group), m = field(3, DType::U8, group);
  f->value = sub(mul(mul(d, f32(sc)), f32(raw)), mul(dmin, f32(m)));
  IntForm form;
  form.block = 256;
  form.bits = 4;
  form.raw_max = 15;
  for (int k = 0; k < 256; ++k) form.raw.push_back(substitute(raw, 0, i32(k)));
  ScaleLevel si{32, true, 0, 63, DType::U8, {}}, oi{32, true, 0, 63, DType::U8, {}};
  for (int g = 0; g < 8; ++g) {
    si.value.push_back(substitute(sc, 0, i32(g * 32)));
    oi.value.push_back(substitute(m, 0, i32(g * 32)));
  }
  form.scale = {{256, false, 0, 0, DType::F16, {d}}, si};
  form.offset = {{256, false, 0, 0, DType::F32, {make_op(Op::Neg, {dmin})}}, oi};
  f->form = form;
  return f;
}

// Row planes: scales f32 and codes i8 in groups, and the sums of the codes of each 16.
inline FormatRef activation_format(int group = 32) {
  auto f = std::make_shared<FormatType>();
  f->name = "act<" + std::to_string(group) + ">";
  f->block = group;
  f->row_planes = true;
  f->encode = EncodeRule::AbsMax;
  f->fields = {{"s", DType::F32}, {"q", DType::I8}, {"sums", DType::I16}};
  f->fields[0].per = group;
  f->fields[1].per = 1;
  f->fields[2].per = 16;
  f->scale_field = 0;
  f->code_field = 1;
  f->value = mul(field(0, DType::F32, div(ix(0), i32(group))), f32(field(1, DType::I8, ix(0))));
  f->fields[2].derive = sum(1, i32(0), i32(16), make_cast(field(1, DType::I8, add(mul(ix(0), i32(16)), ix(1))), DType::I16));
  return f;
}

// Random bytes with small positive f16 values where the fields are f16.
inline Tensor random_formatted(FormatRef f, int64_t rows, int64_t k, unsigned seed) {
  Tensor t = make_tensor(type_of(f, {rows, k}));
  std::mt19937 g(seed);
  for (uint8_t& b : t.data) b = static_cast<uint8_t>(g());
  for (size_t at = 0; at < t.data.size(); at += static_cast<size_t>(f->block_bytes))
    for (const FormatField& field : f->fields)
      for (int i = 0; i < field.count; ++i) {
        uint8_t* p = t.data.data() + at + field.offset + i * size_of(field.type);
        if (field.type == DType::F16) {
          uint16_t h = float_to_half(0.01f + 0.001f * static_cast<float>(g() % 50));
          std::memcpy(p, &h, 2);
        } else if (field.name == "sc" || field.name == "m") {
          *p &= 63;
        }
      }
  return t;
}

}  // namespace lumen::ir::testing
