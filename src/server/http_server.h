// HTTP/1.1 over TCP, and nothing about models: connections, limits, timeouts, streaming. Boost.Asio and Beast stay behind this.
// Invariants: one thread does all reading and writing; handlers run on worker threads; a request is answered exactly once; what a
// client sends is bounded in size and in time before a handler sees it.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace lumen::server {

struct HttpRequest {
  std::string method, path, query;  // query without its '?'
  std::string host;                 // of the Host header or the absolute target; empty: none
  std::string origin, authorization, content_type, content_encoding;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // besides those of the connection and Content-Length
};

// The way back to one client. Thread-safe; does nothing once the client is gone.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual void reply(HttpResponse response) = 0;  // the whole answer
  virtual void begin(HttpResponse head) = 0;      // or: status and headers (its body is not used),
  virtual void write(std::string data) = 0;       // pieces,
  virtual void end() = 0;                         // and the end
  // `alive` is written when nothing else was for a while. Only between begin and end.
  virtual void keep_alive(std::string alive) = 0;
  // Called once, on a worker thread, when the client goes away before the end; at once if it has.
  virtual void on_gone(std::function<void()> call) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Sees the head alone and may answer already, then the body is never read. Runs on the thread of all connections: be quick.
  virtual std::optional<HttpResponse> check(const HttpRequest& head) = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) = 0;
  // The body of an answer that this layer gives itself (400, 408, 413, 431, 500, 503).
  virtual HttpResponse refusal(int status, const std::string& message) = 0;
};

struct HttpLimits {
  size_t header_bytes = 16 << 10;             // start line and headers
  size_t body_bytes = 16 << 20;               // of one request
  size_t all_bodies_bytes = 256 << 20;        // of all requests being read or answered
  size_t connections = 512;                   // more wait in the system's queue
  std::chrono::milliseconds header_time{10000}, body_time{60000}, idle_time{75000}, write_time{30000};
  std::chrono::milliseconds alive_time{15000};  // silence after which a stream says that it lives
  std::chrono::milliseconds grace{5000};        // running answers may take this long after a request to stop
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one
  HttpLimits limits;
  bool catch_signals = true;                   // SIGINT and SIGTERM stop; a second one stops at once
  const std::atomic<bool>* stop = nullptr;     // set by another thread: the same
  std::function<void(const std::string& address, uint16_t port, bool loopback)> on_ready;
};

// Runs until told to stop; everything was answered or given up then, and nothing calls the handler any more.
Status serve_http(const HttpOptions& options, HttpHandler& handler);

}  // namespace lumen::server
