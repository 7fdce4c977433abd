// Speaker: prompts in, the answer on standard output as it comes. Ctrl-C stops the answer, a second one the program.
#pragma once
#include <string>
#include <vector>

#include "runtime/generator.h"

namespace lumen::tool {

struct SpeakerOptions {
  engine::SamplerOptions sampling;
  int64_t max_tokens = -1;
  bool timings = false;
};

struct Answer {
  std::string text;
  engine::Finish finish = engine::Finish::None;
};

class Speaker {
 public:
  Speaker(runtime::OpenModel& model, SpeakerOptions options);
  ~Speaker();
  Result<Answer> speak(const std::vector<int32_t>& prompt);

 private:
  runtime::OpenModel& model_;
  SpeakerOptions options_;
  runtime::Generator generator_;
};

// True once after each Ctrl-C that came since the last call. Installed by the first Speaker.
bool take_interrupt();

// A system message (empty: none), then (role, text) in order.
chat::Conversation conversation_of(const std::string& system, const std::vector<std::pair<std::string, std::string>>& turns);

}  // namespace lumen::tool
