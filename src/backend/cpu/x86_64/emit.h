// emit: machine code for one loop kernel. The code is position-independent (its constants follow it) and calls nothing, so it
// may be copied to any 64-byte aligned address. Which CPU runs it is not looked at: any machine can make any code.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

struct Isa {
  bool avx512 = false;  // F, BW, DQ, VL; else AVX2, FMA, F16C
  bool dot4 = false;    // with avx512: VNNI
  int lanes() const { return avx512 ? 16 : 8; }
};

struct MachineCode {
  std::vector<uint8_t> bytes;
  std::string listing;
};

// void f(uint8_t* const* buffers, const int64_t* scalars, int64_t begin, int64_t end), System V. `kernel` is valid (verify)
// and free of Exp, Log, Sin, Cos and Tanh. Errors: a register of a width that the level has not.
Result<MachineCode> emit(const loops::Kernel& kernel, const Isa& isa);

}  // namespace lumen::cpu
