// Printing, and each mistake that the verifier must find.
#include <gtest/gtest.h>

#include "compiler/loops/builder.h"

namespace lumen::loops {
namespace {

TEST(LoopIr, Prints) {
  Builder b("scale");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output), tmp = b.buffer("tmp", BufferKind::Scratch, 64);
  Reg n = b.scalar("N");
  b.kernel().items = {{1, "N", 8}, {3, "", 1}};
  b.kernel().grain = 4;
  b.for_(b.begin(), b.end(), 2, [&](Reg i) {
    Reg at = b.mul_imm(i, 32);
    Reg x = b.load(Ty::F32, 8, DType::F16, {in, at, {}, -16}, n);
    b.store(b.mul(x, b.f32(0.5, 8)), DType::F32, {out, at, n, 4});
    b.if_(b.op(LOp::CmpLt, {i, n}), [&] { b.prefetch({tmp}); }, [&] { b.comment("nothing"); });
  });
  EXPECT_EQ(verify(b.kernel()), "");
  EXPECT_EQ(print(b.kernel()),
            "kernel scale(in in, out out, scratch tmp[64]; N=%2.N) items %0.begin .. %1.end of ceil(N / 8) * 3, grain 4 {\n"
            "  for %3 in %0.begin .. %1.end step 2 {\n"
            "    %4:i64 = shl %3, 5\n"
            "    %5:f32x8 = load f16 [in + %4 - 16] count %2.N\n"
            "    %6:f32x8 = const 0.5\n"
            "    %7:f32x8 = mul %5, %6\n"
            "    store %7, f32 [out + %4 + %2.N + 4]\n"
            "    %8:i64 = lt %3, %2.N\n"
            "    if %8 {\n"
            "      prefetch [tmp]\n"
            "    } else {\n"
            "      # nothing\n"
            "    }\n"
            "  }\n"
            "}\n");
}

TEST(LoopIr, EveryOpHasANameAndACount) {
  int n = 0;
#define X(id, text, count)                   \
  EXPECT_EQ(name(LOp::id), text);            \
  EXPECT_EQ(operand_count(LOp::id), count); \
  ++n;
  LUMEN_LOOP_OPS(X)
#undef X
  EXPECT_GT(n, 50);
}

// A kernel that is wrong in one way; the message says which.
void wrong(const std::string& expected, const std::function<void(Builder&)>& write) {
  Builder b("w");
  b.buffer("in", BufferKind::Input);
  b.buffer("out", BufferKind::Output);
  write(b);
  std::string message = verify(b.kernel());
  EXPECT_NE(message.find(expected), std::string::npos) << "expected: " << expected << "\ngot: " << message << "\n" << print(b.kernel());
}

TEST(LoopIr, VerifierFinds) {
  wrong("read before it is assigned", [](Builder& b) { b.op(LOp::Neg, {b.reg(Ty::F32, 8)}); });
  wrong("read before it is assigned", [](Builder& b) {
    Reg r = b.reg(Ty::I64, 1);
    b.for_(b.begin(), b.end(), 1, [&](Reg) { b.set(r, b.i64(1)); });
    b.add_imm(r, 1);
  });
  wrong("read before it is assigned", [](Builder& b) {
    Reg r = b.reg(Ty::I64, 1);
    b.if_(b.begin(), [&] { b.set(r, b.i64(1)); });
    b.add_imm(r, 1);
  });
  wrong("operands and result of one type", [](Builder& b) { b.add(b.f32(1, 8), b.f32(1, 4)); });
  wrong("operands and result of one type", [](Builder& b) { b.add(b.f32(1, 8), b.i32(1, 8)); });
  wrong("several lanes", [](Builder& b) { b.reg(Ty::I64, 8); });
  wrong("power of two", [](Builder& b) { b.reg(Ty::F32, 3); });
  wrong("f32, i64 or i32x1", [](Builder& b) { b.op(LOp::Div, {b.i32(1, 8), b.i32(1, 8)}); });
  wrong("f32 operands", [](Builder& b) { b.op(LOp::Fma, {b.i32(1, 8), b.i32(1, 8), b.i32(1, 8)}); });
  wrong("a lane that exists", [](Builder& b) { b.op(LOp::Lane, {b.f32(1, 8)}, 8); });
  wrong("count below its width", [](Builder& b) { b.op(LOp::Shl, {b.i32(1, 8)}, 32); });
  wrong("stores to input", [](Builder& b) { b.store(b.f32(1, 8), DType::F32, {0}); });
  wrong("unknown buffer", [](Builder& b) { b.store(b.f32(1, 8), DType::F32, {2}); });
  wrong("memory type", [](Builder& b) { b.store(b.f32(1, 8), DType::I8, {1}); });
  wrong("memory type", [](Builder& b) { b.load(Ty::I32, 8, DType::F16, {0}); });
  wrong("i8 or u8 memory", [](Builder& b) { b.load_pair(8, DType::I16, {0}); });
  wrong("not i64", [](Builder& b) { b.load(Ty::F32, 8, DType::F32, {0, b.i32(0, 1)}); });
  wrong("must be positive", [](Builder& b) { b.for_(b.begin(), b.end(), 0, [](Reg) {}); });
  wrong("assigns its counter", [](Builder& b) { b.for_(b.begin(), b.end(), 1, [&](Reg i) { b.set(i, b.i64(0)); }); });
  wrong("condition is i64", [](Builder& b) { b.if_(b.i32(1, 1), [] {}); });
  wrong("16 table bytes", [](Builder& b) {
    Reg r = b.lut16(b.i32(0, 8), std::vector<uint8_t>(16));
    (void)r;
    b.kernel().body.back().table.pop_back();
  });
  wrong("only load and store take a count", [](Builder& b) {
    b.load_splat(Ty::F32, 8, DType::F32, {0});
    b.kernel().body.back().count = b.begin();
  });
  wrong("grain", [](Builder& b) { b.kernel().grain = 0; });
}

}  // namespace
}  // namespace lumen::loops
