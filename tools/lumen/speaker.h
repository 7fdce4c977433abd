// Speaker: prompts in, the answer on standard output as it comes. Ctrl-C stops the answer, a second one the program.
#pragma once
#include <string>
#include <vector>

#include "common.h"
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
  virtual ~Speaker() = default;
  virtual Result<Answer> speak(const std::vector<int32_t>& prompt) = 0;
};
// Over the generator, or token by token over the interpreter. Catches Ctrl-C from now on.
std::unique_ptr<Speaker> make_speaker(Opened& model, SpeakerOptions options);

// True once after each Ctrl-C that came since the last call.
bool take_interrupt();

// A system message (empty: none), then (role, text) in order.
chat::Conversation conversation_of(const std::string& system, const std::vector<std::pair<std::string, std::string>>& turns);

}  // namespace lumen::tool
