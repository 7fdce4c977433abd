// JSON out.
#include "server/response.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "base/utf8.h"
#include "runtime/generator.h"

namespace lumen::server {
namespace {

namespace json = boost::json;

json::value text_or_null(const std::string& s) { return s.empty() ? json::value(nullptr) : json::value(json::string_view(s)); }

json::object error_object(const ApiError& e) {
  return {{"error", {{"message", e.message}, {"type", e.type()}, {"param", text_or_null(e.param)}, {"code", text_or_null(e.code)}}}};
}

// JSON has no infinities; -9999 is what OpenAI gives for "as good as never".
double shown(float logprob) { return std::isfinite(logprob) ? std::max(static_cast<double>(logprob), -9999.0) : -9999.0; }

json::value chat_logprobs(const ChoicePart& c) {
  if (!c.logprobs) return nullptr;
  json::array content;
  for (const TokenLogprob& t : *c.logprobs) {
    json::array bytes;
    for (unsigned char b : t.bytes) bytes.emplace_back(static_cast<int64_t>(b));
    content.push_back({{"token", whole_utf8(t.bytes)}, {"logprob", shown(t.logprob)}, {"bytes", std::move(bytes)}, {"top_logprobs", json::array()}});
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

json::value completion_logprobs(const ChoicePart& c) {
  if (!c.logprobs) return nullptr;
  json::array tokens, values, offsets;
  int64_t at = c.text_offset;
  for (const TokenLogprob& t : *c.logprobs) {
    std::string text = whole_utf8(t.bytes);
    tokens.emplace_back(json::string_view(text));
    values.emplace_back(shown(t.logprob));
    offsets.emplace_back(at);
    at += characters(text);
  }
  return {{"tokens", std::move(tokens)}, {"token_logprobs", std::move(values)}, {"top_logprobs", nullptr}, {"text_offset", std::move(offsets)}};
}

json::object usage_object(const Usage& u) {
  return {{"prompt_tokens", u.prompt}, {"completion_tokens", u.generated}, {"total_tokens", u.prompt + u.generated}};
}

json::object head_object(const AnswerHead& h, bool piece) {
  const char* object = h.chat ? piece ? "chat.completion.chunk" : "chat.completion" : "text_completion";
  return {{"id", h.id}, {"object", object}, {"created", h.created}, {"model", h.model}, {"system_fingerprint", h.fingerprint}};
}

std::string event(const json::object& o) { return "data: " + json::serialize(o) + "\n\n"; }

std::string chunk(const AnswerHead& head, json::object choice, bool usage_follows) {
  json::object o = head_object(head, true);
  o["choices"] = json::array{std::move(choice)};
  if (usage_follows) o["usage"] = nullptr;
  return event(o);
}

json::object model_object(const std::string& model, int64_t created) {
  return {{"id", model}, {"object", "model"}, {"created", created}, {"owned_by", "lumen"}};
}

}  // namespace

int64_t characters(const std::string& s) {
  return std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

std::string answer_body(const AnswerHead& head, const std::vector<ChoicePart>& choices, const Usage& usage) {
  json::object o = head_object(head, false);
  json::array list;
  for (const ChoicePart& c : choices) {
    json::object choice{{"index", c.index}};
    if (head.chat) choice["message"] = {{"role", "assistant"}, {"content", c.text}, {"refusal", nullptr}};
    else choice["text"] = c.text;
    choice["logprobs"] = head.chat ? chat_logprobs(c) : completion_logprobs(c);
    choice["finish_reason"] = text_or_null(c.finish);
    list.push_back(std::move(choice));
  }
  o["choices"] = std::move(list);
  o["usage"] = usage_object(usage);
  return json::serialize(o);
}

std::string error_body(const ApiError& e) { return json::serialize(error_object(e)); }

std::string models_body(const std::string& model, int64_t created) {
  return json::serialize(json::object{{"object", "list"}, {"data", json::array{model_object(model, created)}}});
}

std::string model_body(const std::string& model, int64_t created) { return json::serialize(model_object(model, created)); }

std::string role_event(const AnswerHead& head, int64_t index, bool usage_follows) {
  json::object delta{{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}};
  return chunk(head, {{"index", index}, {"delta", std::move(delta)}, {"logprobs", nullptr}, {"finish_reason", nullptr}}, usage_follows);
}

std::string part_event(const AnswerHead& head, const ChoicePart& c, bool usage_follows) {
  json::object choice{{"index", c.index}};
  if (head.chat) choice["delta"] = c.text.empty() ? json::object() : json::object{{"content", c.text}};
  else choice["text"] = c.text;
  choice["logprobs"] = head.chat ? chat_logprobs(c) : completion_logprobs(c);
  choice["finish_reason"] = text_or_null(c.finish);
  return chunk(head, std::move(choice), usage_follows);
}

std::string usage_event(const AnswerHead& head, const Usage& usage) {
  json::object o = head_object(head, true);
  o["choices"] = json::array();
  o["usage"] = usage_object(usage);
  return event(o);
}

std::string error_event(const ApiError& e) { return event(error_object(e)); }

}  // namespace lumen::server
