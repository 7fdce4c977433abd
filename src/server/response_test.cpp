// Bodies and events to the byte, and the text of HTTP around them.
#include "server/response.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/http_text.h"

namespace lumen::server {
namespace {

const AnswerHead kChat{true, "chatcmpl-1", "m", "fp_1", 7};
const AnswerHead kText{false, "cmpl-1", "m", "fp_1", 7};

TEST(Events, Chat) {
  EXPECT_EQ(role_event(kChat, 1, false),
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":1,\"delta\":"
            "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
  EXPECT_EQ(part_event(kChat, {.text = "a\n\n\"b\" \xf0\x9f\x98\x80"}, true),
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":"
            "{\"content\":\"a\\n\\n\\\"b\\\" \xf0\x9f\x98\x80\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
  std::string last = part_event(kChat, {.finish = "length"}, false);
  EXPECT_NE(last.find("\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\""), std::string::npos) << last;
  EXPECT_NE(usage_event(kChat, {3, 4}).find("\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n"), std::string::npos);
  EXPECT_STREQ(kDoneEvent, "data: [DONE]\n\n");
}

TEST(Events, Errors) {
  EXPECT_EQ(error_event({.status = 500, .message = "x"}), "data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n");
  EXPECT_EQ(error_body({.message = "no \x1b", .param = "n", .code = "c"}), "{\"error\":{\"message\":\"no \\u001b\",\"type\":\"invalid_request_error\",\"param\":\"n\",\"code\":\"c\"}}");
}

TEST(Bodies, LogprobsOfBytesThatAreNoText) {
  ChoicePart c{.text = "\xc3\xa9", .logprobs = std::vector<TokenLogprob>{{"\xc3", -0.5f}, {"\xa9", -INFINITY}}, .finish = "stop", .text_offset = 3};
  std::string chat = answer_body(kChat, {c}, {1, 2});
  EXPECT_NE(chat.find("\"bytes\":[195]"), std::string::npos) << chat;
  EXPECT_NE(chat.find("\"bytes\":[169]"), std::string::npos) << chat;
  EXPECT_NE(chat.find("\"token\":\"\xef\xbf\xbd\",\"logprob\":-5E-1"), std::string::npos) << chat;
  EXPECT_NE(chat.find("-9.999E3"), std::string::npos) << chat;
  std::string text = answer_body(kText, {c}, {1, 2});
  EXPECT_NE(text.find("\"text_offset\":[3,4]"), std::string::npos) << text;
  EXPECT_NE(text.find("\"object\":\"text_completion\""), std::string::npos) << text;
}

TEST(HttpText, Chunks) {
  EXPECT_EQ(chunk_of("hello world, this"), "11\r\nhello world, this\r\n");
  EXPECT_EQ(chunk_of(""), "");
}

TEST(HttpText, Targets) {
  HttpRequest r;
  EXPECT_TRUE(split_target("/a?b=c", r));
  EXPECT_EQ(r.path + "|" + r.query, "/a|b=c");
  EXPECT_TRUE(split_target("http://h:1/x", r));
  EXPECT_EQ(r.host + "|" + r.path, "h:1|/x");
  EXPECT_FALSE(split_target("", r));
  EXPECT_FALSE(split_target("a/b", r));
  EXPECT_FALSE(split_target("http:///x", r));
}

TEST(HttpText, HostNames) {
  EXPECT_EQ(host_name("LOCALHOST:80"), "localhost");
  EXPECT_EQ(host_name("[::1]:80"), "::1");
  EXPECT_EQ(host_name("127.0.0.1"), "127.0.0.1");
  for (const char* bad : {"", "[::1", "[::1]x", "localhost:80:80", "localhost:x"}) EXPECT_EQ(host_name(bad), "") << bad;
}

TEST(HttpText, Secrets) {
  EXPECT_TRUE(same_secret("abc", "abc"));
  for (const char* bad : {"", "ab", "abcd", "abcabc", "abd", "ABC"}) EXPECT_FALSE(same_secret(bad, "abc")) << bad;
}

TEST(HttpText, PercentSigns) {
  std::string s;
  EXPECT_TRUE(percent_decode("a%2Fb%20", s));
  EXPECT_EQ(s, "a/b ");
  for (const char* bad : {"%", "%1", "%zz"}) EXPECT_FALSE(percent_decode(bad, s)) << bad;
}

}  // namespace
}  // namespace lumen::server
