// The routes.
#include "server/api.h"

#include <chrono>
#include <ctime>
#include <random>
#include <thread>

#include "server/http_text.h"

namespace lumen::server {
namespace {

struct Route {
  const char* path;
  const char* methods;  // the Allow header
};
constexpr Route kRoutes[] = {
    {"/health", "GET, HEAD, OPTIONS"},
    {"/v1/models", "GET, HEAD, OPTIONS"},
    {"/v1/models/", "GET, HEAD, OPTIONS"},  // and a model's name
    {"/v1/chat/completions", "POST, OPTIONS"},
    {"/v1/completions", "POST, OPTIONS"},
};
constexpr std::string_view kModels = "/v1/models/";

const Route* route_of(const std::string& path) {
  for (const Route& r : kRoutes)
    if (path == r.path) return path == kModels ? nullptr : &r;
  return path.rfind(kModels, 0) == 0 ? &kRoutes[2] : nullptr;
}

bool allows(const Route& r, const std::string& method) {
  std::string_view all = r.methods;
  for (size_t at = 0; at < all.size();) {
    size_t end = std::min(all.find(", ", at), all.size());
    if (all.substr(at, end - at) == method) return true;
    at = end + 2;
  }
  return false;
}

std::string random_name(const char* prefix) {
  static constexpr char kLetters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  thread_local std::mt19937_64 rng(static_cast<uint64_t>(std::random_device{}()) << 32 | std::random_device{}());
  std::string s = prefix;
  for (int i = 0; i < 24; ++i) s += kLetters[rng() % 36];
  return s;
}

std::string lower(std::string s) {
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return s;
}

// "application/json", perhaps with "; charset=utf-8".
bool is_json(const std::string& type) {
  std::string t = lower(type);
  size_t semicolon = t.find(';');
  std::string kind = t.substr(0, semicolon);
  while (!kind.empty() && (kind.back() == ' ' || kind.back() == '\t')) kind.pop_back();
  if (kind != "application/json") return false;
  size_t charset = t.find("charset=");
  if (charset == std::string::npos) return true;
  std::string set = t.substr(charset + 8);
  return set == "utf-8" || set == "\"utf-8\"" || set == "utf8";
}

// FNV-1a: what answers depend on besides the request, as a short name.
std::string fingerprint_of(const Backend& b) {
  uint64_t h = 14695981039346656037u;
  for (char c : "0.1.0/" + b.name() + "/" + std::to_string(b.vocabulary()) + "/" + std::to_string(b.context())) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  char text[24];
  std::snprintf(text, sizeof text, "fp_%010llx", static_cast<unsigned long long>(h & 0xffffffffff));
  return text;
}

}  // namespace

Api::Api(Backend& backend, ApiOptions options) : backend_(backend), options_(std::move(options)), fingerprint_(fingerprint_of(backend)), created_(std::time(nullptr)) {}

Api::~Api() {
  while (load_->answers > 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

HttpResponse Api::response(int status, std::string body) const {
  HttpResponse r{status, std::move(body), {{"Content-Type", "application/json"}, {"X-Request-Id", random_name("req_")}}};
  if (status == 401) r.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status == 503) r.headers.emplace_back("Retry-After", "1");
  return r;
}

HttpResponse Api::refusal(int status, const std::string& message) { return error({.status = status, .message = message}); }

// Host, origin, key: in that order, so that a foreign page learns nothing about the key.
std::optional<ApiError> Api::allowed(const HttpRequest& h) const {
  std::string host = host_name(h.host);
  if (loopback_ && host != "localhost" && host != "127.0.0.1" && host != "::1")
    return ApiError{.status = 403, .message = "the Host header names '" + h.host.substr(0, 100) + "': this server listens on loopback and answers to localhost, 127.0.0.1 and [::1] only", .code = "host_not_allowed"};
  std::string origin = lower(h.origin), own = "://" + lower(h.host);  // https: a proxy before this server may speak it
  if (!origin.empty() && origin != "http" + own && origin != "https" + own)
    return ApiError{.status = 403, .message = "requests from pages of another origin ('" + h.origin.substr(0, 100) + "') are refused", .code = "origin_not_allowed"};
  if (h.path == "/health" || options_.api_key.empty()) return std::nullopt;
  constexpr std::string_view kBearer = "bearer ";
  std::string_view a = h.authorization;
  if (a.empty()) return ApiError{.status = 401, .message = "an API key is needed: Authorization: Bearer KEY", .code = "invalid_api_key"};
  if (lower(std::string(a.substr(0, kBearer.size()))) != kBearer || !same_secret(a.substr(kBearer.size()), options_.api_key))
    return ApiError{.status = 401, .message = "the API key is not the right one", .code = "invalid_api_key"};
  return std::nullopt;
}

std::optional<HttpResponse> Api::check(const HttpRequest& h) {
  if (auto e = allowed(h)) return error(*e);
  const Route* route = route_of(h.path);
  if (!route) return error({.status = 404, .message = "there is no " + h.path.substr(0, 200) + " here", .code = "unknown_url"});
  if (!allows(*route, h.method)) {
    HttpResponse r = error({.status = 405, .message = h.path.substr(0, 200) + ": expected " + route->methods + ", found " + h.method.substr(0, 40), .code = "method_not_allowed"});
    r.headers.emplace_back("Allow", route->methods);
    return r;
  }
  if (h.method == "OPTIONS") {
    HttpResponse r = response(204, "");
    r.headers.emplace_back("Allow", route->methods);
    return r;
  }
  if (!h.query.empty()) return error({.message = "the query '" + h.query.substr(0, 100) + "' is not understood: expected none", .code = "unknown_parameter"});
  if (h.path == "/health") return response(200, "{\"status\":\"ok\"}");
  if (h.path == "/v1/models") return response(200, models_body(backend_.name(), created_));
  if (h.path.rfind(kModels, 0) == 0) {
    std::string model;
    if (!percent_decode(std::string_view(h.path).substr(kModels.size()), model) || !backend_.answers_to(model))
      return error({.status = 404, .message = "there is no such model here: expected " + backend_.name(), .param = "model", .code = "model_not_found"});
    return response(200, model_body(backend_.name(), created_));
  }
  // A form that a page of another origin can send unasked is never JSON by its type.
  if (!is_json(h.content_type)) return error({.status = 415, .message = "Content-Type: expected application/json, found '" + h.content_type.substr(0, 100) + "'"});
  if (!h.content_encoding.empty() && lower(h.content_encoding) != "identity")
    return error({.status = 415, .message = "Content-Encoding: expected none, found '" + h.content_encoding.substr(0, 100) + "'"});
  return std::nullopt;
}

void Api::handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  if (request.path == "/v1/chat/completions") chat(request, exchange);
  else complete(request, exchange);
}

std::optional<ApiError> Api::check_options(const AnswerOptions& o) const {
  if (!o.model.empty() && !backend_.answers_to(o.model))
    return ApiError{.status = 404, .message = "model: this server has '" + backend_.name() + "', not the model asked for", .param = "model", .code = "model_not_found"};
  if (Status s = engine::validate(o.sampling); !s) return ApiError{.message = s.error().message, .param = s.error().message.substr(0, s.error().message.find(':'))};
  return std::nullopt;
}

std::optional<ApiError> Api::check_length(size_t bytes, const std::string& param) const {
  if (bytes <= backend_.longest_prompt()) return std::nullopt;
  return ApiError{.message = param + ": a text of " + std::to_string(bytes) + " bytes cannot fit the context of " + std::to_string(backend_.context()) + " tokens", .param = param, .code = "context_length_exceeded"};
}

std::optional<ApiError> Api::check_tokens(const std::vector<int32_t>& prompt, const std::string& param) const {
  if (prompt.empty()) return ApiError{.message = param + ": expected at least one token", .param = param, .code = "invalid_value"};
  if (static_cast<int64_t>(prompt.size()) < backend_.context()) return std::nullopt;
  return ApiError{.message = param + ": the context holds " + std::to_string(backend_.context()) + " tokens, at least one must be left for the answer, and there are " +
                             std::to_string(prompt.size()) + " already",
                  .param = param,
                  .code = "context_length_exceeded"};
}

void Api::chat(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  ChatRequest r;
  auto problem = parse_chat(request.body, backend_.vocabulary(), r);
  if (!problem) problem = check_options(r.options);
  if (!problem && !backend_.chats())
    problem = ApiError{.message = "messages: this model has no chat template; /v1/completions continues a plain text", .param = "messages", .code = "unsupported_parameter"};
  if (!problem && !r.conversation.tools.is_none() && !backend_.takes_tools())
    problem = ApiError{.message = "tools: this model's chat template has no place for tools", .param = "tools", .code = "unsupported_parameter"};
  if (!problem) {
    size_t bytes = 0;
    for (const chat::Message& m : r.conversation.messages)
      if (m.content.is_string()) bytes += m.content.as_string().size();
    problem = check_length(bytes, "messages");
  }
  std::vector<std::vector<int32_t>> prompts;
  if (!problem) {
    auto ids = backend_.encode_chat(r.conversation);
    if (!ids) problem = ApiError{.message = "messages: " + ids.error().message, .param = "messages", .code = "invalid_value"};
    else if (!(problem = check_tokens(*ids, "messages"))) prompts.push_back(ids.take());
  }
  if (problem) return exchange->reply(error(*problem));
  begin(true, r.options, std::move(prompts), exchange);
}

void Api::complete(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  CompletionRequest r;
  auto problem = parse_completion(request.body, backend_.vocabulary(), r);
  if (!problem) problem = check_options(r.options);
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < r.prompts.size() && !problem; ++i) {
    Prompt& p = r.prompts[i];
    std::vector<int32_t> ids;
    if (p.tokens) {
      ids = std::move(*p.tokens);
    } else {
      if ((problem = check_length(p.text.size(), "prompt"))) break;
      auto encoded = backend_.encode(p.text);
      if (!encoded) problem = ApiError{.message = "prompt: " + encoded.error().message, .param = "prompt"};
      else ids = encoded.take();
    }
    if (!problem) problem = check_tokens(ids, "prompt");
    prompts.push_back(std::move(ids));
  }
  if (problem) return exchange->reply(error(*problem));
  begin(false, r.options, std::move(prompts), exchange);
}

void Api::begin(bool chat, const AnswerOptions& options, std::vector<std::vector<int32_t>> prompts, const std::shared_ptr<HttpExchange>& exchange) {
  int64_t choices = static_cast<int64_t>(prompts.size()) * options.n;
  if (load_->choices.fetch_add(choices) + choices > options_.most_choices) {
    load_->choices -= choices;
    return exchange->reply(error({.status = 503, .message = "the server is busy with as many answers as it takes; try again later", .code = "overloaded"}));
  }
  AnswerHead head{chat, random_name(chat ? "chatcmpl-" : "cmpl-"), backend_.name(), fingerprint_, std::time(nullptr)};
  auto answer = std::make_shared<Answer>(backend_, load_, exchange, std::move(head), options, choices,
                                         std::vector<std::pair<std::string, std::string>>{{"X-Request-Id", random_name("req_")}});
  answer->start(std::move(prompts));
}

}  // namespace lumen::server
