// OpenAI's fields, their ranges, and what becomes of each.
#include "server/request.h"

#include <cfloat>
#include <charconv>

#include "server/json_fields.h"

namespace lumen::server {
namespace {

std::string text_of(const json::string& s) { return {s.data(), s.size()}; }
std::string item(const std::string& path, size_t i) { return path + "[" + std::to_string(i) + "]"; }

// JSON as templates see it. The depth was bounded when the body was read.
chat::Value to_value(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null: return nullptr;
    case json::kind::bool_: return v.get_bool();
    case json::kind::int64: return v.get_int64();
    case json::kind::uint64: return static_cast<double>(v.get_uint64());  // more than an int64 holds
    case json::kind::double_: return v.get_double();
    case json::kind::string: return text_of(v.get_string());
    case json::kind::array: {
      std::vector<chat::Value> items;
      for (const json::value& i : v.get_array()) items.push_back(to_value(i));
      return chat::Value::list(std::move(items));
    }
    case json::kind::object: break;
  }
  std::vector<std::pair<chat::Value, chat::Value>> entries;
  for (const auto& e : v.get_object()) entries.emplace_back(std::string(e.key().data(), e.key().size()), to_value(e.value()));
  return chat::Value::dict(std::move(entries));
}

void read_stop(Fields& f, std::vector<std::string>& stop) {
  const json::value* v = f.get("stop");
  if (!v) return;
  auto add = [&](const json::value& s, const std::string& path) {
    if (!s.is_string() || s.get_string().empty() || s.get_string().size() > kLongestStop)
      f.fail(wrong(path, "a string of 1 to " + std::to_string(kLongestStop) + " bytes", s));
    else stop.push_back(text_of(s.get_string()));
  };
  if (!v->is_array()) {
    if (v->is_string()) add(*v, f.path("stop"));
    else f.fail(wrong(f.path("stop"), "a string or an array of strings", *v));
    return;
  }
  const json::array* list = f.array("stop", kMostStops);
  for (size_t i = 0; list && i < list->size() && f.ok(); ++i) add((*list)[i], item(f.path("stop"), i));
}

void read_bias(Fields& f, int64_t vocabulary, std::vector<std::pair<int32_t, float>>& bias) {
  const json::object* o = f.object("logit_bias");
  if (!o) return;
  if (o->size() > kMostBiases) {
    f.fail({.message = "logit_bias: expected at most " + std::to_string(kMostBiases) + " tokens, found " + std::to_string(o->size()), .param = "logit_bias", .code = "array_above_max_length"});
    return;
  }
  for (const auto& e : *o) {
    int64_t id = -1;
    const char *begin = e.key().data(), *end = begin + e.key().size();
    auto [stopped, ec] = std::from_chars(begin, end, id);
    auto add = finite(e.value());
    if (ec != std::errc() || stopped != end || id < 0 || id >= vocabulary) {
      f.fail(wrong("logit_bias", "token ids from 0 to " + std::to_string(vocabulary - 1), json::value(e.key())));
      return;
    }
    if (!add || *add < -100 || *add > 100) {
      f.fail(wrong("logit_bias." + std::to_string(id), "a number from -100 to 100", e.value()));
      return;
    }
    bias.emplace_back(static_cast<int32_t>(id), static_cast<float>(*add));
  }
}

// What both endpoints share. OpenAI's own defaults: temperature 1, no truncation.
void read_options(Fields& f, int64_t vocabulary, AnswerOptions& o) {
  engine::SamplerOptions& s = o.sampling;
  s = {};
  s.temperature = 1;
  s.top_k = 0;
  s.top_p = 1;
  f.string("model", o.model);
  f.number("temperature", 0, 2, s.temperature);
  // 0 leaves the most likely token, as the smallest positive mass does; the sampler wants more than 0.
  if (f.number("top_p", 0, 1, s.top_p) && s.top_p == 0) s.top_p = FLT_MIN;
  f.number("min_p", 0, 1, s.min_p);
  f.number("presence_penalty", -2, 2, s.presence_penalty);
  f.number("frequency_penalty", -2, 2, s.frequency_penalty);
  f.number("repeat_penalty", 0.01, 10, s.repeat_penalty);
  int64_t top_k = 0;
  if (f.integer("top_k", 0, INT32_MAX, top_k)) s.top_k = static_cast<int>(top_k);
  int64_t seed = 0;
  if (f.integer("seed", INT64_MIN, INT64_MAX, seed)) o.seed = seed;
  f.integer("n", 1, kMostChoices, o.n);
  read_stop(f, o.stop);
  read_bias(f, vocabulary, s.bias);
  f.boolean("ignore_eos", o.ignore_eos);
  f.boolean("stream", o.stream);
  if (const json::object* so = f.object("stream_options")) {
    std::optional<ApiError> error;
    Fields inner(*so, "stream_options.", error);
    inner.boolean("include_usage", o.include_usage);
    inner.refuse("include_obfuscation", "answers are not padded here", false);
    inner.finish();
    if (error) f.fail(*error);
    else if (!o.stream) f.fail({.message = "stream_options: only allowed with \"stream\": true", .param = "stream_options", .code = "invalid_value"});
  }
  for (const char* name : {"user", "safety_identifier", "prompt_cache_key"}) {
    std::string label;
    f.string(name, label);
  }
}

// Strings, or lists of text parts, which become one string: templates of text models expect that.
void read_content(Fields& f, chat::Message& m, bool required) {
  const json::value* v = required ? f.required("content", "a string or an array of text parts") : f.get("content");
  if (!v) return;
  if (v->is_string()) {
    m.content = text_of(v->get_string());
    return;
  }
  if (!v->is_array()) return f.fail(wrong(f.path("content"), "a string or an array of text parts", *v));
  std::string all;
  const json::array* parts = f.array("content", kMostMessages);
  if (!parts) return;
  std::optional<ApiError> error;
  for (size_t i = 0; i < parts->size() && !error; ++i) {
    std::string path = item(f.path("content"), i);
    if (!(*parts)[i].is_object()) return f.fail(wrong(path, "an object with type and text", (*parts)[i]));
    Fields part((*parts)[i].get_object(), path + ".", error);
    std::string type, text;
    part.required("type", "\"text\"");
    if (part.string("type", type) && type != "text") part.fail(wrong(part.path("type"), "\"text\", the only kind that this server reads", json::value(type)));
    part.required("text", "a string");
    part.string("text", text);
    part.finish();
    all += text;
  }
  if (error) f.fail(*error);
  m.content = std::move(all);
}

void read_calls(Fields& f, std::vector<chat::ToolCall>& out) {
  const json::array* calls = f.array("tool_calls", kMostTools);
  std::optional<ApiError> error;
  for (size_t i = 0; calls && i < calls->size() && !error; ++i) {
    std::string path = item(f.path("tool_calls"), i);
    if (!(*calls)[i].is_object()) return f.fail(wrong(path, "an object", (*calls)[i]));
    Fields call((*calls)[i].get_object(), path + ".", error);
    chat::ToolCall c;
    std::string type, arguments;
    call.required("id", "a string");
    call.string("id", c.id);
    if (call.string("type", type) && type != "function") call.fail(wrong(call.path("type"), "\"function\"", json::value(type)));
    call.required("function", "an object with name and arguments");
    if (const json::object* o = call.object("function")) {
      Fields fn(*o, path + ".function.", error);
      fn.required("name", "a string");
      fn.string("name", c.name);
      fn.required("arguments", "a string");
      fn.string("arguments", arguments);
      fn.finish();
      // Templates write arguments through tojson, so they want what the JSON says; a model's broken JSON stays as it came.
      json::object parsed;
      c.arguments = parse_object(arguments, parsed) ? chat::Value(arguments) : to_value(parsed);
    }
    call.finish();
    out.push_back(std::move(c));
  }
  if (error) f.fail(*error);
}

chat::Message read_message(const json::object& o, const std::string& path, std::optional<ApiError>& error) {
  Fields f(o, path + ".", error);
  chat::Message m;
  const json::value* role = f.required("role", "a string");
  f.string("role", m.role);
  if (m.role == "developer") m.role = "system";
  bool assistant = m.role == "assistant", tool = m.role == "tool";
  if (f.ok() && !assistant && !tool && m.role != "system" && m.role != "user")
    f.fail(wrong(f.path("role"), "system, developer, user, assistant or tool", *role));
  if (assistant) {
    f.string("reasoning_content", m.reasoning);
    f.refuse("refusal", "refusals are not kept here");
    f.refuse("audio", "this server reads and writes text only");
    f.refuse("function_call", "superseded by tool_calls");
    read_calls(f, m.tool_calls);
  }
  if (tool) {
    f.required("tool_call_id", "a string");
    f.string("tool_call_id", m.tool_call_id);
  }
  f.string("name", m.name);
  read_content(f, m, m.tool_calls.empty());
  f.finish();
  return m;
}

void read_messages(Fields& f, chat::Conversation& c) {
  f.required("messages", "an array of messages");
  const json::array* list = f.array("messages", kMostMessages);
  if (!list) return;
  if (list->empty()) return f.fail(wrong("messages", "at least one message", json::value(json::array())));
  std::optional<ApiError> error;
  for (size_t i = 0; i < list->size() && !error; ++i) {
    std::string path = item("messages", i);
    if (!(*list)[i].is_object()) return f.fail(wrong(path, "an object with role and content", (*list)[i]));
    c.messages.push_back(read_message((*list)[i].get_object(), path, error));
  }
  if (error) f.fail(*error);
}

void read_tools(Fields& f, chat::Conversation& c) {
  const json::array* tools = f.array("tools", kMostTools);
  bool given = tools && !tools->empty();
  std::optional<ApiError> error;
  for (size_t i = 0; given && i < tools->size() && !error; ++i) {
    std::string path = item("tools", i), type, text;
    if (!(*tools)[i].is_object()) return f.fail(wrong(path, "an object with type and function", (*tools)[i]));
    Fields tool((*tools)[i].get_object(), path + ".", error);
    tool.required("type", "\"function\"");
    if (tool.string("type", type) && type != "function") tool.fail(wrong(tool.path("type"), "\"function\"", json::value(type)));
    tool.required("function", "an object with name, description and parameters");
    if (const json::object* o = tool.object("function")) {
      Fields fn(*o, path + ".function.", error);
      fn.required("name", "a string");
      fn.string("name", text);
      fn.string("description", text);
      fn.object("parameters");
      fn.refuse("strict", "calls are not held to their schema here", false);
      fn.finish();
    }
    tool.finish();
  }
  if (error) return f.fail(*error);
  std::string choice = "auto";
  const json::value* v = f.get("tool_choice");
  if (v && (!v->is_string() || (v->get_string() != "auto" && v->get_string() != "none")))
    return f.fail(unsupported("tool_choice", "expected \"none\" or \"auto\": calls cannot be forced here, found " + describe(*v)));
  if (v) {
    f.string("tool_choice", choice);
    if (!given) return f.fail({.message = "tool_choice: only allowed with tools", .param = "tool_choice", .code = "invalid_value"});
  }
  f.refuse("parallel_tool_calls", "how many calls a model makes cannot be limited here", true);
  if (given && choice == "auto") c.tools = to_value(json::value(*tools));
}

void read_response_format(Fields& f) {
  const json::object* o = f.object("response_format");
  if (!o) return;
  std::optional<ApiError> error;
  Fields inner(*o, "response_format.", error);
  std::string type;
  inner.required("type", "\"text\"");
  if (inner.string("type", type) && type != "text") inner.fail(unsupported("response_format", "expected the type \"text\", the only one that this server writes, found " + describe(json::value(type))));
  inner.finish();
  if (error) f.fail(*error);
}

void read_chat_limits(Fields& f, AnswerOptions& o) {
  int64_t old = -1;
  bool given = f.integer("max_completion_tokens", 1, INT32_MAX, o.max_tokens);
  if (f.integer("max_tokens", 1, INT32_MAX, old)) {
    if (given && old != o.max_tokens)
      f.fail({.message = "max_tokens: expected the same as max_completion_tokens, which replaces it", .param = "max_tokens", .code = "invalid_value"});
    o.max_tokens = old;
  }
  f.boolean("logprobs", o.logprobs);
  int64_t top = 0;
  if (f.integer("top_logprobs", 0, 20, top)) {
    if (!o.logprobs) f.fail({.message = "top_logprobs: only allowed with \"logprobs\": true", .param = "top_logprobs", .code = "invalid_value"});
    else if (top > 0) f.fail(unsupported("top_logprobs", "only the chosen token's logprob is known here: expected 0, found " + std::to_string(top)));
  }
}

void read_prompts(Fields& f, int64_t vocabulary, std::vector<Prompt>& out) {
  const std::string expected = "a string, an array of strings, or an array of token ids";
  const json::value* v = f.required("prompt", expected);
  if (!v) return;
  auto ids_of = [&](const json::array& list, const std::string& path) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < list.size(); ++i) {
      auto id = whole(list[i]);
      if (!id || *id < 0 || *id >= vocabulary) {
        f.fail(wrong(item(path, i), "a token id from 0 to " + std::to_string(vocabulary - 1), list[i]));
        break;
      }
      ids.push_back(static_cast<int32_t>(*id));
    }
    out.push_back({{}, std::move(ids)});
  };
  if (v->is_string()) {
    out.push_back({text_of(v->get_string()), std::nullopt});
  } else if (!v->is_array() || v->get_array().empty()) {
    f.fail(wrong("prompt", expected, *v));
  } else if (v->get_array()[0].is_number()) {
    ids_of(v->get_array(), "prompt");
  } else {
    const json::array* list = f.array("prompt", kMostAnswers);
    for (size_t i = 0; list && i < list->size() && f.ok(); ++i) {
      const json::value& p = (*list)[i];
      if (p.is_string()) out.push_back({text_of(p.get_string()), std::nullopt});
      else if (p.is_array()) ids_of(p.get_array(), item("prompt", i));
      else f.fail(wrong(item("prompt", i), "a string or an array of token ids", p));
    }
  }
}

}  // namespace

std::optional<ApiError> parse_chat(std::string_view body, int64_t vocabulary, ChatRequest& out) {
  json::object object;
  if (auto e = parse_object(body, object)) return e;
  std::optional<ApiError> error;
  Fields f(object, "", error);
  read_messages(f, out.conversation);
  read_options(f, vocabulary, out.options);
  read_chat_limits(f, out.options);
  read_tools(f, out.conversation);
  read_response_format(f);
  f.refuse("store", "nothing is stored here", false);
  f.object("metadata");  // labels what is stored
  f.refuse("service_tier", "there is one tier here", "auto");
  if (const json::array* m = f.array("modalities", 8); m && (m->size() != 1 || (*m)[0] != "text"))
    f.fail(unsupported("modalities", "expected [\"text\"]: this server writes text only"));
  for (const char* name : {"audio", "prediction", "reasoning_effort", "verbosity", "web_search_options", "functions", "function_call"})
    f.refuse(name, "not supported by this server");
  f.finish();
  return error;
}

std::optional<ApiError> parse_completion(std::string_view body, int64_t vocabulary, CompletionRequest& out) {
  json::object object;
  if (auto e = parse_object(body, object)) return e;
  std::optional<ApiError> error;
  Fields f(object, "", error);
  read_prompts(f, vocabulary, out.prompts);
  read_options(f, vocabulary, out.options);
  out.options.max_tokens = kCompletionTokens;
  f.integer("max_tokens", 0, INT32_MAX, out.options.max_tokens);
  int64_t logprobs = 0;
  if (f.integer("logprobs", 0, 5, logprobs)) {
    out.options.logprobs = true;
    if (logprobs > 0) f.fail(unsupported("logprobs", "only the chosen token's logprob is known here: expected 0, found " + std::to_string(logprobs)));
  }
  f.refuse("echo", "the prompt cannot be repeated before the answer here", false);
  f.refuse("suffix", "text cannot be inserted before a suffix here");
  if (const json::value* best = f.get("best_of"); best && whole(*best) != out.options.n)
    f.fail(unsupported("best_of", "answers are not ranked here: expected the same as n"));
  if (f.ok() && static_cast<int64_t>(out.prompts.size()) * out.options.n > kMostAnswers)
    f.fail({.message = "n: expected at most " + std::to_string(kMostAnswers) + " answers in all, found " + std::to_string(out.prompts.size()) + " prompts times " + std::to_string(out.options.n), .param = "n", .code = "invalid_value"});
  f.finish();
  return error;
}

}  // namespace lumen::server
