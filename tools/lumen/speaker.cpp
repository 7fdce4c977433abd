// Streaming an answer to standard output.
#include "speaker.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>

namespace lumen::tool {
namespace {

std::atomic<int> interrupts{0};

void on_interrupt(int) {
  if (interrupts.fetch_add(1) >= 1) _exit(130);
}

using Clock = std::chrono::steady_clock;
double seconds_between(Clock::time_point a, Clock::time_point b) { return std::chrono::duration<double>(b - a).count(); }

void print_timings(const runtime::Chunk& last, Clock::time_point start, Clock::time_point first, Clock::time_point end) {
  double prefill = seconds_between(start, first), decode = seconds_between(first, end);
  std::fprintf(stderr, "prefill: %lld tokens in %.2f s, %.1f tokens/s\n", static_cast<long long>(last.prompt_tokens), prefill,
               static_cast<double>(last.prompt_tokens) / prefill);
  int64_t more = last.generated_tokens - 1;  // the first one belongs to the prefill
  if (more > 0) std::fprintf(stderr, "decode: %lld tokens in %.2f s, %.1f tokens/s\n", static_cast<long long>(more), decode, static_cast<double>(more) / decode);
}

}  // namespace

bool take_interrupt() { return interrupts.exchange(0) > 0; }

chat::Conversation conversation_of(const std::string& system, const std::vector<std::pair<std::string, std::string>>& turns) {
  chat::Conversation c;
  auto add = [&](const std::string& role, const std::string& text) {
    chat::Message m;
    m.role = role;
    m.content = text;
    c.messages.push_back(std::move(m));
  };
  if (!system.empty()) add("system", system);
  for (auto& [role, text] : turns) add(role, text);
  return c;
}

Speaker::Speaker(runtime::OpenModel& model, SpeakerOptions options) : model_(model), options_(std::move(options)), generator_(model, 1, true) {
  struct sigaction act = {};
  act.sa_handler = on_interrupt;  // no SA_RESTART: reading a line ends, too
  sigaction(SIGINT, &act, nullptr);
}
Speaker::~Speaker() = default;

Result<Answer> Speaker::speak(const std::vector<int32_t>& prompt) {
  take_interrupt();
  std::mutex mutex;
  std::condition_variable changed;
  runtime::Chunk last;
  Answer answer;
  bool broken = false;  // standard output takes no more
  Clock::time_point start = Clock::now(), first = start;
  runtime::Request r;
  r.prompt = prompt;
  r.sampling = options_.sampling;
  r.max_tokens = options_.max_tokens;
  r.on_chunk = [&](const runtime::Chunk& c) {
    std::lock_guard lock(mutex);
    if (first == start) first = Clock::now();
    answer.text += c.text;
    if (!broken) broken = std::fwrite(c.text.data(), 1, c.text.size(), stdout) != c.text.size() || std::fflush(stdout) != 0;
    if (c.finish != engine::Finish::None || broken) {
      last = c;
      last.finish = c.finish != engine::Finish::None ? c.finish : engine::Finish::Failed;
      changed.notify_all();
    }
    return !broken;
  };
  LUMEN_TRY(id, generator_.submit(std::move(r)));
  std::unique_lock lock(mutex);
  while (last.finish == engine::Finish::None) {
    changed.wait_for(lock, std::chrono::milliseconds(50));
    if (interrupts.load() > 0 && last.finish == engine::Finish::None) {
      lock.unlock();
      generator_.cancel(id);
      lock.lock();
    }
  }
  lock.unlock();
  if (broken) return Error{"writing to standard output failed"};
  std::fputc('\n', stdout);
  std::fflush(stdout);
  if (last.finish == engine::Finish::Failed) return Error{last.error};
  if (options_.timings) print_timings(last, start, first, Clock::now());
  answer.finish = last.finish;
  return answer;
}

}  // namespace lumen::tool
