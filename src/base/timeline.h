// Timeline: where a start's milliseconds go. With LUMEN_TIMELINE set, every TimedSpan writes one line to stderr when it ends:
// milliseconds since the process began (LUMEN_TIMELINE=SECONDS says when that was, by timeline_clock()), its duration, its name.
// Otherwise a TimedSpan costs one load.
#pragma once

namespace lumen {

double timeline_clock();               // seconds
void timeline_mark(const char* name);  // a span from the process's beginning until now

class TimedSpan {
 public:
  explicit TimedSpan(const char* name);
  ~TimedSpan();
  TimedSpan(const TimedSpan&) = delete;
  TimedSpan& operator=(const TimedSpan&) = delete;

 private:
  const char* name_;
  double begin_ = 0;  // seconds; unused when off
};

}  // namespace lumen
