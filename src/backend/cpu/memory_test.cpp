// Loads and stores: every pair of memory and register types, widths, counts 0 .. lanes + 1, nothing touched beyond the count.
#include <gtest/gtest.h>

#include "backend/cpu/kernel_check.h"

namespace lumen::cpu {
namespace {

using namespace loops;

const int kWidths[] = {1, 4, 8, 16};
const DType kIntegers[] = {DType::Bool, DType::I8, DType::U8, DType::I16, DType::U16, DType::I32, DType::U32};

void check_all(const CheckRun& run, int lanes, const std::string& what) {
  for (const std::string& level : levels())
    if (lanes <= target(level).machine().lanes) {
      EXPECT_EQ(check(run, level), "") << what;
    }
}

// Half-precision values of every kind but NaNs with payloads, whose bits a conversion may change.
Bytes values_of(std::mt19937& rng, DType t, size_t count) {
  if (t == DType::F32) return random_floats(rng, count, true);
  Bytes b = random_bytes(rng, count * static_cast<size_t>(size_of(t)));
  for (size_t i = 0; is_float(t) && i < count; ++i) {
    uint16_t h = static_cast<uint16_t>(b[2 * i] | b[2 * i + 1] << 8);
    uint16_t exponent = t == DType::F16 ? 0x7C00 : 0x7F80;
    if ((h & exponent) == exponent) h &= static_cast<uint16_t>(~0x3FF & ~0x7F);
    if (rng() % 8 == 0) h = static_cast<uint16_t>(h & 0x83FF);  // small, for F16 denormal
    b[2 * i] = static_cast<uint8_t>(h);
    b[2 * i + 1] = static_cast<uint8_t>(h >> 8);
  }
  return b;
}

void load_case(Ty type, DType mem, int lanes, LOp op) {
  std::mt19937 rng(3);
  Builder b("loads");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  int taken = op == LOp::LoadSplat ? 1 : op == LOp::LoadPair ? 2 * lanes : lanes;
  DType back = type == Ty::F32 ? DType::F32 : type == Ty::I32 ? DType::I32 : DType::I64;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Address at{in, b.mul_imm(i, taken * size_of(mem))};
    Reg r = op == LOp::LoadSplat  ? b.load_splat(type, lanes, mem, at)
            : op == LOp::LoadPair ? b.load_pair(lanes, mem, at)
                                  : b.load(type, lanes, mem, at);
    b.store(r, back, {out, b.mul_imm(i, lanes * size_of(back))});
  });
  CheckRun run{
      b.take(), {values_of(rng, mem, static_cast<size_t>(50 * taken)), Bytes(static_cast<size_t>(50 * lanes * size_of(back)))}, {}, 50};
  run.ulps = type == Ty::F32 ? 0.1 : 0;
  check_all(run, lanes, "load " + std::string(lumen::name(mem)));
}

TEST(Memory, Loads) {
  for (int lanes : kWidths)
    for (LOp op : {LOp::Load, LOp::LoadSplat}) {
      for (DType mem : kIntegers) {
        load_case(Ty::I32, mem, lanes, op);
        if (mem != DType::U32) load_case(Ty::F32, mem, lanes, op);
      }
      for (DType mem : {DType::F32, DType::F16, DType::BF16}) load_case(Ty::F32, mem, lanes, op);
    }
  for (int lanes : kWidths)
    for (DType mem : {DType::I8, DType::U8}) load_case(Ty::I32, mem, lanes, LOp::LoadPair);
  for (DType mem : {DType::Bool, DType::I8, DType::U8, DType::I16, DType::U16, DType::I32, DType::U32, DType::I64, DType::U64})
    load_case(Ty::I64, mem, 1, LOp::Load);
}

void store_case(Ty type, DType mem, int lanes) {
  std::mt19937 rng(5);
  Builder b("stores");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  DType from = type == Ty::F32 ? DType::F32 : type == Ty::I32 ? DType::I32 : DType::I64;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg r = b.load(type, lanes, from, {in, b.mul_imm(i, lanes * size_of(from))});
    b.store(r, mem, {out, b.mul_imm(i, lanes * size_of(mem)), {}, 3});  // odd addresses
  });
  size_t n = static_cast<size_t>(100 * lanes);
  CheckRun run{b.take(), {values_of(rng, from, n), Bytes(n * static_cast<size_t>(size_of(mem)) + 3)}, {}, 100};
  check_all(run, lanes, "store " + std::string(lumen::name(mem)));
}

TEST(Memory, Stores) {
  for (int lanes : kWidths) {
    for (DType mem : kIntegers) store_case(Ty::I32, mem, lanes);
    for (DType mem : {DType::F32, DType::BF16, DType::F16}) store_case(Ty::F32, mem, lanes);
  }
  for (DType mem : {DType::I8, DType::U16, DType::I32, DType::U64}) store_case(Ty::I64, mem, 1);
}

// out[i] = in[i] for the first `count` of each group of lanes; the buffers end right after the last element.
void counted_case(Ty type, DType mem, int lanes) {
  std::mt19937 rng(11);
  for (int64_t count = 0; count <= lanes + 1; ++count) {
    int64_t taken = std::min<int64_t>(count, lanes);
    Builder b("counted");
    int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output), whole = b.buffer("whole", BufferKind::Output);
    Reg n = b.scalar("n");
    DType full = type == Ty::F32 ? DType::F32 : type == Ty::I32 ? DType::I32 : DType::I64;
    Reg r = b.load(type, lanes, mem, {in, {}, {}, 1}, n);
    b.store(r, mem, {out, {}, {}, 1}, n);
    b.store(r, full, {whole});
    size_t bytes = static_cast<size_t>(taken * size_of(mem)) + 1;
    Bytes data(1);
    Bytes more = values_of(rng, mem, static_cast<size_t>(taken));
    data.insert(data.end(), more.begin(), more.end());
    CheckRun run{b.take(), {data, Bytes(bytes, 0x5A), Bytes(static_cast<size_t>(lanes * size_of(full)))}, {count}, 1};
    run.ulps = mem == DType::F32 ? 0.1 : 0;
    check_all(run, lanes, "counted " + std::string(lumen::name(mem)) + " " + std::to_string(count));
  }
}

TEST(Memory, Counted) {
  for (int lanes : kWidths) {
    for (DType mem : kIntegers) counted_case(Ty::I32, mem, lanes);
    for (DType mem : {DType::F32, DType::BF16, DType::F16, DType::I32, DType::I8}) {
      if (is_float(mem)) counted_case(Ty::F32, mem, lanes);
    }
  }
  for (DType mem : {DType::I8, DType::U16, DType::I32, DType::U64}) counted_case(Ty::I64, mem, 1);
}

TEST(Memory, CountedStoreLeavesTheRestAlone) {  // and a counted load of integers as floats
  for (int lanes : {4, 8, 16})
    for (int64_t count = 0; count <= lanes; ++count) {
      Builder b("tail");
      int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::InOut);
      Reg n = b.scalar("n");
      b.store(b.load(Ty::F32, lanes, DType::I32, {in}, n), DType::F32, {out}, n);
      std::mt19937 rng(1);
      check_all({b.take(), {random_bytes(rng, static_cast<size_t>(lanes) * 4), Bytes(256, 0x77)}, {count}, 1}, lanes, "tail");
    }
}

TEST(Memory, BigOffsetsAndTwoOffsets) {
  Builder b("far");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  Reg base = b.i64(-(int64_t{1} << 40)), x = b.scalar("x");
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    Reg at = b.mul_imm(i, 32);
    Reg v = b.load(Ty::I32, 8, DType::I32, {in, base, at, (int64_t{1} << 40) + 8});
    Reg w = b.load(Ty::I32, 8, DType::I32, {in, b.add_imm(x, 4), b.add(at, x), 0});
    b.prefetch({in, at, x, 512});
    b.store(b.add(v, w), DType::I32, {out, at, b.sub(x, x), -8 + 8});
  });
  std::mt19937 rng(1);
  check_all({b.take(), {random_bytes(rng, 32 * 10 + 64), Bytes(320)}, {12}, 10}, 8, "far");
}

}  // namespace
}  // namespace lumen::cpu
