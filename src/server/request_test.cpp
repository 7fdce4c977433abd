// What is read from request bodies, and which field is named when something is wrong with it.
#include "server/request.h"

#include <gtest/gtest.h>

#include <cfloat>

namespace lumen::server {
namespace {

constexpr int64_t kVocabulary = 100;
const std::string kMessages = R"("messages":[{"role":"user","content":"hi"}])";

ChatRequest chat(const std::string& body) {
  ChatRequest r;
  auto e = parse_chat(body, kVocabulary, r);
  EXPECT_FALSE(e) << e->message << " in " << body;
  return r;
}
CompletionRequest completion(const std::string& body) {
  CompletionRequest r;
  auto e = parse_completion(body, kVocabulary, r);
  EXPECT_FALSE(e) << e->message << " in " << body;
  return r;
}
ApiError chat_error(const std::string& body) {
  ChatRequest r;
  auto e = parse_chat(body, kVocabulary, r);
  EXPECT_TRUE(e) << "accepted: " << body.substr(0, 200);
  return e.value_or(ApiError{});
}
ApiError completion_error(const std::string& body) {
  CompletionRequest r;
  auto e = parse_completion(body, kVocabulary, r);
  EXPECT_TRUE(e) << "accepted: " << body.substr(0, 200);
  return e.value_or(ApiError{});
}
std::string repeat(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

TEST(ChatRequest, EveryField) {
  ChatRequest r = chat(R"({"model":"m","messages":[{"role":"developer","content":"be brief"},{"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],
    "max_completion_tokens":5,"max_tokens":5,"temperature":0.5,"top_p":0.9,"top_k":3,"min_p":0.1,"repeat_penalty":1.5,"presence_penalty":-1,"frequency_penalty":2,
    "n":2,"stop":["x","y"],"stream":true,"stream_options":{"include_usage":true},"seed":-7,"logit_bias":{"5":-100,"99":3.5},"logprobs":true,"top_logprobs":0,
    "user":"u","response_format":{"type":"text"},"ignore_eos":true,"store":false,"metadata":{"a":"b"},"service_tier":"auto","modalities":["text"],"tool_choice":null})");
  EXPECT_EQ(r.options.model, "m");
  EXPECT_EQ(r.options.max_tokens, 5);
  EXPECT_FLOAT_EQ(r.options.sampling.temperature, 0.5f);
  EXPECT_FLOAT_EQ(r.options.sampling.top_p, 0.9f);
  EXPECT_EQ(r.options.sampling.top_k, 3);
  EXPECT_FLOAT_EQ(r.options.sampling.min_p, 0.1f);
  EXPECT_FLOAT_EQ(r.options.sampling.repeat_penalty, 1.5f);
  EXPECT_FLOAT_EQ(r.options.sampling.presence_penalty, -1);
  EXPECT_FLOAT_EQ(r.options.sampling.frequency_penalty, 2);
  EXPECT_EQ(r.options.n, 2);
  EXPECT_EQ(r.options.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(r.options.stream && r.options.include_usage && r.options.logprobs && r.options.ignore_eos);
  EXPECT_EQ(r.options.seed, -7);
  EXPECT_EQ(r.options.sampling.bias, (std::vector<std::pair<int32_t, float>>{{5, -100.f}, {99, 3.5f}}));
  ASSERT_EQ(r.conversation.messages.size(), 2u);
  EXPECT_EQ(r.conversation.messages[0].role, "system");
  EXPECT_EQ(r.conversation.messages[1].content.as_string(), "ab");
  EXPECT_EQ(r.conversation.messages[1].name, "ann");
}

TEST(ChatRequest, DefaultsAreOpenAIs) {
  ChatRequest r = chat("{" + kMessages + R"(,"temperature":null,"stop":null,"n":null})");
  EXPECT_FLOAT_EQ(r.options.sampling.temperature, 1);
  EXPECT_FLOAT_EQ(r.options.sampling.top_p, 1);
  EXPECT_EQ(r.options.sampling.top_k, 0);
  EXPECT_EQ(r.options.max_tokens, -1);
  EXPECT_EQ(r.options.n, 1);
  EXPECT_FALSE(r.options.seed || r.options.stream || r.options.logprobs);
  EXPECT_TRUE(r.conversation.tools.is_none());
  EXPECT_EQ(chat("{" + kMessages + R"(,"top_p":0})").options.sampling.top_p, FLT_MIN);
  EXPECT_EQ(chat("{" + kMessages + R"(,"max_tokens":7.0})").options.max_tokens, 7);
}

TEST(ChatRequest, ToolsReachTheTemplate) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}])";
  ChatRequest r = chat("{" + kMessages + "," + tools + "}");
  ASSERT_TRUE(r.conversation.tools.is_list());
  EXPECT_EQ(r.conversation.tools.as_list().items[0].get("function")->get("name")->as_string(), "f");
  EXPECT_TRUE(chat("{" + kMessages + "," + tools + R"(,"tool_choice":"none"})").conversation.tools.is_none());
  EXPECT_EQ(chat_error("{" + kMessages + "," + tools + R"(,"tool_choice":"required"})").param, "tool_choice");
  EXPECT_EQ(chat_error("{" + kMessages + R"(,"tool_choice":"auto"})").param, "tool_choice");
  ChatRequest turn = chat(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"42"}]})");
  EXPECT_EQ(turn.conversation.messages[1].tool_calls[0].arguments.get("x")->as_int(), 1);
  EXPECT_EQ(turn.conversation.messages[2].tool_call_id, "c1");
}

struct Bad {
  std::string fields, param;
};

TEST(ChatRequest, NamesTheWrongField) {
  const std::vector<Bad> table = {
      {R"("temperature":"hot")", "temperature"}, {R"("temperature":-0.1)", "temperature"}, {R"("temperature":2.1)", "temperature"}, {R"("temperature":1e999)", "temperature"},
      {R"("top_p":1.01)", "top_p"}, {R"("top_p":true)", "top_p"}, {R"("min_p":-1)", "min_p"}, {R"("top_k":-1)", "top_k"}, {R"("top_k":9223372036854775808)", "top_k"},
      {R"("max_tokens":0)", "max_tokens"}, {R"("max_tokens":1.5)", "max_tokens"}, {R"("max_tokens":9223372036854775807)", "max_tokens"}, {R"("max_tokens":-9223372036854775809)", "max_tokens"},
      {R"("max_completion_tokens":"1")", "max_completion_tokens"}, {R"("max_tokens":1,"max_completion_tokens":2)", "max_tokens"},
      {R"("n":0)", "n"}, {R"("n":1000000000)", "n"}, {R"("n":1e300)", "n"}, {R"("n":[1])", "n"}, {R"("seed":1e19)", "seed"}, {R"("seed":18446744073709551615)", "seed"}, {R"("seed":0.5)", "seed"},
      {R"("stop":5)", "stop"}, {R"("stop":"")", "stop"}, {R"("stop":["a",3])", "stop[1]"}, {R"("stop":[)" + repeat("\"a\",", 16) + R"("a"])", "stop"},
      {R"("stop":")" + repeat("a", 1025) + "\"", "stop"}, {R"("stream":1)", "stream"}, {R"("stream":"true")", "stream"},
      {R"("stream_options":{"include_usage":true})", "stream_options"}, {R"("stream":true,"stream_options":{"x":1})", "stream_options.x"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"("presence_penalty":2.5)", "presence_penalty"}, {R"("frequency_penalty":{})", "frequency_penalty"}, {R"("repeat_penalty":0)", "repeat_penalty"},
      {R"("logit_bias":{"100":1})", "logit_bias"}, {R"("logit_bias":{"-1":1})", "logit_bias"}, {R"("logit_bias":{"a":1})", "logit_bias"}, {R"("logit_bias":{"1":101})", "logit_bias.1"},
      {R"("logit_bias":[1])", "logit_bias"}, {R"("logprobs":1)", "logprobs"}, {R"("logprobs":true,"top_logprobs":2)", "top_logprobs"}, {R"("top_logprobs":1)", "top_logprobs"},
      {R"("response_format":{"type":"json_object"})", "response_format"}, {R"("response_format":"text")", "response_format"}, {R"("tools":{})", "tools"},
      {R"("tools":[{"type":"function"}])", "tools[0].function"}, {R"("tools":[{"type":"x","function":{"name":"f"}}])", "tools[0].type"},
      {R"("user":5)", "user"}, {R"("model":5)", "model"}, {R"("store":true)", "store"}, {R"("functions":[])", "functions"}, {R"("reasoning_effort":"low")", "reasoning_effort"},
      {R"("modalities":["audio"])", "modalities"}, {R"("temprature":1)", "temprature"}, {R"("suffix":"x")", "suffix"}, {R"("parallel_tool_calls":false)", "parallel_tool_calls"},
  };
  for (const Bad& b : table) {
    ApiError e = chat_error("{" + kMessages + "," + b.fields + "}");
    EXPECT_EQ(e.param, b.param) << b.fields.substr(0, 100) << ": " << e.message;
    EXPECT_EQ(e.status, 400);
    EXPECT_NE(e.message.find(b.param.substr(0, b.param.find_first_of(".["))), std::string::npos) << e.message;
  }
}

TEST(ChatRequest, NamesTheWrongMessage) {
  const std::vector<Bad> table = {
      {"5", "messages"}, {"[]", "messages"}, {"[5]", "messages[0]"}, {R"([{"content":"a"}])", "messages[0].role"}, {R"([{"role":"user"}])", "messages[0].content"},
      {R"([{"role":"king","content":"a"}])", "messages[0].role"}, {R"([{"role":"user","content":7}])", "messages[0].content"}, {R"([{"role":"user","content":null}])", "messages[0].content"},
      {R"([{"role":"user","content":"a"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])", "messages[1].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"}, {R"([{"role":"user","content":"a","weight":1}])", "messages[0].weight"},
      {R"([{"role":"tool","content":"a"}])", "messages[0].tool_call_id"}, {R"([{"role":"user","content":"a","tool_calls":[]}])", "messages[0].tool_calls"},
      {R"([{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":{}}}]}])", "messages[0].tool_calls[0].function.arguments"},
      {R"([{"role":"assistant"}])", "messages[0].content"},
  };
  for (const Bad& b : table) EXPECT_EQ(chat_error(R"({"messages":)" + b.fields + "}").param, b.param) << b.fields;
  EXPECT_EQ(chat_error("{}").param, "messages");
}

TEST(ChatRequest, RefusesWhatIsNoSoundJson) {
  EXPECT_NE(chat_error("").message.find("JSON"), std::string::npos);
  EXPECT_NE(chat_error("[]").message.find("expected a JSON object"), std::string::npos);
  EXPECT_NE(chat_error("{" + kMessages + "} x").message.find("JSON"), std::string::npos);
  for (const char* number : {"NaN", "Infinity", "-Infinity", "0x10", "01", "1.", "+1"})
    EXPECT_NE(chat_error("{" + kMessages + ",\"temperature\":" + number + "}").message.find("line 1, column"), std::string::npos) << number;
  EXPECT_NE(chat_error("{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}").message.find("UTF-8"), std::string::npos);
  EXPECT_NE(chat_error("{\"messages\":[{\"role\":\"user\",\"content\":\"\xed\xa0\x80\"}]}").message.find("UTF-8"), std::string::npos);
  EXPECT_NE(chat_error(R"({"messages":[{"role":"user","content":"\ud800"}]})").message.find("UTF-8"), std::string::npos);
  EXPECT_NE(chat_error("{\"tools\":" + repeat("[", 100000)).message.find("deeper"), std::string::npos);
  EXPECT_NE(chat_error("{\"tools\":" + repeat("{\"a\":", 100000)).message.find("deeper"), std::string::npos);
  ApiError twice = chat_error("{" + kMessages + R"(,"n":1,"n":2})");
  EXPECT_EQ(twice.param, "n");
  EXPECT_NE(twice.message.find("twice"), std::string::npos);
  EXPECT_NE(chat_error(R"({"":1,"":2})").message.find("twice"), std::string::npos);
  std::string biases;
  for (int i = 0; i < 2000; ++i) biases += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  EXPECT_EQ(chat_error("{" + kMessages + ",\"logit_bias\":{" + biases + "}}").param, "logit_bias");
  EXPECT_EQ(chat_error(R"({"messages":[)" + repeat(R"({"role":"user","content":""},)", 10000) + R"({"role":"user","content":""}]})").param, "messages");
}

TEST(CompletionRequest, Prompts) {
  EXPECT_EQ(completion(R"({"prompt":"abc"})").prompts[0].text, "abc");
  EXPECT_EQ(completion(R"({"prompt":"abc"})").options.max_tokens, 16);
  EXPECT_EQ(completion(R"({"prompt":"abc","max_tokens":0})").options.max_tokens, 0);
  EXPECT_EQ(completion(R"({"prompt":["a","b"]})").prompts.size(), 2u);
  EXPECT_EQ(*completion(R"({"prompt":[1,2,99]})").prompts[0].tokens, (std::vector<int32_t>{1, 2, 99}));
  EXPECT_EQ(*completion(R"({"prompt":[[1],[2]]})").prompts[1].tokens, (std::vector<int32_t>{2}));
  EXPECT_TRUE(completion(R"({"prompt":"a","logprobs":0,"echo":false,"suffix":null,"best_of":1})").options.logprobs);
}

TEST(CompletionRequest, NamesTheWrongField) {
  const std::vector<Bad> table = {
      {"{}", "prompt"}, {R"({"prompt":5})", "prompt"}, {R"({"prompt":[]})", "prompt"}, {R"({"prompt":[1,100]})", "prompt[1]"}, {R"({"prompt":[1,-1]})", "prompt[1]"}, {R"({"prompt":[1,"a"]})", "prompt[1]"},
      {R"({"prompt":["a",1]})", "prompt[1]"}, {R"({"prompt":[[1],[1.5]]})", "prompt[1][0]"}, {R"({"prompt":"a","echo":true})", "echo"}, {R"({"prompt":"a","suffix":"b"})", "suffix"},
      {R"({"prompt":"a","logprobs":3})", "logprobs"}, {R"({"prompt":"a","best_of":4})", "best_of"}, {R"({"prompt":"a","messages":[]})", "messages"}, {R"({"prompt":"a","max_completion_tokens":4})", "max_completion_tokens"},
      {R"({"prompt":[)" + repeat("\"a\",", 64) + "\"a\"]}", "prompt"}, {R"({"n":16,"prompt":[)" + repeat("\"a\",", 5) + "\"a\"]}", "n"},
  };
  for (const Bad& b : table) EXPECT_EQ(completion_error(b.fields).param, b.param) << b.fields;
}

}  // namespace
}  // namespace lumen::server
