// Generator: requests in, text out. One thread of its own runs the scheduler; callbacks come from that thread.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/scheduler.h"
#include "tokenizer/stream_decoder.h"
#include "runtime/open_model.h"

namespace lumen::runtime {

struct Chunk {
  std::string text;                    // whole UTF-8; may be empty
  std::vector<int32_t> tokens;         // ids behind it
  std::vector<float> logprobs;         // one a token
  engine::Finish finish = engine::Finish::None;
  std::string error;                   // Finish::Failed
  int64_t prompt_tokens = 0, generated_tokens = 0;
};

struct Request {
  std::vector<int32_t> prompt;
  engine::SamplerOptions sampling;
  int64_t max_tokens = -1;             // -1: until the model stops or the context is full
  std::vector<std::string> stop;       // texts that end the answer; they are not part of it
  bool ignore_eog = false;
  std::function<bool(const Chunk&)> on_chunk;  // false: cancel. The last chunk has `finish` set
};

class Generator {
 public:
  Generator(OpenModel& model, int64_t sequences, bool reuse_prefix);
  ~Generator();  // cancels what runs
  // Error (usage): what the scheduler refuses. The callback is not called then.
  Result<uint64_t> submit(Request request);
  void cancel(uint64_t id);
  // Submits and waits for the end; the whole text of the answer.
  Result<Chunk> generate(Request request);
  size_t active();

 private:
  struct Live {
    Request request;
    std::unique_ptr<StreamDecoder> decoder;
    std::string held;     // text kept back: it may be the beginning of a stop text
    Chunk pending;
    int64_t generated = 0, prompt = 0;
    bool stopped = false;
  };
  // The lock for callers from outside: the loop, which holds it through a step, lets those who wait go first.
  std::unique_lock<std::mutex> enter();
  void loop();
  void handle(const engine::Event& e);
  bool release(Live& l, bool end);  // moves text from held to pending; true: a stop text was met

  OpenModel& model_;
  engine::Scheduler scheduler_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> at_the_door_{0};  // callers that wait for mutex_
  std::map<uint64_t, std::shared_ptr<Live>> live_;
  std::vector<uint64_t> cancelled_;
  bool stop_ = false;
  std::string error_;   // of the last failed step; written and read by the thread alone
  std::thread thread_;
};

}  // namespace lumen::runtime
