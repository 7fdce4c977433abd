// Streaming an answer to standard output.
#include "speaker.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>

#include "base/timeline.h"

namespace lumen::tool {
namespace {

std::atomic<int> interrupts{0};

void on_interrupt(int) {
  if (interrupts.fetch_add(1) >= 1) _exit(130);
}

using Clock = std::chrono::steady_clock;
double seconds_between(Clock::time_point a, Clock::time_point b) { return std::chrono::duration<double>(b - a).count(); }

struct Timer {
  Clock::time_point start = Clock::now(), first = start;
  void token() {
    if (first == start) first = Clock::now();
  }
  void print(int64_t prompt, int64_t generated) const {
    double prefill = seconds_between(start, first), decode = seconds_between(first, Clock::now());
    std::fprintf(stderr, "prefill: %lld tokens in %.2f s, %.1f tokens/s\n", static_cast<long long>(prompt), prefill,
                 static_cast<double>(prompt) / prefill);
    int64_t more = generated - 1;  // the first one belongs to the prefill
    if (more > 0)
      std::fprintf(stderr, "decode: %lld tokens in %.2f s, %.1f tokens/s\n", static_cast<long long>(more), decode,
                   static_cast<double>(more) / decode);
  }
};

bool put(const std::string& text) { return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0; }

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

namespace {

class GeneratorSpeaker : public Speaker {
 public:
  GeneratorSpeaker(Opened& model, SpeakerOptions options) : options_(std::move(options)), generator_(model, 1, true) {}
  Result<Answer> speak(const std::vector<int32_t>& prompt) override;

 private:
  SpeakerOptions options_;
  runtime::Generator generator_;
};

Result<Answer> GeneratorSpeaker::speak(const std::vector<int32_t>& prompt) {
  take_interrupt();
  std::mutex mutex;
  std::condition_variable changed;
  runtime::Chunk last;
  Answer answer;
  bool broken = false;  // standard output takes no more
  Timer timer;
  runtime::Request r;
  r.prompt = prompt;
  r.sampling = options_.sampling;
  r.max_tokens = options_.max_tokens;
  r.on_chunk = [&](const runtime::Chunk& c) {
    std::lock_guard lock(mutex);
    timer.token();
    answer.text += c.text;
    if (!broken) broken = !put(c.text);
    if (answer.text.size() == c.text.size() && !c.text.empty()) timeline_mark("until the first byte of the answer");
    if (c.finish != engine::Finish::None) {
      last = c;
      changed.notify_all();
    }
    return true;
  };
  LUMEN_TRY(id, generator_.submit(std::move(r)));
  std::unique_lock lock(mutex);
  while (last.finish == engine::Finish::None) {
    changed.wait_for(lock, std::chrono::milliseconds(50));
    if ((interrupts.load() > 0 || broken) && last.finish == engine::Finish::None) {
      lock.unlock();
      generator_.cancel(id);
      lock.lock();
    }
  }
  lock.unlock();
  if (broken || !put("\n")) return Error{"writing to standard output failed"};
  if (last.finish == engine::Finish::Failed) return Error{last.error};
  if (options_.timings) timer.print(last.prompt_tokens, last.generated_tokens);
  answer.finish = last.finish;
  return answer;
}

class InterpSpeaker : public Speaker {
 public:
  InterpSpeaker(Opened& model, SpeakerOptions options) : model_(model), options_(std::move(options)) {}
  Result<Answer> speak(const std::vector<int32_t>& prompt) override;

 private:
  Opened& model_;
  SpeakerOptions options_;
};

Result<Answer> InterpSpeaker::speak(const std::vector<int32_t>& prompt) {
  take_interrupt();
  std::vector<int32_t> ids = prompt;
  engine::Sampler sampler(options_.sampling);
  for (int32_t t : ids) sampler.accept(t, false);
  StreamDecoder decoder(*model_.tokenizer);
  Answer answer;
  Timer timer;
  int64_t done = 0, generated = 0;
  while (answer.finish == engine::Finish::None) {
    if (static_cast<int64_t>(ids.size()) >= model_.context() || generated == options_.max_tokens) {
      answer.finish = engine::Finish::Length;
      break;
    }
    const float* logits = nullptr;
    for (int64_t end = done; done < static_cast<int64_t>(ids.size()); done = end) {
      end = std::min<int64_t>(static_cast<int64_t>(ids.size()), done + model_.max_batch());
      engine::Batch b = engine::batch_of(ids, done, end);
      b.rows = {static_cast<int32_t>(end - done) - 1};
      LUMEN_TRY(row, model_.step(b));
      logits = row;
    }
    int32_t token = sampler.sample({logits, static_cast<size_t>(model_.vocab())}).token;
    sampler.accept(token, true);
    ids.push_back(token);
    ++generated;
    timer.token();
    std::string text;
    if (model_.tokenizer->is_eog(token))
      answer.finish = engine::Finish::Stop;
    else
      text = decoder.push(token);
    if (interrupts.load() > 0) answer.finish = engine::Finish::Cancelled;
    answer.text += text;
    if (!put(text)) return Error{"writing to standard output failed"};
  }
  std::string rest = decoder.finish();
  answer.text += rest;
  if (!put(rest + "\n")) return Error{"writing to standard output failed"};
  if (options_.timings) timer.print(static_cast<int64_t>(prompt.size()), generated);
  return answer;
}

}  // namespace

std::unique_ptr<Speaker> make_speaker(Opened& model, SpeakerOptions options) {
  struct sigaction act = {};
  act.sa_handler = on_interrupt;  // no SA_RESTART: reading a line ends, too
  sigaction(SIGINT, &act, nullptr);
  if (model.interp) return std::make_unique<InterpSpeaker>(model, std::move(options));
  return std::make_unique<GeneratorSpeaker>(model, std::move(options));
}

}  // namespace lumen::tool
