// Connections as coroutines on one thread; handlers on a small pool. The only file that knows Asio and Beast.
#include "server/http_server.h"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <csignal>
#include <cstdio>
#include <deque>
#include <mutex>
#include <set>

#include "server/http_text.h"

namespace lumen::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 4096;
constexpr size_t kAheadBytes = 128 << 10;  // bytes of later requests that are taken in while one is answered
constexpr auto kForever = std::chrono::hours(24 * 365);

// Written to by handlers on their threads, read by the connection on its own. `timer_` is the connection's: it waits on it.
class Exchange : public HttpExchange, public std::enable_shared_from_this<Exchange> {
 public:
  enum class Kind { Reply, Begin, Write, End };
  struct Item {
    Kind kind;
    HttpResponse response;
    std::string data;
  };

  Exchange(asio::io_context& io, asio::thread_pool& workers, asio::steady_timer& timer) : io_(&io), workers_(&workers), timer_(&timer) {}
  void reply(HttpResponse r) override { push({Kind::Reply, std::move(r), {}}); }
  void begin(HttpResponse r) override { push({Kind::Begin, std::move(r), {}}); }
  void write(std::string data) override { push({Kind::Write, {}, std::move(data)}); }
  void end() override { push({Kind::End, {}, {}}); }
  void keep_alive(std::string alive) override {
    std::lock_guard lock(mutex_);
    alive_ = std::move(alive);
  }
  void on_gone(std::function<void()> call) override {
    {
      std::lock_guard lock(mutex_);
      if (!gone_) {
        gone_call_ = std::move(call);
        return;
      }
    }
    call();
  }

  // From here on: the connection's thread.
  std::deque<Item> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }
  bool empty() {
    std::lock_guard lock(mutex_);
    return items_.empty();
  }
  std::string alive() {
    std::lock_guard lock(mutex_);
    return alive_;
  }
  // The handler is told to give up; what it still says reaches the client, if there is one.
  void give_up() {
    std::function<void()> call;
    {
      std::lock_guard lock(mutex_);
      gone_ = true;
      call = std::exchange(gone_call_, nullptr);
    }
    if (call) asio::post(*workers_, std::move(call));
  }
  // The connection is done with this exchange.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = gone_ = true;
    items_.clear();
    gone_call_ = nullptr;
  }

 private:
  void push(Item item) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    items_.push_back(std::move(item));
    if (items_.size() > 1) return;  // it has been woken
    asio::post(*io_, [self = shared_from_this()] {
      std::lock_guard inner(self->mutex_);
      if (!self->closed_) self->timer_->cancel();
    });
  }

  asio::io_context* io_;
  asio::thread_pool* workers_;
  asio::steady_timer* timer_;
  std::mutex mutex_;
  std::deque<Item> items_;
  std::string alive_;
  std::function<void()> gone_call_;
  bool closed_ = false, gone_ = false;
};

class Connection;

struct Server {
  Server(const HttpOptions& o, HttpHandler& h) : options(o), limits(o.limits), handler(h) {}
  Status listen();
  void run();
  asio::awaitable<void> accept();
  asio::awaitable<void> converse(tcp::socket socket);
  void wait_for_signal();
  void poll_stop();
  void stop();  // the first time gently, the second at once
  void abort_all();
  void make_room();

  const HttpOptions& options;
  const HttpLimits& limits;
  HttpHandler& handler;
  asio::io_context io{1};
  asio::thread_pool workers{2};
  tcp::acceptor acceptor{io};
  asio::signal_set signals{io};
  asio::steady_timer poll{io}, room{io}, grace{io};
  std::set<Connection*> connections;
  size_t body_bytes = 0;  // of all bodies being read or answered
  bool stopping = false;
};

class Connection {
 public:
  Connection(Server& server, tcp::socket socket) : server_(server), limits_(server.limits), stream_(std::move(socket)), timer_(server.io) {
    server_.connections.insert(this);
  }
  ~Connection() {
    drop_exchange();
    server_.body_bytes -= reserved_;
    server_.connections.erase(this);
    server_.room.cancel();
    if (server_.stopping && server_.connections.empty()) server_.grace.cancel();
  }
  asio::awaitable<void> run();
  bool idle() const { return idle_; }
  void cancel() { stream_.cancel(); }
  void give_up() {
    if (exchange_) exchange_->give_up();
  }
  void abort() {
    gone_ = true;
    error_code ec;
    stream_.socket().close(ec);
    timer_.cancel();
  }

 private:
  using Parser = http::request_parser<http::string_body>;
  asio::awaitable<bool> one();  // reads and answers one request; true: there may be another
  asio::awaitable<bool> read_body(Parser& parser, bool& answered);
  asio::awaitable<bool> answer(HttpRequest request);
  asio::awaitable<bool> refuse(int status, std::string message);  // gives false: the connection cannot go on
  asio::awaitable<bool> refuse(error_code ec);
  asio::awaitable<bool> send(const HttpResponse& r);
  asio::awaitable<bool> send_text(const std::string& text);
  asio::awaitable<void> linger();
  std::string head_problem(const Parser& parser, HttpRequest& out) const;
  std::string text_of(std::deque<Exchange::Item> items, bool& over);
  void watch();
  void drop_exchange() {
    if (exchange_) exchange_->close();
    exchange_.reset();
  }

  Server& server_;
  const HttpLimits& limits_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{kAheadBytes + (64 << 10)};
  asio::steady_timer timer_;
  std::shared_ptr<Exchange> exchange_;  // of the request being answered
  size_t reserved_ = 0;                 // this connection's part of Server::body_bytes
  // idle: between requests. watching: a wait for the client's bytes is pending. gone: the client closed or broke the connection.
  bool idle_ = false, watching_ = false, gone_ = false;
  bool keep_ = true, head_only_ = false, old_ = false;  // of the current request; old: HTTP/1.0
  bool begun_ = false, chunked_ = false;                // of the current answer
};

asio::awaitable<void> Connection::run() {
  error_code ec;
  stream_.socket().set_option(tcp::no_delay(true), ec);
  stream_.socket().non_blocking(true, ec);
  bool more = true;
  while (more) {
    more = co_await one();
    server_.body_bytes -= std::exchange(reserved_, 0);
  }
  if (!gone_) co_await linger();
}

asio::awaitable<bool> Connection::one() {
  if (buffer_.size() == 0) {
    if (server_.stopping) co_return false;
    idle_ = true;
    stream_.expires_after(limits_.idle_time);
    auto [ec, n] = co_await stream_.async_read_some(buffer_.prepare(kReadBytes), kToken);
    idle_ = false;
    if (ec) {
      gone_ = true;
      co_return false;
    }
    buffer_.commit(n);
  }
  keep_ = true;
  head_only_ = old_ = begun_ = false;
  Parser parser;
  parser.header_limit(static_cast<uint32_t>(limits_.header_bytes));
  parser.body_limit(limits_.body_bytes);
  stream_.expires_after(limits_.header_time);
  auto [ec, n] = co_await http::async_read_header(stream_, buffer_, parser, kToken);
  if (ec) co_return co_await refuse(ec);
  HttpRequest request;
  std::string problem = head_problem(parser, request);
  if (!problem.empty()) co_return co_await refuse(400, problem);
  old_ = parser.get().version() < 11;
  head_only_ = request.method == "HEAD";
  keep_ = parser.keep_alive() && !server_.stopping;
  std::optional<HttpResponse> early = server_.handler.check(request);
  if (early) {
    if (!parser.is_done()) keep_ = false;  // a body follows that nobody reads
    bool sent = co_await send(*early);
    co_return sent && keep_;
  }
  if (!parser.is_done()) {
    bool answered = false;
    bool whole = co_await read_body(parser, answered);
    if (!whole) co_return false;
  }
  request.body = std::move(parser.get().body());
  co_return co_await answer(std::move(request));
}

// Empty: the head is sound, and `out` holds what handlers see of it.
std::string Connection::head_problem(const Parser& parser, HttpRequest& out) const {
  const auto& h = parser.get();
  out.method = std::string(h.method_string());
  std::string_view target(h.target().data(), h.target().size());
  if (h.count(http::field::host) > 1) return "the Host header must stand once";
  if (h.version() >= 11 && h.count(http::field::host) == 0) return "the Host header is missing";
  auto value = [&](http::field f) { return std::string(h[f]); };
  out.host = value(http::field::host);
  if (!split_target(target, out)) return "the request's target must be a path";
  if (h.count(http::field::transfer_encoding) && (!beast::iequals(h[http::field::transfer_encoding], "chunked") || !parser.chunked() || h.version() < 11))
    return "Transfer-Encoding: only chunked is understood, over HTTP/1.1";
  if (h.count(http::field::content_length) && h.count(http::field::transfer_encoding)) return "Content-Length and Transfer-Encoding exclude each other";
  if (h.count(http::field::content_length) > 1 || h[http::field::content_length].find(',') != beast::string_view::npos) return "Content-Length must stand once";
  for (http::field f : {http::field::authorization, http::field::content_type, http::field::origin, http::field::content_encoding})
    if (h.count(f) > 1) return "the " + std::string(http::to_string(f)) + " header must stand once";
  out.origin = value(http::field::origin);
  out.authorization = value(http::field::authorization);
  out.content_type = value(http::field::content_type);
  out.content_encoding = value(http::field::content_encoding);
  return {};
}

asio::awaitable<bool> Connection::read_body(Parser& parser, bool& answered) {
  answered = true;
  auto expect = parser.get()[http::field::expect];
  if (!expect.empty() && !beast::iequals(expect, "100-continue")) co_return co_await refuse(417, "Expect: only 100-continue is understood");
  auto length = parser.content_length();
  size_t wanted = length ? static_cast<size_t>(*length) : limits_.body_bytes;
  if (wanted > limits_.all_bodies_bytes - std::min(limits_.all_bodies_bytes, server_.body_bytes))
    co_return co_await refuse(503, "too many large requests at once; try again later");
  reserved_ = wanted;
  server_.body_bytes += wanted;
  if (!expect.empty() && buffer_.size() == 0) {
    bool sent = co_await send_text("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return false;
  }
  stream_.expires_after(limits_.body_time);
  auto [ec, n] = co_await http::async_read(stream_, buffer_, parser, kToken);
  if (ec) co_return co_await refuse(ec);
  answered = false;
  co_return true;
}

// While the answer is made, the socket is watched: bytes of further requests are kept, an end means that the client went away.
void Connection::watch() {
  if (gone_ || buffer_.size() >= kAheadBytes) return;
  watching_ = true;
  stream_.socket().async_wait(tcp::socket::wait_read, [this](error_code ec) {
    watching_ = false;
    timer_.cancel();
    if (ec) return;  // cancelled
    size_t n = stream_.socket().read_some(buffer_.prepare(kReadBytes), ec);
    if (ec && ec != asio::error::would_block) {
      gone_ = true;
      return;
    }
    buffer_.commit(ec ? 0 : n);
    watch();
  });
}

asio::awaitable<bool> Connection::answer(HttpRequest request) {
  exchange_ = std::make_shared<Exchange>(server_.io, server_.workers, timer_);
  asio::post(server_.workers, [&handler = server_.handler, exchange = exchange_, r = std::move(request)]() mutable {
    try {
      handler.handle(std::move(r), exchange);
    } catch (const std::exception& e) {  // memory that could not be had, above all
      exchange->reply(handler.refusal(500, std::string("the server failed: ") + e.what()));
    }
  });
  watch();
  bool over = false;
  while (!over && !gone_) {
    std::string out = text_of(exchange_->take(), over);
    if (!out.empty()) {
      bool sent = co_await send_text(out);
      if (!sent) gone_ = true;
      continue;
    }
    if (over) break;
    timer_.expires_after(limits_.alive_time);
    auto [ec] = co_await timer_.async_wait(kToken);
    if (!ec && begun_ && !gone_ && exchange_->empty()) {
      std::string alive = exchange_->alive();
      if (alive.empty()) continue;
      if (chunked_) alive = chunk_of(alive);  // not inside the co_await: g++ 12 destroys a conditional's temporaries there twice
      bool sent = co_await send_text(alive);
      if (!sent) gone_ = true;
    }
  }
  if (gone_) exchange_->give_up();
  drop_exchange();
  stream_.cancel();
  while (watching_) {
    timer_.expires_after(kForever);
    co_await timer_.async_wait(kToken);
  }
  co_return keep_ && !gone_ && !server_.stopping;
}

// What was said so far, as bytes; `over`: it was the end.
std::string Connection::text_of(std::deque<Exchange::Item> items, bool& over) {
  std::string out, data;
  for (Exchange::Item& item : items) {
    if (over) break;
    switch (item.kind) {
      case Exchange::Kind::Reply:
        if (begun_) break;
        if (server_.stopping) keep_ = false;
        out = response_head(item.response, Framing::Length, item.response.body.size(), keep_);
        if (!head_only_) out += item.response.body;
        over = true;
        break;
      case Exchange::Kind::Begin:
        begun_ = true;
        chunked_ = !old_;
        if (!chunked_ || server_.stopping) keep_ = false;
        out = response_head(item.response, chunked_ ? Framing::Chunked : Framing::UntilClose, 0, keep_);
        break;
      case Exchange::Kind::Write: data += item.data; break;
      case Exchange::Kind::End: over = true; break;
    }
  }
  if (begun_) {
    out += chunked_ ? chunk_of(data) : data;
    if (over && chunked_) out += kLastChunk;
  }
  return out;
}

asio::awaitable<bool> Connection::send_text(const std::string& text) {
  stream_.expires_after(limits_.write_time);
  auto [ec, n] = co_await asio::async_write(stream_, asio::buffer(text), kToken);
  co_return !ec;
}

asio::awaitable<bool> Connection::send(const HttpResponse& r) {
  std::string text = response_head(r, Framing::Length, r.body.size(), keep_);
  if (!head_only_) text += r.body;
  bool sent = co_await send_text(text);
  if (!sent) gone_ = true;
  co_return sent;
}

asio::awaitable<bool> Connection::refuse(int status, std::string message) {
  keep_ = false;
  HttpResponse r = server_.handler.refusal(status, message);
  co_await send(r);
  co_return false;
}

asio::awaitable<bool> Connection::refuse(error_code ec) {
  if (ec == http::error::body_limit)
    co_return co_await refuse(413, "the body is larger than " + std::to_string(limits_.body_bytes) + " bytes");
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow)
    co_return co_await refuse(431, "the head is larger than " + std::to_string(limits_.header_bytes) + " bytes");
  if (ec.category() == make_error_code(http::error::bad_method).category() && ec != http::error::end_of_stream && ec != http::error::partial_message)
    co_return co_await refuse(400, "no valid HTTP request: " + ec.message());
  // The stream's own timeout has closed the socket: a client this slow gets no answer.
  gone_ = true;
  co_return false;
}

// Closing with unread bytes would make the system discard an answer on its way; so the client may finish first, for a moment.
asio::awaitable<void> Connection::linger() {
  error_code ec;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ec);
  if (ec) co_return;
  stream_.expires_after(std::chrono::seconds(2));
  char scrap[kReadBytes];
  for (size_t total = 0; total < server_.limits.body_bytes * 2;) {
    auto [error, n] = co_await stream_.async_read_some(asio::buffer(scrap), kToken);
    if (error) break;
    total += n;
  }
}

Status Server::listen() {
  error_code ec;
  asio::ip::address address = asio::ip::make_address(options.host, ec);
  if (ec) {
    tcp::resolver resolver(io);
    auto found = resolver.resolve(options.host, "", ec);
    if (ec || found.empty()) return Error{"--host: expected an address or a name of this machine, found '" + options.host + "'", true};
    address = found.begin()->endpoint().address();
    for (const auto& f : found)
      if (f.endpoint().address().is_v4()) {
        address = f.endpoint().address();
        break;
      }
  }
  tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return Error{"cannot listen on " + options.host + " port " + std::to_string(options.port) + ": " + ec.message()};
  return ok_status();
}

asio::awaitable<void> Server::converse(tcp::socket socket) {
  Connection c(*this, std::move(socket));
  co_await c.run();
}

// One that waits between requests makes way for a new one.
void Server::make_room() {
  for (Connection* c : connections)
    if (c->idle()) return c->cancel();
}

asio::awaitable<void> Server::accept() {
  while (!stopping) {
    if (connections.size() >= limits.connections) {
      make_room();
      room.expires_after(std::chrono::milliseconds(200));
      co_await room.async_wait(kToken);
      continue;
    }
    auto [ec, socket] = co_await acceptor.async_accept(kToken);
    if (stopping) break;
    if (ec) {  // out of descriptors, or a client that left at once
      room.expires_after(std::chrono::milliseconds(50));
      co_await room.async_wait(kToken);
      continue;
    }
    asio::co_spawn(io, converse(std::move(socket)), [](std::exception_ptr e) {
      try {
        if (e) std::rethrow_exception(e);
      } catch (const std::exception& x) {  // this connection is lost, the others are not
        std::fprintf(stderr, "lumen: a connection failed: %s\n", x.what());
      }
    });
  }
}

void Server::wait_for_signal() {
  signals.async_wait([this](error_code ec, int) {
    if (ec) return;
    stop();
    wait_for_signal();
  });
}

void Server::poll_stop() {
  if (options.stop->load()) return stop();
  poll.expires_after(std::chrono::milliseconds(50));
  poll.async_wait([this](error_code ec) {
    if (!ec) poll_stop();
  });
}

void Server::abort_all() {
  std::set<Connection*> all = connections;
  for (Connection* c : all) c->abort();
}

void Server::stop() {
  if (stopping) return abort_all();
  stopping = true;
  error_code ec;
  acceptor.close(ec);
  room.cancel();
  poll.cancel();
  for (Connection* c : connections)
    if (c->idle()) c->cancel();
  if (connections.empty()) return;
  grace.expires_after(limits.grace);
  grace.async_wait([this](error_code e) {
    if (e || connections.empty()) return;
    for (Connection* c : connections) c->give_up();  // their clients get an error, if they still read
    grace.expires_after(std::chrono::seconds(2));
    grace.async_wait([this](error_code e2) {
      if (!e2) abort_all();
    });
  });
}

void Server::run() {
  error_code ec;
  tcp::endpoint at = acceptor.local_endpoint(ec);
  if (options.on_ready) options.on_ready(at.address().to_string(), at.port(), at.address().is_loopback());
  if (options.catch_signals) {
    signals.add(SIGINT, ec);
    signals.add(SIGTERM, ec);
    wait_for_signal();
  }
  if (options.stop) poll_stop();
  asio::co_spawn(io, accept(), asio::detached);
  // The wait for signals alone must not keep the loop alive.
  while (!(stopping && connections.empty()) && io.run_one() > 0) {
  }
  signals.cancel(ec);
  grace.cancel();
  io.run();
  workers.join();
}

}  // namespace

Status serve_http(const HttpOptions& options, HttpHandler& handler) {
  Server server(options, handler);
  LUMEN_CHECK(server.listen());
  server.run();
  return ok_status();
}

}  // namespace lumen::server
