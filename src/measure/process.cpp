// fork, exec, poll, wait4.
#include "measure/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "measure/clock.h"

namespace lumen::measure {
namespace {

volatile sig_atomic_t was_interrupted = 0;

void on_interrupt(int) { was_interrupted = 1; }

constexpr size_t kErrorsKept = size_t{64} << 10;

// CPU seconds that everything on the machine has used, what a hypervisor took away included.
double busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  stat >> cpu >> user >> nice >> system >> idle >> wait >> irq >> soft >> steal;
  return (user + nice + system + irq + soft + steal) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); }

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == 0) read = ends[0], write = ends[1];
  }
  ~Pipe() { close_read(), close_write(); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_read() {
    if (read >= 0) ::close(read);
    read = -1;
  }
  void close_write() {
    if (write >= 0) ::close(write);
    write = -1;
  }
};

// In the child, between fork and exec: async-signal-safe calls only. Reports errno through `failed`.
[[noreturn]] void become(char* const* argv, char* const* env, const char* directory, int out, int err, int failed, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  int null = open("/dev/null", O_RDONLY);
  bool ok = null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0 && (!directory || chdir(directory) == 0);
  if (ok) execvpe(argv[0], argv, env);
  int code = errno;
  ssize_t ignored = write(failed, &code, sizeof code);
  (void)ignored;
  _exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_with(const ProcessOptions& o) {
  std::vector<std::string> out;
  for (char** e = environ; *e; ++e) {
    std::string_view entry = *e;
    bool replaced = std::any_of(o.environment.begin(), o.environment.end(), [&](auto& pair) {
      return entry.size() > pair.first.size() && entry.substr(0, pair.first.size()) == pair.first && entry[pair.first.size()] == '=';
    });
    if (!replaced) out.emplace_back(entry);
  }
  for (auto& [key, value] : o.environment) out.push_back(key + "=" + value);
  return out;
}

// Takes what a pipe holds now. False: the other end is closed.
bool drain(Pipe& p, std::string& into) {
  char part[65536];
  ssize_t n = ::read(p.read, part, sizeof part);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (n <= 0) {
    p.close_read();
    return false;
  }
  into.append(part, static_cast<size_t>(n));
  return true;
}

void keep_the_end(std::string& text, size_t bytes) {
  if (text.size() > 2 * bytes) text.erase(0, text.size() - bytes);
}

// Reads both pipes until the child has ended, or has to. Fills r but for what wait4 tells; true: the child was waited for.
bool attend(pid_t child, Pipe& out, Pipe& err, double start, const ProcessOptions& o, ProcessResult& r, int& status, rusage& used) {
  bool ended = false;
  while (out.read >= 0 || err.read >= 0 || !ended) {
    double left = start + o.timeout - seconds(CLOCK_MONOTONIC);
    if (left <= 0) r.timed_out = true;
    if (r.out.size() > o.most_output) r.talked_too_much = true;
    if (r.timed_out || r.talked_too_much || interrupted()) return ended;
    pollfd polled[2] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
    // Pipes that close wake us; a child that closes them early or leaves them to its own children is looked at now and then.
    int wait = out.read < 0 && err.read < 0 ? 2 : 50;
    int ready = poll(polled, 2, std::min(wait, static_cast<int>(left * 1000) + 1));
    if (ready > 0) {
      if (polled[0].revents) {
        bool first = r.out.empty();
        drain(out, r.out);
        if (first && !r.out.empty()) r.first_byte_seconds = seconds(CLOCK_MONOTONIC) - start;
      }
      if (polled[1].revents) {
        drain(err, r.err);
        keep_the_end(r.err, kErrorsKept);
      }
      continue;
    }
    if (ended) break;  // nothing more came, though somebody holds a pipe
    ended = wait4(child, &status, WNOHANG, &used) == child;
  }
  return ended;
}

std::string last_line(const std::string& text) {
  size_t end = text.find_last_not_of(" \r\n\t");
  if (end == std::string::npos) return "";
  size_t begin = text.find_last_of('\n', end);
  std::string line = text.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1);
  return line.size() > 300 ? line.substr(0, 300) + "…" : line;
}

}  // namespace

void catch_interrupts() {
  struct sigaction act = {};
  act.sa_handler = on_interrupt;
  act.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &act, nullptr);
  sigaction(SIGTERM, &act, nullptr);
}

bool interrupted() { return was_interrupted != 0; }

std::string ProcessResult::complaint(const ProcessOptions& o) const {
  char limit[32];
  std::snprintf(limit, sizeof limit, "%g", o.timeout);
  if (timed_out) return std::string("did not end within ") + limit + " s";
  if (talked_too_much) return "printed more than " + std::to_string(o.most_output >> 20) + " MB";
  std::string said = last_line(err);
  if (status < 0)
    return "was killed by signal " + std::to_string(-status) + " (" + strsignal(-status) + ")" +
           (said.empty() ? "" : "; it had said: " + said);
  return "ended with status " + std::to_string(status) + (said.empty() ? "" : ": " + said);
}

BusyCore::BusyCore() {
  pid_t parent = getpid();
  cpu_set_t all, one;
  CPU_ZERO(&all);
  CPU_ZERO(&one);
  sched_getaffinity(0, sizeof all, &all);
  int last = 0;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &all)) last = i;
  CPU_SET(last, &one);
  pid_ = fork();
  if (pid_ != 0) return;
  setpgid(0, 0);  // Ctrl-C is for us
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sched_setaffinity(0, sizeof one, &one);
  while (getppid() == parent)
    for (int i = 0; i < 1000000; ++i) asm volatile("");
  _exit(0);
}

BusyCore::~BusyCore() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Result<ProcessResult> run_process(const std::vector<std::string>& command, const ProcessOptions& o) {
  if (interrupted()) return Error{"interrupted"};
  std::vector<std::string> arguments = command, environment = environment_with(o);
  std::vector<char*> argv = pointers(arguments), env = pointers(environment);
  Pipe out, err, failed;
  if (out.read < 0 || err.read < 0 || failed.read < 0) return Error{command[0] + ": no pipe to read it from: " + strerror(errno)};
  ProcessResult r;
  double busy = busy_seconds(), own = seconds(CLOCK_PROCESS_CPUTIME_ID), start = seconds(CLOCK_MONOTONIC);
  pid_t parent = getpid(), child = fork();
  if (child < 0) return Error{command[0] + ": cannot be started: " + strerror(errno)};
  if (child == 0)
    become(argv.data(), env.data(), o.directory.empty() ? nullptr : o.directory.c_str(), out.write, err.write, failed.write, parent);
  setpgid(child, child);
  out.close_write(), err.close_write(), failed.close_write();
  int code = 0, status = 0;
  rusage used{};
  ssize_t told;
  while ((told = ::read(failed.read, &code, sizeof code)) < 0 && errno == EINTR) {
  }
  if (told == sizeof code) {
    waitpid(child, nullptr, 0);
    return Error{command[0] + ": cannot be run: " + strerror(code)};
  }
  bool ended = attend(child, out, err, start, o, r, status, used);
  r.wall_seconds = seconds(CLOCK_MONOTONIC) - start;
  kill(-child, SIGKILL);  // and whatever it left behind
  while (!ended && wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
  }
  if (interrupted()) return Error{"interrupted"};
  r.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  r.cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  r.peak_bytes = static_cast<uint64_t>(used.ru_maxrss) << 10;
  own = seconds(CLOCK_PROCESS_CPUTIME_ID) - own;
  double machine = r.wall_seconds * static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  if (machine > 0) r.others_share = (busy_seconds() - busy - r.cpu_seconds - own) / machine;
  return r;
}

}  // namespace lumen::measure
