// Questions and answers of fixed size over a pair of sockets. The child ends when its parent does.
#include "measure/prober.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "measure/machine.h"

namespace lumen::measure {
namespace {

struct Answer {
  MachineReading reading;
  char problem[200] = "";
};

template <class T>
bool read_all(int fd, T& into) {
  char* p = reinterpret_cast<char*>(&into);
  for (size_t at = 0; at < sizeof into;) {
    ssize_t n = ::read(fd, p + at, sizeof into - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

template <class T>
bool write_all(int fd, const T& from) {
  const char* p = reinterpret_cast<const char*>(&from);
  for (size_t at = 0; at < sizeof from;) {
    ssize_t n = send(fd, p + at, sizeof from - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

Answer answer_for(ReadProbe& probe, int64_t bytes, const std::function<ArithmeticPeak(ThreadTeam&)>& peak) {
  Answer a;
  a.reading.huge_pages = probe.got_huge();
  // The better of two: the first may wait for a sleeping thread.
  for (int i = 0; i < 2; ++i) a.reading.read_bytes = std::max(a.reading.read_bytes, probe.read(bytes));
  if (Status s = probe.check(); !s) strncpy(a.problem, s.error().message.c_str(), sizeof a.problem - 1);
  if (peak) a.reading.peak = peak(probe.team());
  return a;
}

[[noreturn]] void serve(int line, int threads, const std::function<ArithmeticPeak(ThreadTeam&)>& peak) {
  auto probe = ReadProbe::create(threads, true, Prober::kMost);
  for (int64_t bytes = 0; read_all(line, bytes);) {
    Answer a;
    if (probe)
      a = answer_for(**probe, bytes, peak);
    else
      strncpy(a.problem, probe.error().message.c_str(), sizeof a.problem - 1);
    if (!write_all(line, a)) break;
  }
  _exit(0);
}

}  // namespace

Result<std::unique_ptr<Prober>> Prober::start(int threads, std::function<ArithmeticPeak(ThreadTeam&)> peak) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{std::string("no line to the process that measures the machine: ") + strerror(errno)};
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) return Error{std::string("no process to measure the machine with: ") + strerror(errno)};
  if (pid == 0) {
    setpgid(0, 0);  // Ctrl-C is for the parent, which then still needs answers
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    close(ends[0]);
    serve(ends[1], threads, peak);
  }
  close(ends[1]);
  return std::unique_ptr<Prober>(new Prober(pid, ends[0]));
}

Prober::~Prober() {
  close(line_);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Result<MachineReading> Prober::measure(int64_t bytes) {
  Answer a;
  bool asked = write_all(line_, std::clamp(bytes, kLeast, kMost));
  if (!asked || !read_all(line_, a)) return Error{"the process that measures the machine's bandwidth and arithmetic has died"};
  if (a.problem[0]) return Error{a.problem};
  return a.reading;
}

}  // namespace lumen::measure
