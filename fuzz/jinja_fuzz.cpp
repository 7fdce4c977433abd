// libFuzzer target: any bytes as a chat template, rendered over a small conversation. Nothing may crash, leak or run long.
#include <cstdint>
#include <string_view>

#include "chat/json.h"
#include "chat/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lumen::chat;
  static const Value context = *parse_json(
      R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "héllo <b> 안녕"},
          {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, null, true]}}}]}],
          "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
          "add_generation_prompt": true, "bos_token": "<s>", "n": 3})");
  auto chat = ChatTemplate::parse(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!chat) return 0;
  RenderOptions options;
  options.limits.max_steps = 100'000;
  options.limits.max_text = 1 << 20;
  (void)chat->render(context, options);
  return 0;
}
