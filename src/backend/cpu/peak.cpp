// Loops of independent chains, as many as hide the latency of an instruction: 4 cycles times two a cycle, and a little more. All
// operands are 0: no x86 multiplier looks at them.
#include "backend/cpu/peak.h"

#include <time.h>

#include <algorithm>

#include "backend/cpu/features.h"

namespace lumen::cpu {
namespace {

constexpr int kChains = 10;
constexpr int64_t kRounds = 20000;  // a piece of work: some 30 microseconds

typedef int64_t Four __attribute__((vector_size(32)));
typedef int64_t Eight __attribute__((vector_size(64)));

// kRounds times kChains of `STEP`, which reads x and y and adds to s; t is for what lies between. Instructions are written out: a
// compiler that knows what they mean moves and merges them.
#define LUMEN_PEAK_LOOP(NAME, TARGET, VECTOR, STEP)                                                                                  \
  __attribute__((target(TARGET))) void NAME() {                                                                                      \
    VECTOR sum[kChains] = {}, x = {}, y = {}, between;                                                                               \
    for (int64_t r = 0; r < kRounds; ++r) {                                                                                          \
      _Pragma("GCC unroll 10") for (VECTOR & s : sum) asm volatile(STEP : [s] "+x"(s), [t] "=&x"(between) : [x] "x"(x), [y] "x"(y)); \
    }                                                                                                                                \
  }
LUMEN_PEAK_LOOP(f32_256, "avx2,fma", Four, "vfmadd231ps %[y], %[x], %[s]")
LUMEN_PEAK_LOOP(f32_512, "avx512f", Eight, "vfmadd231ps %[y], %[x], %[s]")
// Pairs of products summed in 16 bits, then added in 16 bits: the most that AVX2 does with bytes.
LUMEN_PEAK_LOOP(int8_pairs, "avx2", Four, "vpmaddubsw %[y], %[x], %[t]\n\tvpaddw %[t], %[s], %[s]")
LUMEN_PEAK_LOOP(int8_quads, "avx512f", Eight, "vpdpbusd %[y], %[x], %[s]")
#undef LUMEN_PEAK_LOOP

struct Loop {
  void (*piece)();
  double ops;  // of one step
};

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// The best of some passes: others only take away.
double ops_per_second(ThreadTeam& team, const Loop& loop) {
  double best = 0;
  const int64_t pieces = int64_t{64} * team.size();  // 2 ms
  for (int pass = 0; pass < 6; ++pass) {
    double start = now();
    team.run(pieces, 1, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) loop.piece();
    });
    best = std::max(best, static_cast<double>(pieces * kRounds * kChains) * loop.ops / (now() - start));
  }
  return best;
}

}  // namespace

Peak measure_peak(ThreadTeam& team) {
  Features cpu = detect();
  Peak p;
  if (cpu.avx2) p.f32_ops = ops_per_second(team, {f32_256, 16});
  if (cpu.avx512) p.f32_ops = std::max(p.f32_ops, ops_per_second(team, {f32_512, 32}));
  if (cpu.avx2) p.int8_ops = ops_per_second(team, {int8_pairs, 64});
  if (cpu.vnni) p.int8_ops = std::max(p.int8_ops, ops_per_second(team, {int8_quads, 128}));
  return p;
}

const char* int8_peak_instructions() {
  Features cpu = detect();
  return cpu.vnni ? "vpdpbusd, 512 bits" : cpu.avx2 ? "vpmaddubsw and vpaddw, 256 bits" : "";
}

}  // namespace lumen::cpu
