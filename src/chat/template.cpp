// ChatTemplate: parse once, render with a fresh interpreter.
#include "chat/template.h"

#include <algorithm>

#include "chat/interp.h"
#include "chat/parser.h"

namespace lumen::chat {

Result<ChatTemplate> ChatTemplate::parse(std::string_view text, std::string name) {
  LUMEN_TRY(tree, Parser::parse(text, name));
  return ChatTemplate(std::move(tree));
}

Result<std::string> ChatTemplate::render(const Value& context, const RenderOptions& options) const {
  if (!context.is_dict()) return Error{tree_->name + ": the values given to a template must be a dict", true};
  Interp interp(*tree_, context, options.limits, options.now);
  std::string text = interp.run();
  if (interp.ok()) return text;
  return Error{tree_->name + ": line " + std::to_string(interp.budget.error_line()) + ": " + interp.budget.error(), true};
}

bool ChatTemplate::uses(std::string_view variable) const {
  return std::find(tree_->names.begin(), tree_->names.end(), variable) != tree_->names.end();
}

const std::string& ChatTemplate::name() const { return tree_->name; }

}  // namespace lumen::chat
