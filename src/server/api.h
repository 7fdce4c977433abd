// Api: routes, keys, hosts and queues: which requests are heard, and what becomes of each.
// Invariants: every route but /health asks for the key where there is one; a page of another origin can neither read an answer
// nor start one (no CORS headers, JSON content type, Host checked on loopback); every error has OpenAI's body.
#pragma once
#include <memory>
#include <string>

#include "server/answer.h"
#include "server/http_server.h"

namespace lumen::server {

struct ApiOptions {
  std::string api_key;     // empty: none is asked for
  int64_t most_choices = 64;  // in progress or waiting; more get 503
};

class Api : public HttpHandler {
 public:
  Api(Backend& backend, ApiOptions options);
  ~Api() override;  // waits until nothing of it is in the backend
  // On a loopback address only its own names are served: a page that rebinds its name to 127.0.0.1 is not.
  void set_loopback(bool on) { loopback_ = on; }
  std::optional<HttpResponse> check(const HttpRequest& head) override;
  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override;
  HttpResponse refusal(int status, const std::string& message) override;

 private:
  void chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  void complete(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  std::optional<ApiError> allowed(const HttpRequest& head) const;
  std::optional<ApiError> check_options(const AnswerOptions& o) const;
  std::optional<ApiError> check_length(size_t bytes, const std::string& param) const;
  std::optional<ApiError> check_tokens(const std::vector<int32_t>& prompt, const std::string& param) const;
  void begin(bool chat, const AnswerOptions& options, std::vector<std::vector<int32_t>> prompts, const std::shared_ptr<HttpExchange>& exchange);
  HttpResponse response(int status, std::string body) const;
  HttpResponse error(const ApiError& e) const { return response(e.status, error_body(e)); }

  Backend& backend_;
  ApiOptions options_;
  std::shared_ptr<Load> load_ = std::make_shared<Load>();
  std::string fingerprint_;
  int64_t created_;
  bool loopback_ = false;
};

}  // namespace lumen::server
