// Scheduler: sequences in progress, formed into one ragged batch a step: a token each for those that decode, chunks of prompts
// for those that begin. Pages of the cache come from one pool; a finished sequence gives its pages back.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/model.h"
#include "engine/sampler.h"

namespace lumen::engine {

enum class Finish : uint8_t { None, Stop, Length, Cancelled, Failed };

struct Sequence {
  uint64_t id = 0;
  std::vector<int32_t> tokens;      // prompt, then what was generated
  size_t prompt = 0;                // tokens of the prompt
  size_t done = 0;                  // tokens whose keys and values are in the cache
  int64_t max_new = 0;
  std::vector<int32_t> stop;        // ids that end it (kept out of `tokens`' text by the caller)
  Sampler sampler{SamplerOptions{}};
  std::vector<int32_t> pages;
  Finish finish = Finish::None;
};

// One new token of a sequence, or its end.
struct Event {
  uint64_t id;
  int32_t token = -1;   // -1: none with this event
  float logprob = 0;
  Finish finish = Finish::None;
};

class Scheduler {
 public:
  Scheduler(Model& model, int64_t most_sequences);
  // Queues a sequence. Error (usage): an empty prompt, or one that leaves no room in the context.
  Result<uint64_t> add(std::vector<int32_t> prompt, int64_t max_new, std::vector<int32_t> stop, SamplerOptions sampling);
  void cancel(uint64_t id);
  bool idle() const { return waiting_.empty() && running_.empty(); }
  size_t waiting() const { return waiting_.size(); }
  size_t running() const { return running_.size(); }
  // Runs one step; what happened. A model error ends every running sequence (Finish::Failed) and is returned.
  Result<std::vector<Event>> step();
  // Keeps the pages of a finished sequence for a later prompt that begins with the same tokens (a chat's next turn).
  void set_reuse(bool on) { reuse_ = on; }

 private:
  bool give_pages(Sequence& s, size_t tokens);
  void admit();
  void finish(Sequence& s, Finish why, std::vector<Event>& events);

  Model& model_;
  int64_t most_;
  uint64_t next_id_ = 1;
  std::vector<int32_t> free_;
  std::vector<std::unique_ptr<Sequence>> waiting_, running_;
  std::unique_ptr<Sequence> kept_;  // the last finished one, with reuse
  bool reuse_ = false;
};

}  // namespace lumen::engine
