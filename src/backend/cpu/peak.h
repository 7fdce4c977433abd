// The arithmetic this CPU can do at most, measured: products and sums from registers, nothing read from memory. What matrix kernels
// are judged by. An operation is a multiplication or an addition; two make a product summed.
#pragma once
#include "base/thread_team.h"

namespace lumen::cpu {

struct Peak {
  double int8_ops = 0, f32_ops = 0;  // a second, by the whole team; 0: this CPU has no such instructions that Lumen uses
};
// Takes some tens of milliseconds.
Peak measure_peak(ThreadTeam& team);
const char* int8_peak_instructions();  // "vpdpbusd, 512 bits", …: what the int8 peak was measured with; "" where there is none

}  // namespace lumen::cpu
