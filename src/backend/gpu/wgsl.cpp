// WGSL (W3C, 2024). Memory is arrays of 32-bit words; narrower elements are cut out of them, and stored with atomics where two
// invocations may share a word. Sine and cosine are spelled out: WGSL promises them only up to 2^-11 within one turn.
#include "backend/gpu/dialect.h"

namespace lumen::gpu {
namespace {
using loops::LOp;
using loops::Ty;

std::vector<OpSpelling> operations() {
  return {
      {LOp::Mov, kAny, "$0"},
      {LOp::Splat, kAny, "$0"},
      {LOp::ToI32, kI64, "$0"},
      {LOp::ToI64, kI32, "$0"},
      {LOp::Add, kAny, "$0 + $1"},
      {LOp::Sub, kAny, "$0 - $1"},
      {LOp::Mul, kAny, "$0 * $1"},
      {LOp::Min, kAny, "min($0, $1)"},
      {LOp::Max, kAny, "max($0, $1)"},
      {LOp::Div, kF32, "$0 / $1"},
      {LOp::Div, kInt, "lm_div($0, $1)"},
      {LOp::Mod, kInt, "lm_mod($0, $1)"},
      {LOp::Neg, kI32 | kF32, "-$0"},
      {LOp::Abs, kI32 | kF32, "abs($0)"},
      {LOp::And, kInt, "$0 & $1"},
      {LOp::Or, kInt, "$0 | $1"},
      {LOp::Xor, kInt, "$0 ^ $1"},
      {LOp::AndNot, kI32, "$0 & ~$1"},
      {LOp::Shl, kInt, "$0 << $iu"},
      {LOp::ShrS, kInt, "$0 >> $iu"},
      {LOp::ShrU, kI32, "bitcast<i32>(bitcast<u32>($0) >> $iu)"},
      {LOp::ShlV, kI32, "$0 << bitcast<u32>($1)"},
      {LOp::ShrSV, kI32, "$0 >> bitcast<u32>($1)"},
      {LOp::ShrUV, kI32, "bitcast<i32>(bitcast<u32>($0) >> bitcast<u32>($1))"},
      {LOp::CmpEq, kI64, "select(0i, 1i, $0 == $1)"},
      {LOp::CmpLt, kI64, "select(0i, 1i, $0 < $1)"},
      {LOp::CmpLe, kI64, "select(0i, 1i, $0 <= $1)"},
      {LOp::CmpEq, kI32 | kF32, "select(0i, -1i, $0 == $1)"},
      {LOp::CmpLt, kI32 | kF32, "select(0i, -1i, $0 < $1)"},
      {LOp::CmpLe, kI32 | kF32, "select(0i, -1i, $0 <= $1)"},
      {LOp::Select, kInt, "select($2, $1, $0 != 0i)"},
      {LOp::Fma, kF32, "fma($0, $1, $2)"},
      {LOp::Sqrt, kF32, "sqrt($0)"},
      {LOp::Floor, kF32, "floor($0)"},
      {LOp::Round, kF32, "round($0)"},
      {LOp::Rcp, kF32, "1f / $0"},
      {LOp::Exp, kF32, "exp($0)"},
      {LOp::Log, kF32, "log($0)"},
      {LOp::Sin, kF32, "lm_sin($0)"},
      {LOp::Cos, kF32, "lm_cos($0)"},
      {LOp::Tanh, kF32, "lm_tanh($0)"},
      {LOp::CvtF, kI32, "f32($0)"},
      {LOp::CvtI, kF32, "i32(round($0))"},
      {LOp::TruncI, kF32, "i32($0)"},
      {LOp::BitsF, kI32, "bitcast<f32>($0)"},
      {LOp::BitsI, kF32, "bitcast<i32>($0)"},
      {LOp::AddI16, kI32, "lm_add_i16($0, $1)"},
      {LOp::MaddUBS, kI32, "lm_maddubs($0, $1)"},
      {LOp::MaddWD, kI32, "lm_maddwd($0, $1)"},
      {LOp::Dot4, kI32, "lm_dot4($0, $1, $2)"},
      {LOp::Lut16, kI32, "lm_lut16($0, $w0, $w1, $w2, $w3)"},
      {LOp::DupLo16, kI32, "($0 & 0xffffi) | ($0 << 16u)"},
      {LOp::DupHi16, kI32, "bitcast<i32>((bitcast<u32>($0) >> 16u) | (bitcast<u32>($0) & 0xffff0000u))"},
      {LOp::HAdd, kI32 | kF32, "$0"},
      {LOp::HMax, kI32 | kF32, "$0"},
      {LOp::Lane, kI32 | kF32, "$0"},
  };
}

std::vector<Conversion> conversions() {
  std::vector<Conversion> all;
  for (Ty t : {Ty::I64, Ty::I32}) {
    all.push_back({t, DType::Bool, "bitcast<i32>($x)", "bitcast<u32>($0)"});
    all.push_back({t, DType::U8, "bitcast<i32>($x)", "bitcast<u32>($0)"});
    all.push_back({t, DType::I8, "(bitcast<i32>($x << 24u) >> 24u)", "bitcast<u32>($0)"});
    all.push_back({t, DType::U16, "bitcast<i32>($x)", "bitcast<u32>($0)"});
    all.push_back({t, DType::I16, "(bitcast<i32>($x << 16u) >> 16u)", "bitcast<u32>($0)"});
    all.push_back({t, DType::I32, "bitcast<i32>($x)", "bitcast<u32>($0)"});
  }
  all.push_back({Ty::I32, DType::U32, "bitcast<i32>($x)", "bitcast<u32>($0)"});
  all.push_back({Ty::F32, DType::F32, "bitcast<f32>($x)", "bitcast<u32>($0)"});
  all.push_back({Ty::F32, DType::F16, "unpack2x16float($x).x", "lm_half($0)"});
  all.push_back({Ty::F32, DType::BF16, "bitcast<f32>($x << 16u)", "lm_bfloat($0)"});
  all.push_back({Ty::F32, DType::Bool, "f32($x)", ""});
  all.push_back({Ty::F32, DType::U8, "f32($x)", ""});
  all.push_back({Ty::F32, DType::I8, "f32(bitcast<i32>($x << 24u) >> 24u)", ""});
  all.push_back({Ty::F32, DType::U16, "f32($x)", ""});
  all.push_back({Ty::F32, DType::I16, "f32(bitcast<i32>($x << 16u) >> 16u)", ""});
  all.push_back({Ty::F32, DType::I32, "f32(bitcast<i32>($x))", ""});
  return all;
}

// Byte products, halves and tables of the loop IR's packed operations; see the table in loop_ir.h.
std::vector<Helper> prelude() {
  return {
      {"lm_div", "fn lm_div(a: i32, b: i32) -> i32 { let q = a / b; return select(q, q - 1i, q * b > a); }\n"},
      {"lm_mod", "fn lm_mod(a: i32, b: i32) -> i32 { let r = a % b; return select(r, r + b, r < 0i); }\n"},
      {"lm_s8", "fn lm_s8(a: i32, n: u32) -> i32 { return (a << (24u - n)) >> 24u; }\n"},
      {"lm_u8", "fn lm_u8(a: i32, n: u32) -> i32 { return (a >> n) & 255i; }\n"},
      {"lm_add_i16", "fn lm_add_i16(a: i32, b: i32) -> i32 { return ((a + b) & 0xffffi) | (((a >> 16u) + (b >> 16u)) << 16u); }\n"},
      {"lm_maddubs",
       "fn lm_maddubs(a: i32, b: i32) -> i32 {\n"
       "  let lo = clamp(lm_u8(a, 0u) * lm_s8(b, 0u) + lm_u8(a, 8u) * lm_s8(b, 8u), -32768i, 32767i);\n"
       "  let hi = clamp(lm_u8(a, 16u) * lm_s8(b, 16u) + lm_u8(a, 24u) * lm_s8(b, 24u), -32768i, 32767i);\n"
       "  return (lo & 0xffffi) | (hi << 16u);\n"
       "}\n"},
      {"lm_maddwd",
       "fn lm_maddwd(a: i32, b: i32) -> i32 { return ((a << 16u) >> 16u) * ((b << 16u) >> 16u) + (a >> 16u) * (b >> 16u); }\n"},
      {"lm_dot4",
       "fn lm_dot4(a: i32, b: i32, c: i32) -> i32 {\n"
       "  return a + lm_u8(b, 0u) * lm_s8(c, 0u) + lm_u8(b, 8u) * lm_s8(c, 8u) + lm_u8(b, 16u) * lm_s8(c, 16u) + lm_u8(b, 24u) * lm_s8(c, "
       "24u);\n"
       "}\n"},
      {"lm_lut1",
       "fn lm_lut1(n: u32, w0: u32, w1: u32, w2: u32, w3: u32) -> u32 {\n"
       "  let low = select(w0, w1, (n & 4u) != 0u);\n"
       "  let high = select(w2, w3, (n & 4u) != 0u);\n"
       "  return (select(low, high, (n & 8u) != 0u) >> ((n & 3u) * 8u)) & 255u;\n"
       "}\n"},
      {"lm_lut16",
       "fn lm_lut16(a: i32, w0: u32, w1: u32, w2: u32, w3: u32) -> i32 {\n"
       "  let n = bitcast<u32>(a);\n"
       "  return bitcast<i32>(lm_lut1(n, w0, w1, w2, w3) | (lm_lut1(n >> 8u, w0, w1, w2, w3) << 8u) | (lm_lut1(n >> 16u, w0, w1, w2, w3) "
       "<< 16u) |\n"
       "                      (lm_lut1(n >> 24u, w0, w1, w2, w3) << 24u));\n"
       "}\n"},
      {"lm_pair_i8",
       "fn lm_pair_i8(x: u32) -> i32 { let a = bitcast<i32>(x); return (lm_s8(a, 0u) & 0xffffi) | (lm_s8(a, 8u) << 16u); }\n"},
      {"lm_half",
       "fn lm_half(x: f32) -> u32 {  // to nearest even; the builtin leaves the rounding to the device\n"
       "  let bits = bitcast<u32>(x);\n"
       "  let sign = (bits >> 16u) & 0x8000u;\n"
       "  let a = bits & 0x7fffffffu;\n"
       "  if (a >= 0x47800000u) { return sign | select(0x7c00u, 0x7e00u, a > 0x7f800000u); }\n"
       "  if (a < 0x38800000u) { return sign | (bitcast<u32>(bitcast<f32>(a) + 0.5f) - 0x3f000000u); }\n"
       "  let r = a - 0x38000000u;\n"
       "  return sign | ((r + 0xfffu + ((r >> 13u) & 1u)) >> 13u);\n"
       "}\n"},
      {"lm_bfloat",
       "fn lm_bfloat(x: f32) -> u32 {\n"
       "  let a = bitcast<u32>(x);\n"
       "  return select((a + 0x7fffu + ((a >> 16u) & 1u)) >> 16u, (a >> 16u) | 0x40u, (a & 0x7fffffffu) > 0x7f800000u);\n"
       "}\n"},
      // pi / 2 in pieces of 7 bits, so that multiples up to 2^17 are exact; polynomials for |r| <= pi / 4 (Cephes, sinf and cosf).
      {"lm_turn",
       "fn lm_turn(x: f32, n: f32) -> f32 {\n"
       "  return (((x - n * 1.5625f) - n * 0.0081787109375f) - n * 0.00011730194091796875f) - n * 3.1391647e-7f;\n"
       "}\n"},
      {"lm_wave",
       "fn lm_wave(r: f32, quarter: i32) -> f32 {\n"
       "  let s = r * r;\n"
       "  let sine = r + r * s * (-1.6666654611e-1f + s * (8.3321608736e-3f - s * 1.9515295891e-4f));\n"
       "  let cosine = 1f - 0.5f * s + s * s * (4.166664568298827e-2f + s * (-1.388731625493765e-3f + s * 2.443315711809948e-5f));\n"
       "  let v = select(sine, cosine, (quarter & 1i) != 0i);\n"
       "  return select(v, -v, (quarter & 2i) != 0i);\n"
       "}\n"},
      {"lm_sin", "fn lm_sin(x: f32) -> f32 { let n = round(x * 0.63661977f); return lm_wave(lm_turn(x, n), i32(n)); }\n"},
      {"lm_cos", "fn lm_cos(x: f32) -> f32 { let n = round(x * 0.63661977f); return lm_wave(lm_turn(x, n), i32(n) + 1i); }\n"},
      // The builtin may overflow inside for large arguments, and loses small ones.
      {"lm_tanh",
       "fn lm_tanh(x: f32) -> f32 {\n"
       "  if (abs(x) < 0.04f) { return x - x * x * x * (0.33333334f - x * x * 0.13333334f); }\n"
       "  return 1f - 2f / (exp(2f * clamp(x, -15f, 15f)) + 1f);\n"
       "}\n"},
  };
}

// Reading is the same for all flavours, on top of $b_word.
void add_reads(std::vector<Helper>& h) {
  h.push_back({"$b_u8_1", "fn $b_u8_1(at: u32) -> u32 { return ($b_word(at >> 2u) >> ((at & 3u) * 8u)) & 0xffu; }\n"});
  h.push_back({"$b_u16_2", "fn $b_u16_2(at: u32) -> u32 { return ($b_word(at >> 2u) >> ((at & 2u) * 8u)) & 0xffffu; }\n"});
  h.push_back({"$b_u16_1", "fn $b_u16_1(at: u32) -> u32 { return $b_u8_1(at) | ($b_u8_1(at + 1u) << 8u); }\n"});
  h.push_back({"$b_u32_4", "fn $b_u32_4(at: u32) -> u32 { return $b_word(at >> 2u); }\n"});
  h.push_back({"$b_u32_2",
               "fn $b_u32_2(at: u32) -> u32 {\n"
               "  let low = $b_word(at >> 2u);\n"
               "  if ((at & 2u) == 0u) { return low; }\n"
               "  return (low >> 16u) | ($b_word((at >> 2u) + 1u) << 16u);\n"
               "}\n"});
  h.push_back({"$b_u32_1",
               "fn $b_u32_1(at: u32) -> u32 {\n"
               "  let low = $b_word(at >> 2u);\n"
               "  let shift = (at & 3u) * 8u;\n"
               "  if (shift == 0u) { return low; }\n"
               "  return (low >> shift) | ($b_word((at >> 2u) + 1u) << (32u - shift));\n"
               "}\n"});
}

// Stores, on top of $b_put(word, mask, bits) and $b_put_word.
void add_writes(std::vector<Helper>& h) {
  h.push_back(
      {"$b_put_u8_1", "fn $b_put_u8_1(at: u32, x: u32) { let s = (at & 3u) * 8u; $b_put(at >> 2u, 0xffu << s, (x & 0xffu) << s); }\n"});
  h.push_back({"$b_put_u16_2",
               "fn $b_put_u16_2(at: u32, x: u32) { let s = (at & 2u) * 8u; $b_put(at >> 2u, 0xffffu << s, (x & 0xffffu) << s); }\n"});
  h.push_back({"$b_put_u16_1", "fn $b_put_u16_1(at: u32, x: u32) { $b_put_u8_1(at, x); $b_put_u8_1(at + 1u, x >> 8u); }\n"});
  h.push_back({"$b_put_u32_4", "fn $b_put_u32_4(at: u32, x: u32) { $b_put_word(at >> 2u, x); }\n"});
  h.push_back({"$b_put_u32_2", "fn $b_put_u32_2(at: u32, x: u32) { $b_put_u16_2(at, x); $b_put_u16_2(at + 2u, x >> 16u); }\n"});
  h.push_back({"$b_put_u32_1", "fn $b_put_u32_1(at: u32, x: u32) { $b_put_u16_1(at, x); $b_put_u16_1(at + 2u, x >> 16u); }\n"});
}

BufferSpelling plain() {
  BufferSpelling b;
  b.declare = "@group(0) @binding($n) var<storage, read_write> $b: array<u32>;  // $c\n";
  b.helpers.push_back({"$b_word", "fn $b_word(i: u32) -> u32 { return $b[i]; }\n"});
  b.helpers.push_back({"$b_put_word", "fn $b_put_word(i: u32, x: u32) { $b[i] = x; }\n"});
  add_reads(b.helpers);
  b.helpers.push_back({"$b_put_u32_4", "fn $b_put_u32_4(at: u32, x: u32) { $b_put_word(at >> 2u, x); }\n"});
  return b;
}

BufferSpelling shared() {
  BufferSpelling b;
  b.declare = "@group(0) @binding($n) var<storage, read_write> $b: array<atomic<u32>>;  // $c\n";
  b.helpers.push_back({"$b_word", "fn $b_word(i: u32) -> u32 { return atomicLoad(&$b[i]); }\n"});
  b.helpers.push_back({"$b_put_word", "fn $b_put_word(i: u32, x: u32) { atomicStore(&$b[i], x); }\n"});
  b.helpers.push_back({"$b_put", "fn $b_put(i: u32, mask: u32, x: u32) { atomicAnd(&$b[i], ~mask); atomicOr(&$b[i], x); }\n"});
  add_reads(b.helpers);
  add_writes(b.helpers);
  return b;
}

BufferSpelling scratch() {
  BufferSpelling b;
  b.declare = "@group(0) @binding($n) var<storage, read_write> $b: array<u32>;  // $c\nvar<private> $b_base: u32;\n";
  b.helpers.push_back({"$b_word", "fn $b_word(i: u32) -> u32 { return $b[$b_base + i]; }\n"});
  b.helpers.push_back({"$b_put_word", "fn $b_put_word(i: u32, x: u32) { $b[$b_base + i] = x; }\n"});
  b.helpers.push_back({"$b_put", "fn $b_put(i: u32, mask: u32, x: u32) { $b[$b_base + i] = ($b[$b_base + i] & ~mask) | x; }\n"});
  add_reads(b.helpers);
  add_writes(b.helpers);
  return b;
}

Dialect make() {
  Dialect d;
  d.name = "wgsl";
  d.ops = operations();
  d.conversions = conversions();
  d.prelude = prelude();
  d.plain = plain();
  d.shared = shared();
  d.scratch = scratch();
  d.integer = "i32";
  d.real = "f32";
  d.let = "let $0 = $1;";
  d.variable = "var $0: $t;";
  d.assign = "$0 = $1;";
  d.for_ = "for (var $0 = $1; $0 < $2; $0 += $ii) {";
  d.while_ = "while ($0 != 0i) {";
  d.if_ = "if ($0 != 0i) {";
  d.else_ = "} else {";
  d.int_literal = "$ni";
  d.negative_literal = "(-$ni)";
  d.least_int = "(-2147483647i - 1i)";
  d.float_literal = "$nf";
  d.infinity = "($nlm_infinity)";  // no constant expression may be infinite
  d.not_a_number = "(lm_infinity - lm_infinity)";
  d.address = "u32($0)";
  d.pair_i8 = "lm_pair_i8($x)";
  d.pair_u8 = "bitcast<i32>(($x & 255u) | (($x >> 8u) << 16u))";
  d.launch_open = "struct Launch {\n  first: i32,\n  count: i32,\n";
  d.launch_scalar = "  s$n: i32,  // $c\n";
  d.launch_close = "}\n@group(0) @binding($n) var<uniform> launch: Launch;\n";
  d.main_open =
      "var<private> lm_infinity: f32;\n"
      "@compute @workgroup_size(64)\n"
      "fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {\n"
      "  let slot = id.y * groups.x * 64u + id.x;\n"
      "  if (slot >= bitcast<u32>(launch.count)) { return; }\n"
      "  lm_infinity = bitcast<f32>(0x7f800000u | (bitcast<u32>(launch.count) & 0u));\n";
  d.main_scratch = "  $b_base = slot * $nu;\n";
  d.main_items = "  let $0 = launch.first + bitcast<i32>(slot);\n  let $1 = $0 + 1i;\n";
  d.main_scalar = "  let $0 = launch.s$n;\n";
  d.main_close = "}\n";
  return d;
}

}  // namespace

const Dialect& wgsl() {
  static const Dialect dialect = make();
  return dialect;
}

}  // namespace lumen::gpu
