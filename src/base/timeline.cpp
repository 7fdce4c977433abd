// Times from CLOCK_BOOTTIME, which the process's own start is given in (proc(5), field 22 of /proc/self/stat, in ticks of 10 ms). A
// parent that wants the beginning exact gives it: LUMEN_TIMELINE=SECONDS of that clock.
#include "base/timeline.h"

#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lumen {

double timeline_clock() {
  timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

namespace {

double process_start() {
  if (double given = std::strtod(std::getenv("LUMEN_TIMELINE"), nullptr); given > 1) return given;
  char text[1024] = {};
  FILE* f = std::fopen("/proc/self/stat", "r");
  if (!f) return timeline_clock();
  size_t n = std::fread(text, 1, sizeof text - 1, f);
  std::fclose(f);
  text[n] = 0;
  const char* at = std::strrchr(text, ')');  // the program's name may hold anything
  for (int field = 2; at && field < 22; ++field) at = std::strchr(at + 1, ' ');
  return at ? static_cast<double>(std::strtoull(at, nullptr, 10)) / static_cast<double>(sysconf(_SC_CLK_TCK)) : timeline_clock();
}

bool on() {
  static const bool set = std::getenv("LUMEN_TIMELINE") != nullptr;
  return set;
}

// begin < 0: the process's beginning.
void print_span(double begin, double end, const char* name) {
  static const double start = process_start();
  const char* where = gettid() == getpid() ? "" : " (another thread)";
  if (begin < 0) begin = start;
  std::fprintf(stderr, "%9.2f ms %+9.2f  %s%s\n", 1e3 * (begin - start), 1e3 * (end - begin), name, where);
}

}  // namespace

void timeline_mark(const char* name) {
  if (on()) print_span(-1, timeline_clock(), name);
}

TimedSpan::TimedSpan(const char* name) : name_(name) {
  if (on()) begin_ = timeline_clock();
}

TimedSpan::~TimedSpan() {
  if (on()) print_span(begin_, timeline_clock(), name_);
}

}  // namespace lumen
