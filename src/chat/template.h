// ChatTemplate: a parsed Jinja chat template, rendered under limits. The room's public face, with messages.h.
// Language and library are Jinja 3.1's as transformers configures it (immutable sandbox, trim_blocks, lstrip_blocks, loop controls,
// plain-JSON tojson, raise_exception, strftime_now, {% generation %}); templates come from model files, so nothing in them is trusted.
#pragma once
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/budget.h"
#include "chat/value.h"

namespace lumen::chat {

struct Tree;

struct RenderOptions {
  Limits limits;
  std::optional<std::tm> now;  // what strftime_now prints; the local time when absent
};

class ChatTemplate {
 public:
  // `name` is for messages: "qwen2.gguf: tokenizer.chat_template". The error: "NAME: line N: what was expected".
  static Result<ChatTemplate> parse(std::string_view text, std::string name);

  // `context` is a dict: messages, tools, add_generation_prompt, bos_token… Thread-safe.
  Result<std::string> render(const Value& context, const RenderOptions& options = {}) const;

  bool uses(std::string_view variable) const;  // whether the template reads a variable of that name
  const std::string& name() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const Tree> tree_;
};

}  // namespace lumen::chat
