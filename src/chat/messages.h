// A conversation, and its text as the model's template writes it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "chat/template.h"
#include "chat/value.h"

namespace lumen::chat {

struct ToolCall {
  std::string id;
  std::string name;
  Value arguments;  // a dict, or a string where the model's JSON was kept as it came
};

struct Message {
  std::string role;         // "system", "user", "assistant", "tool"…
  Value content = nullptr;  // a string, a list of parts, or none
  std::string reasoning;    // an assistant's thinking; empty: none
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id, name;  // of a tool's answer; empty: absent
};

struct Conversation {
  std::vector<Message> messages;
  Value tools = nullptr;  // a list of OpenAI tool declarations, or none
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;
  std::vector<std::pair<std::string, Value>> extra;  // further variables ("enable_thinking"); they win over the ones above
};

Value message_value(const Message& message);
Value conversation_value(const Conversation& conversation);

// `chat_template` may be null: the model has none, and the error says what the user can do.
Result<std::string> render_chat(const ChatTemplate* chat_template, const Conversation& conversation, const RenderOptions& options = {});

}  // namespace lumen::chat
