// Messages to the values templates expect. Reasoning goes under the three names that templates read, as transformers does.
#include "chat/messages.h"

namespace lumen::chat {

Value message_value(const Message& message) {
  std::vector<std::pair<Value, Value>> m{{"role", message.role}, {"content", message.content}};
  if (!message.reasoning.empty()) {
    m.emplace_back("reasoning_content", message.reasoning);
    m.emplace_back("thinking", message.reasoning);
    m.emplace_back("reasoning", message.reasoning);
  }
  if (!message.tool_calls.empty()) {
    std::vector<Value> calls;
    for (const ToolCall& call : message.tool_calls) {
      Value function = Value::dict({{"name", call.name}, {"arguments", call.arguments}});
      calls.push_back(Value::dict({{"id", call.id}, {"type", "function"}, {"function", function}}));
    }
    m.emplace_back("tool_calls", Value::list(std::move(calls)));
  }
  if (!message.tool_call_id.empty()) m.emplace_back("tool_call_id", message.tool_call_id);
  if (!message.name.empty()) m.emplace_back("name", message.name);
  return Value::dict(std::move(m));
}

Value conversation_value(const Conversation& conversation) {
  std::vector<Value> messages;
  for (const Message& m : conversation.messages) messages.push_back(message_value(m));
  std::vector<std::pair<Value, Value>> context{{"messages", Value::list(std::move(messages))},
                                               {"tools", conversation.tools},
                                               {"documents", nullptr},
                                               {"add_generation_prompt", conversation.add_generation_prompt}};
  if (!conversation.bos_token.empty()) context.emplace_back("bos_token", conversation.bos_token);
  if (!conversation.eos_token.empty()) context.emplace_back("eos_token", conversation.eos_token);
  for (const auto& [name, value] : conversation.extra) context.emplace_back(name, value);
  return Value::dict(std::move(context));
}

Result<std::string> render_chat(const ChatTemplate* chat_template, const Conversation& conversation, const RenderOptions& options) {
  if (!chat_template) return Error{"this model has no chat template: give a plain prompt with --raw", true};
  return chat_template->render(conversation_value(conversation), options);
}

}  // namespace lumen::chat
