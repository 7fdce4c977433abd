// Response bodies and server-sent events, as OpenAI's API writes them. Text given is whole UTF-8.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"

namespace lumen::server {

// What every part of one answer repeats.
struct AnswerHead {
  bool chat = true;  // else a completion
  std::string id, model, fingerprint;
  int64_t created = 0;  // seconds since 1970
};

struct Usage {
  int64_t prompt = 0, generated = 0;  // tokens
};

struct TokenLogprob {
  std::string bytes;  // of the token: not always whole UTF-8
  float logprob = 0;
};

// An answer, or a piece of one.
struct ChoicePart {
  int64_t index = 0;
  std::string text;
  std::optional<std::vector<TokenLogprob>> logprobs;
  std::string finish;       // "stop", "length"; empty: goes on
  int64_t text_offset = 0;  // characters before this piece (completions' logprobs)
};

std::string answer_body(const AnswerHead& head, const std::vector<ChoicePart>& choices, const Usage& usage);
std::string error_body(const ApiError& error);
std::string models_body(const std::string& model, int64_t created);
std::string model_body(const std::string& model, int64_t created);

// Events: "data: …\n\n".
std::string role_event(const AnswerHead& head, int64_t index, bool usage_follows);  // chat only: the first of a choice
std::string part_event(const AnswerHead& head, const ChoicePart& part, bool usage_follows);
std::string usage_event(const AnswerHead& head, const Usage& usage);
std::string error_event(const ApiError& error);
inline constexpr const char* kDoneEvent = "data: [DONE]\n\n";
inline constexpr const char* kAliveEvent = ": still working\n\n";  // a comment; keeps the connection from looking dead

int64_t characters(const std::string& utf8);

}  // namespace lumen::server
