// Answer: one HTTP request's choices while the generator makes them, whole or as a stream.
// Invariants: chunks may come from any thread, and before submit() has returned; the client gets one answer or one error; an
// Answer lives as long as the generator may call it.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/backend.h"
#include "server/http_server.h"
#include "server/request.h"
#include "server/response.h"

namespace lumen::server {

// Shared by all answers: choices that are being made, and answers that the backend may still call.
struct Load {
  std::atomic<int64_t> choices{0}, answers{0};
};

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  // `choices` were added to `load` already; they leave it before the client hears the end.
  Answer(Backend& backend, std::shared_ptr<Load> load, std::shared_ptr<HttpExchange> exchange, AnswerHead head, const AnswerOptions& options, int64_t choices,
         std::vector<std::pair<std::string, std::string>> headers);
  ~Answer();
  // Submits `n` choices of each prompt (none too long). Errors go to the client.
  void start(std::vector<std::vector<int32_t>> prompts);
  // The client left, or the server stops.
  void cancel();

 private:
  struct Choice {
    ChoicePart part;                     // what was not sent yet; all of it where nothing is streamed
    std::vector<TokenLogprob> waiting;   // tokens whose text a stop text may still swallow
    int64_t text_bytes = 0, token_bytes = 0;  // given so far
    int64_t generated = 0;
    bool over = false;
  };
  bool on_chunk(int64_t index, const runtime::Chunk& c);
  void add_logprobs(Choice& choice, const runtime::Chunk& c, bool last);
  // Both with mutex_ held.
  void finish();
  void fail(ApiError e);
  void release();  // its choices leave the load; once

  Backend& backend_;
  std::shared_ptr<Load> load_;
  std::shared_ptr<HttpExchange> exchange_;
  AnswerHead head_;
  AnswerOptions options_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::mutex mutex_;
  std::vector<Choice> choices_;
  std::vector<uint64_t> ids_;
  int64_t prompt_tokens_ = 0;
  size_t open_ = 0;
  bool done_ = false;       // answered, or an error was
  bool released_ = false;
  std::atomic<bool> cancelled_{false};
};

}  // namespace lumen::server
