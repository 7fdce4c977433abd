// Loops, branches, loop-carried registers, many live registers, scratch memory, launches and their refusals.
#include <gtest/gtest.h>

#include <numeric>

#include "backend/cpu/cpu_target.h"
#include "backend/cpu/kernel_check.h"

namespace lumen::cpu {
namespace {

using namespace loops;

void check_all(const CheckRun& run, int lanes = 8) {
  for (const std::string& level : levels())
    if (lanes <= target(level).machine().lanes) {
      EXPECT_EQ(check(run, level), "");
    }
}

Bytes floats(int n) {
  std::vector<float> v(static_cast<size_t>(n));
  std::iota(v.begin(), v.end(), 1.0f);
  return bytes_of(v);
}

TEST(Control, NestedLoopsWithBoundsFromScalars) {
  for (int64_t rows : {0, 1, 3})
    for (int64_t columns : {0, 1, 7, 20}) {
      Builder b("nested");
      int out = b.buffer("out", BufferKind::InOut);
      Reg r = b.scalar("rows"), c = b.scalar("columns");
      Reg total = b.reg(Ty::I64, 1);
      b.set(total, b.i64(0));
      b.for_(b.i64(0), r, 1, [&](Reg i) {
        b.for_(i, c, 3, [&](Reg j) { b.set(total, b.add(total, b.add(b.mul_imm(i, 100), j))); });
        b.store(total, DType::I64, {out, b.mul_imm(i, 8)});
      });
      b.store(total, DType::I64, {out, {}, {}, 80});
      check_all({b.take(), {Bytes(88)}, {rows, columns}, 1});
    }
}

TEST(Control, ConstantLoopsUnrolledOrNot) {
  for (bool unroll : {false, true})
    for (int64_t trips : {0, 1, 2, 7, 16, 17}) {
      Builder b("unrolled");
      int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
      Reg acc = b.reg(Ty::F32, 8, "acc");
      b.set(acc, b.f32(0, 8));
      b.for_(0, trips * 32, 32, [&](Reg j) {
        Reg x = b.load(Ty::F32, 8, DType::F32, {in, j});
        b.set(acc, b.fma(x, x, acc));
        b.for_(0, 2, 1, [&](Reg k) { b.set(acc, b.add(acc, b.op(LOp::CvtF, {b.splat(b.add(j, k), 8)}))); });
      });
      for (Stmt& s : b.kernel().body) s.unroll_hint = unroll;
      b.store(acc, DType::F32, {out});
      check_all({b.take(), {floats(17 * 8), Bytes(32)}, {}, 1});
    }
}

TEST(Control, WhileAndIf) {  // Collatz lengths
  Builder b("collatz");
  int out = b.buffer("out", BufferKind::Output);
  b.kernel().grain = 4;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg n = b.reg(Ty::I64, 1, "n"), steps = b.reg(Ty::I64, 1, "steps"), more = b.reg(Ty::I64, 1, "more");
    b.set(n, b.add_imm(i, 1));
    b.set(steps, b.i64(0));
    b.set(more, b.op(LOp::CmpLt, {b.i64(1), n}));
    b.while_(more, [&] {
      b.if_(b.op(LOp::CmpEq, {b.op(LOp::And, {n, b.i64(1)}), b.i64(0)}), [&] { b.set(n, b.op(LOp::ShrS, {n}, 1)); },
            [&] { b.set(n, b.add_imm(b.mul_imm(n, 3), 1)); });
      b.set(steps, b.add_imm(steps, 1));
      b.set(more, b.op(LOp::CmpLt, {b.i64(1), n}));
    });
    b.if_(b.op(LOp::CmpLt, {steps, b.i64(20)}), [&] { b.store(steps, DType::I32, {out, b.mul_imm(i, 4)}); });
  });
  check_all({b.take(), {Bytes(400, 0xEE)}, {}, 100}, 1);
}

TEST(Control, LoopBoundAssignedInTheBody) {
  Builder b("bound");
  int out = b.buffer("out", BufferKind::Output);
  Reg hi = b.reg(Ty::I64, 1), n = b.reg(Ty::I64, 1);
  b.set(hi, b.i64(5));
  b.set(n, b.i64(0));
  b.for_(b.i64(0), hi, 1, [&](Reg) {
    b.set(hi, b.i64(1));
    b.set(n, b.add_imm(n, 1));
  });
  b.store(n, DType::I64, {out});
  check_all({b.take(), {Bytes(8)}, {}, 1}, 1);
}

TEST(Control, SwapsThroughMoves) {  // moves must not be merged with what still reads the old value
  Builder b("fibonacci");
  int out = b.buffer("out", BufferKind::Output);
  Reg x = b.reg(Ty::I32, 8), y = b.reg(Ty::I32, 8);
  b.set(x, b.i32(0, 8));
  b.set(y, b.i32(1, 8));
  b.for_(0, 20, 1, [&](Reg) {
    Reg t = b.add(x, y);
    Reg old = b.reg(Ty::I32, 8);
    b.set(old, y);
    b.set(y, t);
    b.set(x, old);
  });
  b.store(x, DType::I32, {out});
  b.store(y, DType::I32, {out, {}, {}, 32});
  check_all({b.take(), {Bytes(64)}, {}, 1});
}

TEST(Control, ValueKeptAcrossAStore) {  // a load must not move past a store to the same place
  Builder b("order");
  int io = b.buffer("io", BufferKind::InOut);
  Reg x = b.load(Ty::F32, 8, DType::F32, {io});
  b.store(b.f32(5, 8), DType::F32, {io});
  b.store(b.add(b.f32(1, 8), x), DType::F32, {io, {}, {}, 32});
  Reg y = b.load(Ty::F32, 8, DType::F32, {io});
  b.store(b.mul(y, y), DType::F32, {io, {}, {}, 64});
  check_all({b.take(), {floats(24)}, {}, 1});
}

TEST(Control, AddressRegisterChangedAfterTheLoad) {
  Builder b("moved");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  Reg at = b.reg(Ty::I64, 1);
  b.set(at, b.i64(0));
  b.for_(0, 4, 1, [&](Reg i) {
    Reg x = b.load(Ty::F32, 8, DType::F32, {in, at});
    Reg was = b.add_imm(at, 8);
    b.set(at, b.add_imm(at, 32));
    Reg z = b.load(Ty::F32, 1, DType::F32, {in, was});
    b.store(b.add(b.splat(z, 8), x), DType::F32, {out, b.mul_imm(i, 32)});
  });
  check_all({b.take(), {floats(32), Bytes(128)}, {}, 1});
}

TEST(Control, FortyLiveVectors) {
  for (int lanes : {8, 16}) {
    Builder b("spill");
    int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
    std::vector<Reg> acc;
    for (int i = 0; i < 40; ++i) {
      acc.push_back(b.reg(Ty::F32, lanes));
      b.set(acc.back(), b.f32(i, lanes));
    }
    b.for_(0, 5, 1, [&](Reg j) {
      for (int i = 0; i < 40; ++i) {
        Reg x = b.load_splat(Ty::F32, lanes, DType::F32, {in, b.mul_imm(j, 4), {}, 4 * i});
        b.set(acc[static_cast<size_t>(i)], b.fma(x, acc[static_cast<size_t>((i + 1) % 40)], acc[static_cast<size_t>(i)]));
      }
    });
    for (int i = 0; i < 40; ++i) b.store(acc[static_cast<size_t>(i)], DType::F32, {out, {}, {}, i * lanes * 4});
    check_all({b.take(), {floats(64), Bytes(static_cast<size_t>(40 * lanes * 4))}, {}, 1}, lanes);
  }
}

TEST(Control, ManyBuffersAndScalars) {  // more general registers than there are
  Builder b("many");
  std::vector<int> in;
  for (int i = 0; i < 12; ++i) in.push_back(b.buffer("in" + std::to_string(i), BufferKind::Input));
  int out = b.buffer("out", BufferKind::Output);
  std::vector<Reg> s;
  for (int i = 0; i < 12; ++i) s.push_back(b.scalar("s" + std::to_string(i)));
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg sum = b.reg(Ty::F32, 8);
    b.set(sum, b.f32(0, 8));
    for (int n = 0; n < 12; ++n)
      b.set(sum, b.add(sum, b.load(Ty::F32, 8, DType::F32, {in[static_cast<size_t>(n)], b.mul(i, s[static_cast<size_t>(n)])})));
    b.store(sum, DType::F32, {out, b.mul_imm(i, 32)});
  });
  CheckRun run{b.take(), {}, {}, 6};
  for (int i = 0; i < 12; ++i) {
    run.buffers.push_back(floats(200));
    run.scalars.push_back(4 * i);
  }
  run.buffers.emplace_back(6 * 32);
  check_all(run);
}

TEST(Control, ScratchIsPrivateToAWorker) {
  Builder b("scratch");
  int out = b.buffer("out", BufferKind::Output);
  int first = b.buffer("first", BufferKind::Scratch, 40), second = b.buffer("second", BufferKind::Scratch, 4096);
  b.kernel().grain = 1;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    b.for_(0, 64, 1, [&](Reg j) { b.store(b.splat(i, 8), DType::I32, {second, b.mul_imm(j, 32)}); });
    b.store(b.splat(i, 8), DType::I32, {first, {}, {}, 8});
    Reg sum = b.reg(Ty::I32, 8);
    b.set(sum, b.load(Ty::I32, 8, DType::I32, {first, {}, {}, 8}));
    b.for_(0, 64, 1, [&](Reg j) { b.set(sum, b.add(sum, b.load(Ty::I32, 8, DType::I32, {second, b.mul_imm(j, 32)}))); });
    b.store(sum, DType::I32, {out, b.mul_imm(i, 32)});
  });
  for (int repeat = 0; repeat < 20; ++repeat) check_all({b.kernel(), {Bytes(32 * 50)}, {}, 50});
}

TEST(Control, RefusesWhatDoesNotFit) {
  Target& t = target("avx2");
  Builder b("simple");
  int io = b.buffer("io", BufferKind::InOut);
  b.scalar("n");
  b.store(b.load(Ty::F32, 8, DType::F32, {io}), DType::F32, {io});
  auto code = t.compile(b.kernel());
  ASSERT_TRUE(code);
  auto memory = t.allocate(64);
  ASSERT_TRUE(memory);
  int64_t n = 1;
  BufferArg fine{memory->get(), 0}, outside{memory->get(), 65};
  EXPECT_TRUE(t.launch(**code, {&fine, 1}, {&n, 1}, 1));
  EXPECT_FALSE(t.launch(**code, {}, {&n, 1}, 1));
  EXPECT_FALSE(t.launch(**code, {&fine, 1}, {}, 1));
  EXPECT_FALSE(t.launch(**code, {&outside, 1}, {&n, 1}, 1));
  uint8_t byte = 0;
  EXPECT_FALSE(t.upload(**memory, 64, {&byte, 1}));
  EXPECT_FALSE(t.download(**memory, -1, {&byte, 1}));
  Builder wide("wide");
  int w = wide.buffer("w", BufferKind::Output);
  wide.store(wide.f32(1, 16), DType::F32, {w});
  auto refused = t.compile(wide.kernel());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("16 lanes"), std::string::npos);
  EXPECT_FALSE(make_cpu_target({.level = "sse9"}));
}

}  // namespace
}  // namespace lumen::cpu
