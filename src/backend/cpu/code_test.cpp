// What the emitted code looks like: hot loops of the shapes that matter, their instructions counted.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "backend/cpu/cpu_target.h"
#include "backend/cpu/kernel_check.h"
#include "backend/cpu/prepare.h"

namespace lumen::cpu {
namespace {

using namespace loops;

// The instructions of the innermost loop: from the last label that a later jump goes back to.
std::vector<std::string> hot_loop(const std::string& listing) {
  std::vector<std::string> lines, loop;
  std::istringstream in(listing);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  size_t begin = 0, end = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || lines[i][0] != 'L') continue;
    std::string label = lines[i].substr(0, lines[i].find(':'));
    for (size_t j = i; j < lines.size(); ++j)
      if (lines[j].find("jl ") != std::string::npos && lines[j].find(label + " ") != std::string::npos) begin = i, end = j;
  }
  for (size_t i = begin; i <= end && i < lines.size(); ++i)
    if (!lines[i].empty() && lines[i][0] == ' ' && lines[i].find(';') != 2) loop.push_back(lines[i]);
  return loop;
}

int count(const std::vector<std::string>& lines, const std::string& what) {
  int n = 0;
  for (const std::string& l : lines) n += l.find(what) != std::string::npos;
  return n;
}

std::string listing(const Kernel& k, const std::string& level) {
  auto code = target(level).compile(k);
  if (!code) return code.error().message;
  std::string text = (*code)->listing();
  if (std::getenv("LUMEN_SHOW")) std::printf("%s%s\n", print(prepare(k, target(level).machine())).c_str(), text.c_str());
  return text;
}

// Eight rows interleaved, 4-bit codes in blocks of 32 with an f16 scale: 16 bytes of scales and 128 of codes a block.
Kernel gemv(int lanes) {
  Builder b("gemv_q4");
  int w = b.buffer("w", BufferKind::Input), x = b.buffer("x", BufferKind::Input), xs = b.buffer("xs", BufferKind::Input),
      y = b.buffer("y", BufferKind::Output);
  constexpr int kBlocks = 64;
  int block = lanes * 18;
  Reg mask = b.i32(0x0F0F0F0F, lanes), ones = b.i32(0x00010001, lanes);
  b.for_(b.begin(), b.end(), 1, [&](Reg group) {
    Reg acc = b.reg(Ty::F32, lanes, "acc"), rows = b.mul_imm(group, kBlocks * block);
    b.set(acc, b.f32(0, lanes));
    b.for_(0, kBlocks, 1, [&](Reg kb) {
      Reg at = b.add(rows, b.mul_imm(kb, block)), sum;
      b.for_(0, 1, 1, [&](Reg) {});
      for (int j = 0; j < 4; ++j) {
        Reg q = b.load(Ty::I32, lanes, DType::I32, {w, b.add_imm(at, lanes * 2 + j * lanes * 4)});
        Reg lo = b.op(LOp::And, {q, mask}), hi = b.op(LOp::And, {b.op(LOp::ShrU, {q}, 4), mask});
        Reg xa = b.mul_imm(kb, 32);
        Reg p = b.op(LOp::MaddUBS, {lo, b.load_splat(Ty::I32, lanes, DType::I32, {x, b.add_imm(xa, 4 * j)})});
        Reg r = b.op(LOp::MaddUBS, {hi, b.load_splat(Ty::I32, lanes, DType::I32, {x, b.add_imm(xa, 16 + 4 * j)})});
        Reg t = b.op(LOp::AddI16, {p, r});
        sum = j ? b.op(LOp::AddI16, {sum, t}) : t;
      }
      Reg i = b.op(LOp::CvtF, {b.op(LOp::MaddWD, {sum, ones})});
      Reg d = b.mul(b.load(Ty::F32, lanes, DType::F16, {w, at}), b.load_splat(Ty::F32, lanes, DType::F32, {xs, b.mul_imm(kb, 4)}));
      b.set(acc, b.fma(i, d, acc));
    });
    b.store(acc, DType::F32, {y, b.mul_imm(group, lanes * 4)});
  });
  return b.take();
}

TEST(Code, GemvHotLoop) {
  std::mt19937 rng(1);
  for (const std::string& level : levels()) {
    int lanes = target(level).machine().lanes;
    Kernel k = gemv(lanes);
    std::vector<std::string> loop = hot_loop(listing(k, level));
    // 4 x (load, shift, 2 and, 2 broadcast, 2 maddubs, 2 addw) - 1, then madd, cvt, scale (convert, broadcast, mul), fma, 2
    // address ops, add, cmp, jl. Broadcasts of 16-bit ops are no memory operands.
    EXPECT_LE(loop.size(), 4u * 10 - 1 + 6 + 4 + 3) << print(prepare(k, target(level).machine()));
    EXPECT_EQ(count(loop, "vmovaps"), 0);
    EXPECT_EQ(count(loop, "[rsp") + count(loop, "[rbp"), 0);
    CheckRun run{k,
                 {random_bytes(rng, static_cast<size_t>(3 * 64 * lanes * 18)), random_bytes(rng, 64 * 32), random_floats(rng, 64, false),
                  Bytes(static_cast<size_t>(3 * lanes * 4))},
                 {},
                 3};
    for (size_t i = 0; i < run.buffers[0].size(); i += static_cast<size_t>(lanes * 18))
      for (int l = 0; l < lanes; ++l) run.buffers[0][i + static_cast<size_t>(2 * l) + 1] &= 0x3F;  // scales without infinities
    run.ulps = 0.1;
    EXPECT_EQ(check(run, level), "");
  }
}

// T tokens x R row vectors of an int8 tile, the k loop unrolled by hint.
Kernel gemm(int lanes, int R, int T) {
  Builder b("gemm_i8");
  int w = b.buffer("w", BufferKind::Input), x = b.buffer("x", BufferKind::Input), ws = b.buffer("ws", BufferKind::Input),
      xs = b.buffer("xs", BufferKind::Input), y = b.buffer("y", BufferKind::InOut);
  Reg blocks = b.scalar("blocks"), ones = b.i32(0x00010001, lanes);
  b.for_(b.begin(), b.end(), 1, [&](Reg tile) {
    std::vector<Reg> acc;
    Reg out = b.mul_imm(tile, R * T * lanes * 4), xt = b.mul(b.mul_imm(tile, T), blocks);
    for (int i = 0; i < R * T; ++i) {
      acc.push_back(b.reg(Ty::F32, lanes));
      b.set(acc.back(), b.load(Ty::F32, lanes, DType::F32, {y, out, {}, i * lanes * 4}));
    }
    b.for_(b.i64(0), blocks, 1, [&](Reg kb) {
      std::vector<Reg> sum;
      for (int i = 0; i < R * T; ++i) sum.push_back(b.reg(Ty::I32, lanes));
      for (Reg s : sum) b.set(s, b.i32(0, lanes));
      b.for_(0, 8, 1, [&](Reg j) {
        std::vector<Reg> q;
        for (int r = 0; r < R; ++r)
          q.push_back(b.load(Ty::I32, lanes, DType::I32,
                             {w, b.mul_imm(kb, 8 * R * lanes * 4), b.add_imm(b.mul_imm(j, R * lanes * 4), r * lanes * 4), 0}));
        for (int t = 0; t < T; ++t) {
          Reg a = b.load_splat(Ty::I32, lanes, DType::I32,
                               {x, b.mul_imm(xt, 32), b.add(b.mul_imm(kb, T * 32), b.add_imm(b.mul_imm(j, 4), t * 32)), 0});
          for (int r = 0; r < R; ++r) {
            Reg& s = sum[static_cast<size_t>(t * R + r)];
            b.set(s, b.op(LOp::AddI16, {s, b.op(LOp::MaddUBS, {q[static_cast<size_t>(r)], a})}));
          }
        }
      });
      b.kernel();
      for (int t = 0; t < T; ++t)
        for (int r = 0; r < R; ++r) {
          size_t i = static_cast<size_t>(t * R + r);
          Reg f = b.op(LOp::CvtF, {b.op(LOp::MaddWD, {sum[i], ones})});
          Reg s = b.mul(b.load_splat(Ty::F32, lanes, DType::F32, {xs, b.mul_imm(kb, T * 4), {}, 4 * t}),
                        b.load(Ty::F32, lanes, DType::F32, {ws, b.mul_imm(kb, R * lanes * 4), {}, r * lanes * 4}));
          b.set(acc[i], b.fma(f, s, acc[i]));
        }
    });
    for (int i = 0; i < R * T; ++i) b.store(acc[static_cast<size_t>(i)], DType::F32, {y, out, {}, i * lanes * 4});
  });
  return b.take();
}

void hint(std::vector<Stmt>& body) {  // the innermost loops
  for (Stmt& s : body) {
    bool inner = s.kind == Stmt::For;
    for (const Stmt& t : s.body) inner &= t.kind != Stmt::For;
    s.unroll_hint = inner;
    hint(s.body);
  }
}

TEST(Code, GemmTile) {
  std::mt19937 rng(1);
  for (const std::string& level : levels()) {
    int lanes = target(level).machine().lanes, R = 2, T = 3;
    Kernel k = gemm(lanes, R, T);
    hint(k.body);
    std::vector<std::string> loop = hot_loop(listing(k, level));
    // 8 x (R loads, T broadcasts, R T (maddubs, addw)); a tile's end: R T (madd, cvt, mul with memory, fma), T broadcasts; 8 for addresses.
    EXPECT_LE(loop.size(), static_cast<size_t>(8 * (R + T + R * T * 2) + R * T * 5 + T + 12 + 8));
    CheckRun run{k,
                 {random_bytes(rng, 4096 * 4), random_bytes(rng, 8192), random_floats(rng, 512, false), random_floats(rng, 64, false),
                  random_floats(rng, static_cast<size_t>(2 * R * T * lanes), false)},
                 {5},
                 2};
    run.ulps = 0.1;
    EXPECT_EQ(check(run, level), "");
  }
}

}  // namespace
}  // namespace lumen::cpu
