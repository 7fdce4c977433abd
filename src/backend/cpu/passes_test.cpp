// Each pass over loop IR: what it makes of a small kernel, as text. That results stay the same is checked by kernel_check, which
// evaluates every tested kernel before and after all passes.
#include <gtest/gtest.h>

#include "backend/cpu/clean.h"
#include "backend/cpu/hoist.h"
#include "backend/cpu/ir_walk.h"
#include "backend/cpu/simplify.h"
#include "backend/cpu/split.h"
#include "backend/cpu/strengthen.h"
#include "backend/cpu/unroll.h"
#include "compiler/loops/builder.h"

namespace lumen::cpu {
namespace {

using namespace loops;

struct Kit : Builder {
  Kit() : Builder("k") {
    buffer("in", BufferKind::Input);
    buffer("out", BufferKind::Output);
  }
  Reg load8(Reg at, int64_t disp = 0) { return load(Ty::F32, 8, DType::F32, {0, at, {}, disp}); }
  void store8(Reg v, Reg at = {}, int64_t disp = 0) { store(v, DType::F32, {1, at, {}, disp}); }
};

std::string text(const Kernel& k) {  // the body alone
  EXPECT_EQ(verify(k), "");
  std::string t = print(k);
  return t.substr(t.find('\n') + 1);
}

int count(const std::string& in, const std::string& what) {
  int n = 0;
  for (size_t at = in.find(what); at != std::string::npos; at = in.find(what, at + 1)) ++n;
  return n;
}

TEST(Passes, SimplifyFoldsOffsetsIntoDisplacements) {
  Kit b;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg a = b.mul_imm(b.add_imm(i, 3), 144);  // %6
    Reg c = b.add_imm(b.mul_imm(i, 144), 8);  // %10
    Reg x = b.load8(a, 4), y = b.load8(c);
    Reg zero = b.sub(a, a);
    b.store8(b.add(x, y), zero, 1);
  });
  simplify(b.kernel());
  remove_dead(b.kernel());
  EXPECT_EQ(text(b.kernel()),
            "  %17:i64 = const 144\n"
            "  for %2 in %0.begin .. %1.end {\n"
            "    %18:i64 = mul %2, %17\n"
            "    %11:f32x8 = load f32 [in + %18 + 436]\n"
            "    %12:f32x8 = load f32 [in + %18 + 8]\n"
            "    %14:f32x8 = add %11, %12\n"
            "    store %14, f32 [out + 1]\n"
            "  }\n"
            "}\n");
}

TEST(Passes, SimplifyMergesWhatIsComputedTwiceInScope) {
  Kit b;
  Reg x = b.load8({});
  b.if_(b.begin(), [&] { b.store8(b.op(LOp::Neg, {x})); });
  b.store8(b.op(LOp::Neg, {x}), {}, 32);  // not available here: the branch may not have run
  b.store8(b.op(LOp::Neg, {x}), {}, 64);
  simplify(b.kernel());
  remove_dead(b.kernel());
  EXPECT_EQ(count(text(b.kernel()), "neg"), 2);
}

TEST(Passes, SimplifyLeavesRegistersWithSeveralAssignments) {
  Kit b;
  Reg s = b.reg(Ty::I64, 1);
  b.set(s, b.i64(5));
  Reg before = b.add_imm(s, 1);
  b.set(s, b.i64(7));
  b.store(b.add(before, b.add_imm(s, 1)), DType::I64, {1});
  simplify(b.kernel());
  remove_dead(b.kernel());
  EXPECT_EQ(count(text(b.kernel()), "mov"), 2) << text(b.kernel());
  EXPECT_EQ(count(text(b.kernel()), "add"), 3) << text(b.kernel());
}

TEST(Passes, SimplifyDecidesConstantControl) {
  Kit b;
  b.if_(b.op(LOp::CmpLt, {b.i64(1), b.i64(2)}), [&] { b.store8(b.f32(1, 8)); }, [&] { b.store8(b.f32(2, 8)); });
  b.for_(4, 4, 1, [&](Reg i) { b.store8(b.f32(3, 8), i); });
  b.while_(b.i64(0), [&] { b.store8(b.f32(4, 8)); });
  simplify(b.kernel());
  remove_dead(b.kernel());
  EXPECT_EQ(text(b.kernel()), "  %5:f32x8 = const 1\n  store %5, f32 [out]\n}\n");
}

TEST(Passes, UnrollCopiesAndCarries) {
  Kit b;
  Reg acc = b.reg(Ty::F32, 8);
  b.set(acc, b.f32(0, 8));
  b.for_(0, 3, 1, [&](Reg j) { b.set(acc, b.add(acc, b.load8(b.mul_imm(j, 32)))); });
  b.store8(acc);
  b.kernel().body[4].unroll_hint = true;
  ASSERT_EQ(b.kernel().body[4].kind, Stmt::For);
  unroll(b.kernel());
  split_registers(b.kernel());
  simplify(b.kernel());
  remove_dead(b.kernel());
  EXPECT_EQ(text(b.kernel()),
            "  %3:f32x8 = const 0\n"
            "  %11:f32x8 = load f32 [in]\n"
            "  %12:f32x8 = add %3, %11\n"
            "  %15:f32x8 = load f32 [in + 32]\n"
            "  %16:f32x8 = add %12, %15\n"
            "  %19:f32x8 = load f32 [in + 64]\n"
            "  %20:f32x8 = add %16, %19\n"
            "  store %20, f32 [out]\n"
            "}\n");
}

TEST(Passes, UnrollKeepsLongLoops) {
  Kit b;
  b.for_(0, 17, 1, [&](Reg j) { b.store8(b.f32(0, 8), b.mul_imm(j, 32)); });
  b.kernel().body[2].unroll_hint = true;
  unroll(b.kernel());
  EXPECT_EQ(count(text(b.kernel()), "for "), 1);
}

TEST(Passes, SplitLeavesWhatALoopCarries) {
  Kit b;
  Reg acc = b.reg(Ty::F32, 8);
  b.set(acc, b.f32(0, 8));
  b.for_(b.begin(), b.end(), 1, [&](Reg i) { b.set(acc, b.add(acc, b.load8(i))); });
  b.store8(acc);
  std::string before = text(b.kernel());
  split_registers(b.kernel());
  EXPECT_EQ(text(b.kernel()), before);
}

TEST(Passes, HoistMovesInvariantsOutOfAllLoops) {
  Kit b;
  Reg n = b.scalar("n");
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    b.for_(b.i64(0), n, 1, [&](Reg j) {
      Reg far = b.mul(n, n), row = b.mul(i, n), risky = b.op(LOp::Div, {i, n});
      b.store(b.add(b.add(far, row), b.add(risky, j)), DType::I64, {1});
    });
  });
  hoist(b.kernel());
  std::string t = text(b.kernel());
  EXPECT_LT(t.find("mul %2.n, %2.n"), t.find("for %3"));
  EXPECT_GT(t.find("mul %3, %2.n"), t.find("for %3"));
  EXPECT_LT(t.find("mul %3, %2.n"), t.find("for %5"));
  EXPECT_GT(t.find("div"), t.find("for %5"));  // n may be 0 where the loop does not run
}

TEST(Passes, StrengthenCountsOffsetsUp) {
  Kit b;
  Reg row = b.scalar("row");
  b.for_(b.begin(), b.end(), 2, [&](Reg i) { b.store8(b.load8(b.add(row, b.mul_imm(i, 144))), b.mul_imm(i, 4)); });
  simplify(b.kernel());
  remove_dead(b.kernel());
  strengthen(b.kernel());
  remove_dead(b.kernel());
  std::string t = text(b.kernel());
  EXPECT_NE(t.find("const 288\n"), std::string::npos) << t;
  EXPECT_EQ(count(t.substr(t.find("for ")), "mul"), 0) << t;
  EXPECT_EQ(count(t, "shl %3, 2"), 1) << t;  // the address multiplies by 4 itself
}

TEST(Passes, RemoveDeadDropsLoadsAndEmptyLoops) {
  Kit b;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) { b.op(LOp::Neg, {b.load8(i)}); });
  remove_dead(b.kernel());
  EXPECT_EQ(text(b.kernel()), "}\n");
}

TEST(Passes, MergeSplatsMakesALoadOfIt) {
  Kit b;
  Reg x = b.load(Ty::F32, 1, DType::F32, {0});
  b.store8(b.splat(x, 8));
  merge_splats(b.kernel());
  EXPECT_EQ(text(b.kernel()), "  %3:f32x8 = load_splat f32 [in]\n  store %3, f32 [out]\n}\n");
}

TEST(Passes, CoalesceMovesOnlyWhereNobodyLooks) {
  Kit b;
  Reg acc = b.reg(Ty::F32, 8);
  b.set(acc, b.f32(0, 8));
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg next = b.add(acc, b.load8(i));
    b.store8(acc, i);  // the old value
    b.set(acc, next);
    b.set(acc, b.add(acc, acc));
  });
  b.store8(acc);
  coalesce_moves(b.kernel());
  EXPECT_EQ(count(text(b.kernel()), "mov"), 2) << text(b.kernel());  // the start, and the one past the store
}

}  // namespace
}  // namespace lumen::cpu
