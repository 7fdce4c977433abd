// Times from CLOCK_BOOTTIME, which the process's own start is given in (proc(5), field 22 of /proc/self/stat, in ticks of 10 ms; so
// the first line's offset is known to 10 ms, differences to microseconds).
#include "base/timeline.h"

#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lumen {
namespace {

double now() {
  timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double process_start() {
  char text[1024] = {};
  FILE* f = std::fopen("/proc/self/stat", "r");
  if (!f) return now();
  size_t n = std::fread(text, 1, sizeof text - 1, f);
  std::fclose(f);
  text[n] = 0;
  const char* at = std::strrchr(text, ')');  // the program's name may hold anything
  for (int field = 2; at && field < 22; ++field) at = std::strchr(at + 1, ' ');
  return at ? static_cast<double>(std::strtoull(at, nullptr, 10)) / static_cast<double>(sysconf(_SC_CLK_TCK)) : now();
}

bool on() {
  static const bool set = std::getenv("LUMEN_TIMELINE") != nullptr;
  return set;
}

}  // namespace

TimedSpan::TimedSpan(const char* name) : name_(name) {
  if (on()) begin_ = now();
}

TimedSpan::~TimedSpan() {
  if (!on()) return;
  static const double start = process_start();
  double end = now();
  std::fprintf(stderr, "%9.2f ms %+9.2f  %s\n", 1e3 * (begin_ - start), 1e3 * (end - begin_), name_);
}

}  // namespace lumen
