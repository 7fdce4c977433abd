// From chunks to bodies and events.
#include "server/answer.h"

#include <random>
#include <utility>

namespace lumen::server {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

HttpResponse json_response(int status, std::string body, Headers headers) {
  headers.emplace_back("Content-Type", "application/json");
  return {status, std::move(body), std::move(headers)};
}

ApiError failed(std::string message) { return {.status = 500, .message = std::move(message)}; }

}  // namespace

Answer::Answer(Backend& backend, std::shared_ptr<Load> load, std::shared_ptr<HttpExchange> exchange, AnswerHead head, const AnswerOptions& options, int64_t choices,
               Headers headers)
    : backend_(backend), load_(std::move(load)), exchange_(std::move(exchange)), head_(std::move(head)), options_(options), headers_(std::move(headers)) {
  choices_.resize(static_cast<size_t>(choices));
  ++load_->answers;
  open_ = choices_.size();
  for (size_t i = 0; i < choices_.size(); ++i) choices_[i].part.index = static_cast<int64_t>(i);
}

// The load says when nothing uses the backend any more, so that goes down last.
Answer::~Answer() {
  release();
  exchange_.reset();
  --load_->answers;
}

void Answer::release() {
  if (!std::exchange(released_, true)) load_->choices -= static_cast<int64_t>(choices_.size());
}

void Answer::start(std::vector<std::vector<int32_t>> prompts) {
  exchange_->on_gone([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->cancel();
  });
  for (const auto& p : prompts) prompt_tokens_ += static_cast<int64_t>(p.size());
  uint64_t seed = options_.seed ? static_cast<uint64_t>(*options_.seed) : (static_cast<uint64_t>(std::random_device{}()) << 32 | std::random_device{}());
  if (options_.stream) {
    Headers h = headers_;
    h.insert(h.end(), {{"Content-Type", "text/event-stream; charset=utf-8"}, {"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
    exchange_->keep_alive(kAliveEvent);
    exchange_->begin({200, {}, std::move(h)});
    if (head_.chat)
      for (const Choice& c : choices_) exchange_->write(role_event(head_, c.part.index, options_.include_usage));
  }
  for (size_t i = 0; i < choices_.size(); ++i) {
    runtime::Request r;
    r.prompt = prompts[i / static_cast<size_t>(options_.n)];
    r.sampling = options_.sampling;
    r.sampling.seed = seed + i;  // choices differ, and a seed given makes all of them repeatable
    r.max_tokens = options_.max_tokens;
    r.stop = options_.stop;
    r.ignore_eog = options_.ignore_eos;
    r.on_chunk = [self = shared_from_this(), i](const runtime::Chunk& c) { return self->on_chunk(static_cast<int64_t>(i), c); };
    auto id = backend_.submit(std::move(r));
    if (!id) {
      ApiError e{.status = id.error().usage ? 400 : 500, .message = id.error().message, .param = id.error().usage ? head_.chat ? "messages" : "prompt" : ""};
      {
        std::lock_guard lock(mutex_);
        fail(std::move(e));
      }
      cancel();
      return;
    }
    {
      std::lock_guard lock(mutex_);
      ids_.push_back(*id);
    }
    if (cancelled_) {  // cancel() may not have seen this id
      backend_.cancel(*id);
      return;
    }
  }
}

void Answer::cancel() {
  cancelled_ = true;
  std::vector<uint64_t> ids;
  {
    std::lock_guard lock(mutex_);
    ids = ids_;
  }
  for (uint64_t id : ids) backend_.cancel(id);
}

// Text and tokens do not arrive in step: a text that could begin a stop text is held back, its tokens are not. A token is given
// once text has come up to it; at the end, tokens of a stop text are left out with it.
void Answer::add_logprobs(Choice& choice, const runtime::Chunk& c, bool last) {
  for (size_t i = 0; i < c.tokens.size(); ++i) choice.waiting.push_back({backend_.piece(c.tokens[i]), i < c.logprobs.size() ? c.logprobs[i] : 0});
  bool all = options_.stop.empty();
  size_t n = 0;
  for (; n < choice.waiting.size(); ++n) {
    if (!all && choice.token_bytes >= choice.text_bytes) break;
    choice.token_bytes += static_cast<int64_t>(choice.waiting[n].bytes.size());
    choice.part.logprobs->push_back(std::move(choice.waiting[n]));
  }
  choice.waiting.erase(choice.waiting.begin(), choice.waiting.begin() + static_cast<int64_t>(last ? choice.waiting.size() : n));
}

bool Answer::on_chunk(int64_t index, const runtime::Chunk& c) {
  std::lock_guard lock(mutex_);
  if (done_) return false;
  if (c.finish == engine::Finish::Failed) {
    fail(failed(c.error.empty() ? "the model failed" : c.error));
    return false;
  }
  if (c.finish == engine::Finish::Cancelled) {
    fail({.status = 503, .message = "the answer was cancelled because the server is stopping", .code = "shutting_down"});
    return false;
  }
  if (cancelled_) return false;
  Choice& choice = choices_[static_cast<size_t>(index)];
  if (choice.over) return false;
  bool last = c.finish != engine::Finish::None;
  choice.part.text += c.text;
  choice.text_bytes += static_cast<int64_t>(c.text.size());
  if (options_.logprobs) {
    if (!choice.part.logprobs) choice.part.logprobs.emplace();
    add_logprobs(choice, c, last);
  }
  if (last) {
    choice.over = true;
    choice.generated = c.generated_tokens;
  }
  std::string finish = !last ? "" : c.finish == engine::Finish::Length ? "length" : "stop";
  if (options_.stream) {
    bool tokens = choice.part.logprobs && !choice.part.logprobs->empty();
    if (!choice.part.text.empty() || tokens) {
      exchange_->write(part_event(head_, choice.part, options_.include_usage));
      choice.part.text_offset += characters(choice.part.text);
      choice.part.text.clear();
    }
    choice.part.logprobs.reset();
    choice.part.finish = finish;
    if (last) exchange_->write(part_event(head_, choice.part, options_.include_usage));
  } else {
    choice.part.finish = finish;
  }
  if (last && --open_ == 0) this->finish();
  return true;
}

void Answer::finish() {
  done_ = true;
  release();
  Usage usage{prompt_tokens_, 0};
  for (const Choice& c : choices_) usage.generated += c.generated;
  if (options_.stream) {
    if (options_.include_usage) exchange_->write(usage_event(head_, usage));
    exchange_->write(kDoneEvent);
    exchange_->end();
    return;
  }
  std::vector<ChoicePart> parts;
  for (Choice& c : choices_) parts.push_back(std::move(c.part));
  exchange_->reply(json_response(200, answer_body(head_, parts, usage), headers_));
}

void Answer::fail(ApiError e) {
  if (done_) return;
  done_ = true;
  release();
  cancelled_ = true;  // the other choices end with their next chunk
  if (options_.stream) {
    exchange_->write(error_event(e));
    exchange_->end();
  } else {
    exchange_->reply(json_response(e.status, error_body(e), headers_));
  }
}

}  // namespace lumen::server
