// Every scalar operation and memory access of the loop IR on a WebGPU device against loops::eval on the same kernel.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "backend/webgpu/device_test.h"
#include "compiler/loops/builder.h"
#include "compiler/loops/eval.h"

namespace lumen {
namespace {
using loops::BufferKind;
using loops::Builder;
using loops::LOp;
using loops::Reg;
using loops::Ty;

constexpr int kItems = 200;

Result<std::unique_ptr<Target>>& device() {
  static Result<std::unique_ptr<Target>> t = make_test_device();
  return t;
}
#define NEEDS_DEVICE() \
  if (!device()) GTEST_SKIP() << device().error().message

// Runs `k` (buffers: one input, one output) on both; the outputs.
struct Both {
  std::vector<uint8_t> want, got;
};
void run(const loops::Kernel& k, const std::vector<uint8_t>& input, size_t output_bytes, Both& out) {
  Target& t = **device();
  auto code = t.compile(k);
  ASSERT_TRUE(code) << code.error().message;
  auto in = t.allocate(static_cast<int64_t>(input.size())), result = t.allocate(static_cast<int64_t>(output_bytes));
  ASSERT_TRUE(in && result);
  out.want.assign(output_bytes, 0x5A);
  out.got = out.want;
  ASSERT_TRUE(t.upload(**in, 0, input));
  ASSERT_TRUE(t.upload(**result, 0, out.got));
  BufferArg args[] = {{in->get()}, {result->get()}};
  ASSERT_TRUE(t.launch(**code, args, {}, kItems));
  ASSERT_TRUE(t.download(**result, 0, out.got));
  std::vector<uint8_t> copy = input;
  loops::EvalBuffer buffers[] = {{copy.data(), static_cast<int64_t>(copy.size())}, {out.want.data(), static_cast<int64_t>(output_bytes)}};
  auto status = loops::eval(k, buffers, {}, 0, kItems);
  ASSERT_TRUE(status) << status.error().message;
}

std::vector<uint8_t> random_words(int n, uint32_t seed, bool floats) {
  std::mt19937 rng(seed);
  std::vector<uint8_t> out(static_cast<size_t>(n) * 4);
  for (int i = 0; i < n; ++i) {
    uint32_t word = rng();
    if (floats) word = std::bit_cast<uint32_t>(std::uniform_real_distribution<float>(-9, 9)(rng));
    std::memcpy(&out[static_cast<size_t>(i) * 4], &word, 4);
  }
  return out;
}

// One kernel for a list of operations: item i reads words 3 i .. 3 i + 2, result j goes to word j * items + i.
using Op = std::function<Reg(Builder&, Reg, Reg, Reg)>;
loops::Kernel kernel_of(Ty type, const std::vector<Op>& ops) {
  Builder b("ops");
  int in = b.buffer("x", BufferKind::Input), out = b.buffer("y", BufferKind::Output);
  DType memory = type == Ty::F32 ? DType::F32 : DType::I32;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg at = b.mul_imm(i, 12), to = b.mul_imm(i, 4), x[3];
    for (int j = 0; j < 3; ++j) x[j] = b.load(type, 1, memory, {in, at, {}, 4 * j});
    for (size_t j = 0; j < ops.size(); ++j) {
      Reg r = ops[j](b, x[0], x[1], x[2]);
      b.store(r, b.type(r) == Ty::F32 ? DType::F32 : DType::I32, {out, to, {}, static_cast<int64_t>(j) * kItems * 4});
    }
  });
  return b.take();
}

TEST(WebGpuOps, Integers) {
  NEEDS_DEVICE();
  std::vector<Op> ops;
  for (LOp op : {LOp::Add, LOp::Sub, LOp::Mul, LOp::Min, LOp::Max, LOp::And, LOp::Or, LOp::Xor, LOp::AndNot, LOp::CmpEq, LOp::CmpLt,
                 LOp::CmpLe, LOp::AddI16, LOp::MaddUBS, LOp::MaddWD})
    ops.push_back([op](Builder& b, Reg x, Reg y, Reg) { return b.op(op, {x, y}); });
  for (LOp op : {LOp::Neg, LOp::Abs, LOp::DupLo16, LOp::DupHi16})
    ops.push_back([op](Builder& b, Reg x, Reg, Reg) { return b.op(op, {x}); });
  for (LOp op : {LOp::Shl, LOp::ShrS, LOp::ShrU}) {
    for (int by : {0, 7, 31}) ops.push_back([op, by](Builder& b, Reg x, Reg, Reg) { return b.op(op, {x}, by); });
  }
  for (LOp op : {LOp::ShlV, LOp::ShrSV, LOp::ShrUV})
    ops.push_back([op](Builder& b, Reg x, Reg y, Reg) { return b.op(op, {x, b.op(LOp::And, {y, b.i32(31, 1)})}); });
  for (LOp op : {LOp::Div, LOp::Mod})
    ops.push_back([op](Builder& b, Reg x, Reg y, Reg) { return b.op(op, {x, b.op(LOp::Or, {b.op(LOp::ShrU, {y}, 18), b.i32(1, 1)})}); });
  ops.push_back([](Builder& b, Reg x, Reg y, Reg z) { return b.op(LOp::Dot4, {x, y, z}); });
  ops.push_back([](Builder& b, Reg x, Reg y, Reg z) { return b.op(LOp::Select, {b.op(LOp::CmpLt, {x, y}), y, z}); });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) {
    std::vector<uint8_t> table;
    for (int i = 0; i < 16; ++i) table.push_back(static_cast<uint8_t>(200 - 13 * i));
    return b.lut16(b.op(LOp::And, {x, b.i32(0x0F0F0F0F, 1)}), table);
  });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) { return b.op(LOp::CvtF, {x}); });
  ops.push_back([](Builder& b, Reg x, Reg y, Reg) {  // I64: floor division of negative numbers, comparison, choice
    Reg wide = b.op(LOp::ToI64, {b.op(LOp::ShrS, {x}, 4)}), other = b.op(LOp::ToI64, {b.op(LOp::ShrS, {y}, 4)});
    Reg q = b.op(LOp::Div, {wide, b.i64(7)}), r = b.op(LOp::Mod, {other, b.i64(7)});
    return b.op(LOp::ToI32, {b.op(LOp::Select, {b.op(LOp::CmpLt, {q, other}), b.add(q, r), b.sub(r, q)})});
  });
  ops.push_back([](Builder& b, Reg, Reg, Reg) {  // constants alone that overflow
    return b.op(LOp::Add, {b.i32(INT32_MAX, 1), b.i32(1, 1)});
  });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) { return b.op(LOp::Xor, {x, b.i32(INT32_MIN, 1)}); });
  Both r;
  run(kernel_of(Ty::I32, ops), random_words(3 * kItems, 1, false), ops.size() * kItems * 4, r);
  for (size_t j = 0; j < ops.size(); ++j)
    for (size_t i = 0; i < kItems; ++i)
      ASSERT_EQ(std::memcmp(&r.want[(j * kItems + i) * 4], &r.got[(j * kItems + i) * 4], 4), 0) << "operation " << j << " of item " << i;
}

TEST(WebGpuOps, Floats) {
  NEEDS_DEVICE();
  std::vector<Op> ops;
  for (LOp op : {LOp::Add, LOp::Sub, LOp::Mul, LOp::Min, LOp::Max, LOp::Div, LOp::CmpEq, LOp::CmpLt, LOp::CmpLe})
    ops.push_back([op](Builder& b, Reg x, Reg y, Reg) { return b.op(op, {x, y}); });
  for (LOp op :
       {LOp::Neg, LOp::Abs, LOp::Floor, LOp::Round, LOp::Rcp, LOp::Exp, LOp::Sin, LOp::Cos, LOp::Tanh, LOp::CvtI, LOp::TruncI, LOp::BitsI})
    ops.push_back([op](Builder& b, Reg x, Reg, Reg) { return b.op(op, {x}); });
  for (LOp op : {LOp::Sqrt, LOp::Log}) ops.push_back([op](Builder& b, Reg x, Reg, Reg) { return b.op(op, {b.op(LOp::Abs, {x})}); });
  for (LOp op : {LOp::Sin, LOp::Cos})  // as far as positions go
    ops.push_back([op](Builder& b, Reg x, Reg, Reg) { return b.op(op, {b.mul(x, b.f32(12345, 1))}); });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) { return b.op(LOp::Tanh, {b.mul(x, b.f32(1e-3, 1))}); });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) { return b.op(LOp::Tanh, {b.mul(x, b.f32(1e4, 1))}); });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) { return b.op(LOp::Max, {b.f32(-__builtin_inf(), 1), x}); });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) { return b.op(LOp::Exp, {b.op(LOp::Min, {b.f32(-__builtin_inf(), 1), x})}); });
  ops.push_back([](Builder& b, Reg x, Reg y, Reg z) { return b.fma(x, y, z); });
  ops.push_back([](Builder& b, Reg x, Reg, Reg) {  // ties: halves of integers
    return b.op(LOp::CvtI, {b.mul(b.op(LOp::Round, {x}), b.f32(0.5, 1))});
  });
  Both r;
  loops::Kernel k = kernel_of(Ty::F32, ops);
  run(k, random_words(3 * kItems, 2, true), ops.size() * kItems * 4, r);
  for (size_t j = 0; j < ops.size(); ++j)
    for (size_t i = 0; i < kItems; ++i) {
      uint32_t a, b;
      std::memcpy(&a, &r.want[(j * kItems + i) * 4], 4);
      std::memcpy(&b, &r.got[(j * kItems + i) * 4], 4);
      if (a == b) continue;
      float x = std::bit_cast<float>(a), y = std::bit_cast<float>(b);
      ASSERT_NEAR(x, y, 4e-6 * std::abs(x) + 2e-6) << "operation " << j << " of item " << i;
    }
}

// Bytes between the elements of item i: every alignment.
TEST(WebGpuOps, MemoryOfEveryTypeAtEveryAlignment) {
  NEEDS_DEVICE();
  for (int stride : {4, 6, 7})
    for (DType d : {DType::U8, DType::I8, DType::U16, DType::I16, DType::I32, DType::F16, DType::BF16, DType::F32}) {
      if (size_of(d) > stride) continue;
      Builder b("memory");
      int in = b.buffer("x", BufferKind::Input), out = b.buffer("y", BufferKind::Output);
      b.for_(b.begin(), b.end(), 1, [&](Reg i) {
        Reg at = b.mul_imm(i, stride);
        Ty t = is_float(d) ? Ty::F32 : Ty::I32;
        Reg x = b.load(t, 1, d, {in, at, {}, 0});
        if (t == Ty::F32) x = b.mul(x, b.f32(1.37, 1));
        b.store(x, d, {out, at, {}, 0});
      });
      std::vector<uint8_t> input = random_words(stride * kItems / 4 + 4, 3, false);
      std::mt19937 rng(4);
      for (int i = 0; is_float(d) && i < kItems; ++i) {  // finite, of all sizes that halves have
        float f = std::ldexp(std::uniform_real_distribution<float>(-1, 1)(rng), static_cast<int>(rng() % 34) - 18);
        uint16_t h = d == DType::F16 ? float_to_half(f) : float_to_bfloat(f);
        std::memcpy(&input[static_cast<size_t>(i * stride)], d == DType::F32 ? static_cast<const void*>(&f) : &h,
                    static_cast<size_t>(size_of(d)));
      }
      Both r;
      run(b.take(), input, input.size(), r);
      if (HasFatalFailure()) return;
      ASSERT_EQ(r.want, r.got) << name(d) << " every " << stride << " bytes";
    }
}

TEST(WebGpuOps, PairsCountsLoopsAndScratch) {
  NEEDS_DEVICE();
  Builder b("control");
  int in = b.buffer("x", BufferKind::Input), out = b.buffer("y", BufferKind::Output), own = b.buffer("s", BufferKind::Scratch, 100);
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg at = b.mul_imm(i, 3);
    b.store(b.load_pair(1, DType::I8, {in, at, {}, 1}), DType::I32, {out, b.mul_imm(i, 16), {}, 0});
    b.store(b.load_pair(1, DType::U8, {in, at, {}, 0}), DType::I32, {out, b.mul_imm(i, 16), {}, 4});
    Reg part = b.op(LOp::Mod, {i, b.i64(2)});  // 0 or 1 lanes
    b.store(b.load(Ty::I32, 1, DType::U8, {in, at, {}, 0}, part), DType::I32, {out, b.mul_imm(i, 16), {}, 8});
    b.store(b.i32(9, 1), DType::I16, {out, b.mul_imm(i, 16), {}, 12}, part);
    b.for_(0, 20, 1, [&](Reg j) { b.store(b.op(LOp::ToI32, {b.mul(i, j)}), DType::U8, {own, j, {}, 5}); });
    Reg left = b.reg(Ty::I64, 1), sum = b.reg(Ty::I32, 1);
    b.set(left, b.i64(20));
    b.set(sum, b.i32(0, 1));
    b.while_(left, [&] {
      b.set_op(left, LOp::Sub, {left, b.i64(1)});
      b.if_(
          b.op(LOp::And, {left, b.i64(1)}),
          [&] {
            b.set_op(sum, LOp::Add, {sum, b.load(Ty::I32, 1, DType::U8, {own, left, {}, 5})});
          },
          [&] {
            b.set_op(sum, LOp::Xor, {sum, b.load(Ty::I32, 1, DType::U8, {own, left, {}, 5})});
          });
    });
    b.store(sum, DType::U16, {out, b.mul_imm(i, 16), {}, 14});
  });
  Both r;
  run(b.take(), random_words(kItems, 5, false), kItems * 16, r);
  ASSERT_EQ(r.want, r.got);
}

}  // namespace
}  // namespace lumen
