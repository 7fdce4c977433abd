// A chat in the terminal: line editing, a history kept between sessions, commands that begin with a slash.
#pragma once
#include <string>

#include "base/result.h"
#include "runtime/open_model.h"

namespace lumen::tool {

class Speaker;

struct ChatOptions {
  bool raw = false;  // no template: the model continues everything written so far
  std::string system;
};
Status chat_session(runtime::OpenModel& model, Speaker& speaker, const ChatOptions& options);

}  // namespace lumen::tool
