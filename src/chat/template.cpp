// ChatTemplate: parse once, render with a fresh interpreter.
#include "chat/template.h"

#include <algorithm>

#include "chat/interp.h"
#include "chat/parser.h"

namespace lumen::chat {
namespace {

constexpr size_t kMaxMessage = 500;  // bytes; a template chooses what raise_exception and names say

// One line of bounded length.
std::string one_line(std::string message) {
  if (message.size() > kMaxMessage) {
    size_t end = kMaxMessage;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // whole characters only
    message = message.substr(0, end) + "...";
  }
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  }
  return message;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view text, std::string name) {
  auto tree = Parser::parse(text, name);
  if (!tree) return Error{one_line(tree.error().message)};
  return ChatTemplate(tree.take());
}

Result<std::string> ChatTemplate::render(const Value& context, const RenderOptions& options) const {
  if (!context.is_dict()) return Error{tree_->name + ": the values given to a template must be a dict", true};
  Interp interp(*tree_, context, options.limits, options.now);
  std::string text = interp.run();
  if (interp.ok()) return text;
  return Error{one_line(tree_->name + ": line " + std::to_string(interp.budget.error_line()) + ": " + interp.budget.error()), true};
}

bool ChatTemplate::uses(std::string_view variable) const {
  return std::find(tree_->names.begin(), tree_->names.end(), variable) != tree_->names.end();
}

const std::string& ChatTemplate::name() const { return tree_->name; }

}  // namespace lumen::chat
