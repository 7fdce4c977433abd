// Typed requests from JSON, after OpenAI's schema. Invariant: nothing is silently ignored; a field is read, or is one of those that
// only label a request (user, safety_identifier, prompt_cache_key, metadata), or is refused by name. null means absent.
// Differences: top_k, min_p, repeat_penalty and ignore_eos are extensions; max_tokens above what the context leaves ends the
// answer with "length"; role developer is handed to templates as system; tools reach the template, but calls in the answer are not
// parsed yet and arrive as text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/generator.h"
#include "server/api_error.h"

namespace lumen::server {

inline constexpr int64_t kMostChoices = 16;          // n
inline constexpr int64_t kMostAnswers = 64;          // prompts times n
inline constexpr size_t kMostStops = 16, kLongestStop = 1024;
inline constexpr size_t kMostBiases = 1024;
inline constexpr size_t kMostMessages = 10000;
inline constexpr size_t kMostTools = 128;
inline constexpr uint32_t kDeepestJson = 64;
inline constexpr int64_t kCompletionTokens = 16;     // completions' max_tokens where none is given, as OpenAI's

// What both endpoints share.
struct AnswerOptions {
  std::string model;  // empty: not given
  engine::SamplerOptions sampling;
  std::optional<int64_t> seed;  // absent: another one each time
  int64_t max_tokens = -1;
  int64_t n = 1;
  std::vector<std::string> stop;
  bool ignore_eos = false, stream = false, include_usage = false, logprobs = false;
};

struct ChatRequest {
  AnswerOptions options;
  chat::Conversation conversation;
};

struct Prompt {
  std::string text;
  std::optional<std::vector<int32_t>> tokens;  // instead of text
};
struct CompletionRequest {
  AnswerOptions options;
  std::vector<Prompt> prompts;
};

// The error of the first field found wrong; none: `out` is complete. Token ids must lie below `vocabulary`.
std::optional<ApiError> parse_chat(std::string_view body, int64_t vocabulary, ChatRequest& out);
std::optional<ApiError> parse_completion(std::string_view body, int64_t vocabulary, CompletionRequest& out);

}  // namespace lumen::server
