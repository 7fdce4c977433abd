// The evaluator: values worked out by hand, and what it must refuse.
#include "compiler/loops/eval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "compiler/loops/builder.h"

namespace lumen::loops {
namespace {

// The i32 that one op of up to three i32 constants gives.
int32_t value(LOp op, std::vector<int64_t> operands, int64_t imm = 0) {
  Builder b("one");
  int out = b.buffer("out", BufferKind::Output);
  std::vector<Reg> r;
  for (int64_t v : operands) r.push_back(b.i32(v, 1));
  Reg d = b.reg(Ty::I32, 1);
  r.resize(3);
  if (operands.size() == 1) b.set_op(d, op, {r[0]}, imm);
  if (operands.size() == 2) b.set_op(d, op, {r[0], r[1]}, imm);
  if (operands.size() == 3) b.set_op(d, op, {r[0], r[1], r[2]}, imm);
  b.store(d, DType::I32, {out});
  int32_t result = 0;
  EvalBuffer view{reinterpret_cast<uint8_t*>(&result), 4};
  Status s = eval(b.kernel(), {&view, 1}, {}, 0, 1);
  EXPECT_TRUE(s) << s.error().message;
  return result;
}

TEST(Eval, PackedIntegers) {
  EXPECT_EQ(value(LOp::MaddUBS, {0x01020304, 0x01FF02FE}), (-2 + 1) * 65536 + (4 * -2 + 3 * 2 + 65536));
  EXPECT_EQ(value(LOp::MaddUBS, {-1, 0x7F7F8080}), 0x7FFF8000);  // 255 * 127 * 2 and 255 * -128 * 2 saturate
  EXPECT_EQ(value(LOp::MaddWD, {0x00030002, static_cast<int64_t>(0xFFFF0005)}), 10 - 3);
  EXPECT_EQ(value(LOp::Dot4, {100, 0x010203FF, 0x01010180}), 100 + 1 + 2 + 3 - 255 * 128);
  EXPECT_EQ(value(LOp::AddI16, {0x7FFFFFFF, 0x00010001}), static_cast<int32_t>(0x80000000));
  EXPECT_EQ(value(LOp::DupHi16, {0x12345678}), 0x12341234);
  EXPECT_EQ(value(LOp::DupLo16, {0x12345678}), 0x56785678);
  EXPECT_EQ(value(LOp::Div, {-7, 2}), -4);
  EXPECT_EQ(value(LOp::Mod, {-7, 3}), 2);
  EXPECT_EQ(value(LOp::ShrS, {-8}, 1), -4);
  EXPECT_EQ(value(LOp::CmpLe, {3, 3}), -1);
}

TEST(Eval, LoopsAndTails) {
  Builder b("sum");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  Reg n = b.scalar("n"), acc = b.reg(Ty::F32, 8);
  b.set(acc, b.f32(0, 8));
  b.for_(b.i64(0), n, 8, [&](Reg i) { b.set(acc, b.add(acc, b.load(Ty::F32, 8, DType::F32, {in, b.mul_imm(i, 4)}, b.sub(n, i)))); });
  b.store(b.op(LOp::HAdd, {acc}), DType::F32, {out});
  float x[11], y = 0;
  for (int i = 0; i < 11; ++i) x[i] = static_cast<float>(i);
  EvalBuffer views[] = {{reinterpret_cast<uint8_t*>(x), sizeof x}, {reinterpret_cast<uint8_t*>(&y), 4}};
  int64_t count = 11;
  ASSERT_TRUE(eval(b.kernel(), views, {&count, 1}, 0, 1));
  EXPECT_EQ(y, 55);
  count = 12;  // one more than there is
  Status s = eval(b.kernel(), views, {&count, 1}, 0, 1);
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().message.find("access to bytes 32 .. 48 of a buffer of 44"), std::string::npos) << s.error().message;
}

TEST(Eval, Refuses) {
  Builder b("bad");
  int out = b.buffer("out", BufferKind::Output);
  b.store(b.op(LOp::Div, {b.i64(1), b.begin()}), DType::I64, {out});
  uint8_t memory[8] = {};
  EvalBuffer view{memory, 8};
  Status s = eval(b.kernel(), {&view, 1}, {}, 0, 1);
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().message.find("division by 0"), std::string::npos);
  EXPECT_TRUE(eval(b.kernel(), {&view, 1}, {}, 1, 2));
  EXPECT_FALSE(eval(b.kernel(), {}, {}, 1, 2));
  int64_t extra = 0;
  EXPECT_FALSE(eval(b.kernel(), {&view, 1}, {&extra, 1}, 1, 2));
  Builder before("before");
  out = before.buffer("out", BufferKind::Output);
  before.store(before.i64(1), DType::I64, {out, {}, {}, -1});
  EXPECT_FALSE(eval(before.kernel(), {&view, 1}, {}, 0, 1));
}

}  // namespace
}  // namespace lumen::loops
