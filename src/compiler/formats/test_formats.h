// Formats built by hand for the tests of this room, with a few operators that read like the language.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "compiler/formats/classify.h"
#include "compiler/ir/format.h"

namespace lumen::formats::testing {

struct E {  // integers are I32, as in the language
  ir::ExprPtr p;
  E(ir::ExprPtr e) : p(std::move(e)) {}
  E(int v) : p(ir::make_int(v)) {}
  E(double v) : p(ir::make_float(v)) {}
};
inline E op(ir::Op o, E a, E b) {
  if (a.p->type == DType::F32 && b.p->type != DType::F32) b.p = ir::make_cast(b.p, DType::F32);
  if (b.p->type == DType::F32 && a.p->type != DType::F32) a.p = ir::make_cast(a.p, DType::F32);
  return ir::make_op(o, {a.p, b.p});
}
inline E operator+(E a, E b) { return op(ir::Op::Add, a, b); }
inline E operator-(E a, E b) { return op(ir::Op::Sub, a, b); }
inline E operator*(E a, E b) { return op(ir::Op::Mul, a, b); }
inline E operator/(E a, E b) { return op(ir::Op::Div, a, b); }
inline E operator%(E a, E b) { return op(ir::Op::Mod, a, b); }
inline E operator&(E a, E b) { return op(ir::Op::And, a, b); }
inline E operator|(E a, E b) { return op(ir::Op::Or, a, b); }
inline E operator<<(E a, E b) { return op(ir::Op::Shl, a, b); }
inline E operator>>(E a, E b) { return op(ir::Op::Shr, a, b); }
inline E operator-(E a) { return E(ir::make_op(ir::Op::Neg, {a.p})); }
inline E less(E a, E b) { return op(ir::Op::Lt, a, b); }
inline E select(E c, E a, E b) { return E(ir::make_op(ir::Op::Select, {c.p, a.p, b.p})); }
inline E bits(E x, E at, int n) { return (x >> at) & E((1 << n) - 1); }
inline E nibble(E x, E i) { return bits(x, i * E(4), 4); }
inline E table(std::vector<double> v, E i) {
  return E(ir::make_table(std::make_shared<const std::vector<double>>(std::move(v)), DType::I32, i.p));
}
inline const E k{ir::make_index(0)};

struct Builder {
  ir::FormatType f;
  Builder(std::string name, int block) {
    f.name = std::move(name);
    f.block = block;
  }
  int field(const std::string& name, DType t, int count) {
    f.fields.push_back({name, t, count, f.block_bytes, 0, nullptr});
    f.block_bytes += count * size_of(t);
    return static_cast<int>(f.fields.size()) - 1;
  }
  E at(int field, E index) const {  // integers widen to i32, floats to f32
    DType t = f.fields[static_cast<size_t>(field)].type;
    return E(ir::make_cast(ir::make_field(field, t, index.p), is_float(t) ? DType::F32 : DType::I32));
  }
  ir::FormatType done(E value) {
    f.value = ir::make_cast(value.p, DType::F32);
    classify(f);
    return f;
  }
};

inline ir::FormatType q4_0() {
  Builder b("q4_0", 32);
  int d = b.field("d", DType::F16, 1), qs = b.field("qs", DType::U8, 16);
  return b.done(b.at(d, 0) * (nibble(b.at(qs, k % 16), k / 16) - 8));
}
inline ir::FormatType q4_1() {
  Builder b("q4_1", 32);
  int d = b.field("d", DType::F16, 1), m = b.field("m", DType::F16, 1), qs = b.field("qs", DType::U8, 16);
  return b.done(b.at(d, 0) * nibble(b.at(qs, k % 16), k / 16) + b.at(m, 0));
}
inline ir::FormatType q5_0() {
  Builder b("q5_0", 32);
  int d = b.field("d", DType::F16, 1), qh = b.field("qh", DType::U8, 4), qs = b.field("qs", DType::U8, 16);
  E code = nibble(b.at(qs, k % 16), k / 16) | (bits(b.at(qh, k / 8), k % 8, 1) << 4);
  return b.done(b.at(d, 0) * (code - 16));
}
inline ir::FormatType q5_1() {
  Builder b("q5_1", 32);
  int d = b.field("d", DType::F16, 1), m = b.field("m", DType::F16, 1), qh = b.field("qh", DType::U8, 4), qs = b.field("qs", DType::U8, 16);
  E code = nibble(b.at(qs, k % 16), k / 16) | (bits(b.at(qh, k / 8), k % 8, 1) << 4);
  return b.done(b.at(d, 0) * code + b.at(m, 0));
}
inline ir::FormatType q8_0() {
  Builder b("q8_0", 32);
  int d = b.field("d", DType::F16, 1), qs = b.field("qs", DType::I8, 32);
  return b.done(b.at(d, 0) * b.at(qs, k));
}
inline ir::FormatType q4_k() {
  Builder b("q4_k", 256);
  int d = b.field("d", DType::F16, 1), dmin = b.field("dmin", DType::F16, 1), sc = b.field("scales", DType::U8, 12);
  int qs = b.field("qs", DType::U8, 128);
  E g = k / 32, four(4), low = g % 4;
  // Both arms are read, so indices stay in range in the one that is not taken.
  E scale = select(less(g, 4), b.at(sc, low) & 63, nibble(b.at(sc, low + 8), 0) | ((b.at(sc, low) >> 6) << 4));
  E min = select(less(g, 4), b.at(sc, low + 4) & 63, nibble(b.at(sc, low + 8), 1) | ((b.at(sc, low + 4) >> 6) << 4));
  return b.done(b.at(d, 0) * scale * nibble(b.at(qs, k / 64 * 32 + k % 32), k / 32 % 2) - b.at(dmin, 0) * min);
}
inline ir::FormatType q6_k() {
  Builder b("q6_k", 256);
  int ql = b.field("ql", DType::U8, 128), qh = b.field("qh", DType::U8, 64), sc = b.field("scales", DType::I8, 16);
  int d = b.field("d", DType::F16, 1);
  E low = nibble(b.at(ql, k / 128 * 64 + k % 64), k / 64 % 2), high = bits(b.at(qh, k / 128 * 32 + k % 32), k / 32 % 4 * 2, 2);
  return b.done(b.at(d, 0) * b.at(sc, k / 16) * ((low | (high << 4)) - 32));
}
inline ir::FormatType iq4_nl() {
  Builder b("iq4_nl", 32);
  int d = b.field("d", DType::F16, 1), qs = b.field("qs", DType::U8, 16);
  E q = table({-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}, nibble(b.at(qs, k % 16), k / 16));
  return b.done(b.at(d, 0) * q);
}
inline ir::FormatType mxfp4() {
  Builder b("mxfp4", 32);
  int e = b.field("e", DType::U8, 1), qs = b.field("qs", DType::U8, 16);
  E x = b.at(e, 0);
  E word = select(less(x, 2), E(0x00200000) << x, (x - 1) << 23);
  E half{ir::make_bitcast(word.p, DType::F32)};
  return b.done(half * table({0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}, nibble(b.at(qs, k % 16), k / 16)));
}
// A user's: 3-bit codes in blocks of 64, an f16 scale for each 16, one f16 minimum.
inline ir::FormatType three_bit() {
  Builder b("three_bit", 64);
  int m = b.field("m", DType::F16, 1), d = b.field("d", DType::F16, 4), low = b.field("low", DType::U8, 16),
      high = b.field("high", DType::U8, 8);
  E code = bits(b.at(low, k % 16), k / 16 * 2, 2) | (bits(b.at(high, k / 8), k % 8, 1) << 2);
  return b.done(b.at(d, k / 16) * code + b.at(m, 0));
}
// A user's: 6-bit codes as one little-endian stream, 4 codes in 3 bytes, with integer sub-scales 2s + 1 of 16 elements.
inline ir::FormatType six_bit() {
  Builder b("six_bit", 64);
  int d = b.field("d", DType::BF16, 1), s = b.field("s", DType::U8, 2), q = b.field("q", DType::U8, 49);  // one byte of slack
  E word = b.at(q, k * 6 / 8) | (b.at(q, k * 6 / 8 + 1) << 8);
  return b.done(b.at(d, 0) * ((E(2) * nibble(b.at(s, k / 32), k / 16 % 2) + 1) * (bits(word, k * 6 % 8, 6) - 31)));
}

}  // namespace lumen::formats::testing
