// Timeline: where a start's milliseconds go. With LUMEN_TIMELINE set, every TimedSpan writes one line to stderr when it ends:
// milliseconds since the process began, its duration, its name. Otherwise a TimedSpan costs one load.
#pragma once

namespace lumen {

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
