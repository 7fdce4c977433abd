// The clocks that speeds are measured by.
#pragma once
#include <time.h>

namespace lumen::measure {

// Seconds of CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, ...
inline double seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace lumen::measure
