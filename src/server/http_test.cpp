// The whole server over real sockets, with a backend that has no model: hostile clients, limits, keys, streams, departures.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <map>
#include <thread>

#include "server/api.h"

namespace lumen::server {
namespace {

using namespace std::chrono_literals;

// Answers "w0 w1 w2 …" on a thread of its own. A prompt that begins with F fails, with E never ends, with S neither, and slowly, with Q never says
// anything.
class FakeBackend : public Backend {
 public:
  FakeBackend() : thread_([this] { loop(); }) {}
  ~FakeBackend() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  std::string name() const override { return "fake"; }
  bool answers_to(const std::string& m) const override { return m == "fake"; }
  bool chats() const override { return true; }
  bool takes_tools() const override { return false; }
  int64_t vocabulary() const override { return 256; }
  int64_t context() const override { return 64; }
  size_t longest_prompt() const override { return 640; }
  Result<std::vector<int32_t>> encode(std::string_view text) override {
    std::vector<int32_t> ids;
    for (unsigned char c : text) ids.push_back(c);
    return ids;
  }
  Result<std::vector<int32_t>> encode_chat(const chat::Conversation& c) override {
    if (c.messages.back().role == "assistant") return Error{"the roles must alternate"};
    return encode(c.messages.back().content.as_string());
  }
  std::string piece(int32_t t) const override { return "w" + std::to_string(t) + " "; }
  Result<uint64_t> submit(runtime::Request r) override {
    std::lock_guard lock(mutex_);
    live_[++last_] = {std::move(r), 0, false};
    wake_.notify_all();
    return last_;
  }
  void cancel(uint64_t id) override {
    std::lock_guard lock(mutex_);
    if (live_.count(id)) live_[id].cancelled = true;
    wake_.notify_all();
  }
  size_t live() {
    std::lock_guard lock(mutex_);
    return live_.size();
  }
  bool eventually_idle() {
    for (int i = 0; i < 3000 && live() > 0; ++i) std::this_thread::sleep_for(5ms);
    return live() == 0;
  }

 private:
  struct Live {
    runtime::Request request;
    int made = 0;
    bool cancelled = false;
  };
  // True: it is over.
  bool step(Live& l) {
    runtime::Chunk c;
    bool endless = l.request.prompt[0] == 'S' || l.request.prompt[0] == 'E';
    int most = l.request.max_tokens < 0 ? 3 : static_cast<int>(l.request.max_tokens);
    if (l.cancelled) {
      c.finish = engine::Finish::Cancelled;
    } else if (l.request.prompt[0] == 'Q') {
      return false;
    } else if (l.request.prompt[0] == 'F' && l.made == 1) {
      c.finish = engine::Finish::Failed;
      c.error = "the device is lost";
    } else if (!endless && l.made >= most) {
      c.finish = engine::Finish::Length;
      c.generated_tokens = l.made;
    } else {
      c.text = piece(l.made);
      c.tokens = {l.made++};
      c.logprobs = {-0.5f};
    }
    bool over = c.finish != engine::Finish::None;
    return !l.request.on_chunk(c) || over;
  }
  void loop() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return stop_ || !live_.empty(); });
      if (stop_) return;
      std::vector<uint64_t> ids;
      for (auto& [id, l] : live_) ids.push_back(id);
      for (uint64_t id : ids) {
        Live l = live_[id];
        lock.unlock();
        bool over = step(l);
        if (l.request.prompt[0] == 'S' || l.request.prompt[0] == 'Q') std::this_thread::sleep_for(1ms);
        lock.lock();
        if (over) live_.erase(id);
        else live_[id].made = l.made;
      }
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<uint64_t, Live> live_;
  uint64_t last_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

class Client {
 public:
  explicit Client(uint16_t port) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;
  }
  ~Client() { leave(); }
  void leave() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  bool connected() const { return connected_; }
  bool send_all(std::string_view s) {
    while (!s.empty()) {
      ssize_t n = ::send(fd_, s.data(), s.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      s.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // Until `end` was read (all of it when empty) or the server closed or some seconds went by.
  std::string read_until(const std::string& end, int milliseconds = 5000) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (end.empty() || got_.find(end) == std::string::npos) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      pollfd p{fd_, POLLIN, 0};
      if (left <= 0 || poll(&p, 1, static_cast<int>(left)) <= 0) break;
      char part[65536];
      ssize_t n = recv(fd_, part, sizeof part, 0);
      if (n <= 0) {
        closed_ = true;
        break;
      }
      got_.append(part, static_cast<size_t>(n));
    }
    return got_;
  }
  bool closed() const { return closed_; }

 private:
  int fd_ = -1;
  bool connected_ = false, closed_ = false;
  std::string got_;
};

class HttpTest : public ::testing::Test {
 protected:
  void start(ApiOptions options = {}, HttpLimits limits = {}, bool loopback = true) {
    api_ = std::make_unique<Api>(backend_, std::move(options));
    http_.port = 0;
    http_.limits = limits;
    http_.catch_signals = false;
    http_.stop = &stop_;
    http_.on_ready = [this, loopback](const std::string&, uint16_t port, bool) {
      api_->set_loopback(loopback);
      std::lock_guard lock(mutex_);
      port_ = port;
      ready_.notify_all();
    };
    thread_ = std::thread([this] { EXPECT_TRUE(serve_http(http_, *api_)); });
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return port_ != 0; });
  }
  void TearDown() override {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    api_.reset();
    EXPECT_EQ(backend_.live(), 0u);
  }
  std::string ask(const std::string& request) {
    Client c(port_);
    c.send_all(request);
    return c.read_until("");
  }
  static std::string post(const std::string& path, const std::string& body, const std::string& headers = "Connection: close\r\n") {
    return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
  }
  static std::string get(const std::string& path, const std::string& headers = "Host: localhost\r\n", const std::string& method = "GET") {
    return method + " " + path + " HTTP/1.1\r\n" + headers + "Connection: close\r\n\r\n";
  }
  static int status_of(const std::string& response) { return response.size() > 12 ? std::atoi(response.substr(9, 3).c_str()) : 0; }

  FakeBackend backend_;
  std::unique_ptr<Api> api_;
  HttpOptions http_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable ready_;
  uint16_t port_ = 0;
};

const std::string kChat = "/v1/chat/completions", kText = "/v1/completions";
std::string chat_body(const std::string& content, const std::string& more = "") {
  return R"({"model":"fake","messages":[{"role":"user","content":")" + content + "\"}]" + more + "}";
}

TEST_F(HttpTest, Routes) {
  start();
  EXPECT_EQ(status_of(ask(get("/health"))), 200);
  EXPECT_NE(ask(get("/v1/models")).find("\"id\":\"fake\""), std::string::npos);
  EXPECT_EQ(status_of(ask(get("/v1/models/fake"))), 200);
  EXPECT_NE(ask(get("/v1/models/../../etc/passwd")).find("model_not_found"), std::string::npos);
  EXPECT_EQ(status_of(ask(get("/v1/models/%zz"))), 404);
  for (const char* path : {"/", "/v1", "/v1/chat", "/v1/chat/completions/", "/v1/embeddings", "//health"}) {
    std::string r = ask(get(path));
    EXPECT_EQ(status_of(r), 404) << path;
    EXPECT_NE(r.find("\"error\":{"), std::string::npos);
  }
  std::string r = ask(get(kChat));
  EXPECT_EQ(status_of(r), 405);
  EXPECT_NE(r.find("Allow: POST, OPTIONS"), std::string::npos);
  EXPECT_NE(r.find("\"error\":{"), std::string::npos);
  EXPECT_EQ(status_of(ask(get("/health", "Host: localhost\r\n", "DELETE"))), 405);
  EXPECT_EQ(status_of(ask(get("/health?x=1"))), 400);
  std::string head = ask(get("/v1/models", "Host: localhost\r\n", "HEAD"));
  EXPECT_EQ(status_of(head), 200);
  EXPECT_EQ(head.substr(head.find("\r\n\r\n")), "\r\n\r\n");
  std::string options = ask(get(kChat, "Host: localhost\r\nAccess-Control-Request-Method: POST\r\n", "OPTIONS"));
  EXPECT_EQ(status_of(options), 204);
  EXPECT_EQ(options.find("Access-Control"), std::string::npos);
}

TEST_F(HttpTest, Answers) {
  start();
  std::string r = ask(post(kChat, chat_body("hi", ",\"n\":2,\"max_tokens\":4")));
  EXPECT_EQ(status_of(r), 200) << r;
  EXPECT_NE(r.find("\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":\"w0 w1 w2 w3 \""), std::string::npos) << r;
  EXPECT_NE(r.find("\"finish_reason\":\"length\""), std::string::npos);
  EXPECT_NE(r.find("\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":8,\"total_tokens\":10}"), std::string::npos) << r;
  r = ask(post(kText, R"({"prompt":["a","bc"],"max_tokens":1,"logprobs":0})"));
  EXPECT_NE(r.find("\"index\":1,\"text\":\"w0 \",\"logprobs\":{\"tokens\":[\"w0 \"],\"token_logprobs\":[-5E-1]"), std::string::npos) << r;
  EXPECT_NE(r.find("\"prompt_tokens\":3,\"completion_tokens\":2"), std::string::npos) << r;
}

TEST_F(HttpTest, Streams) {
  start();
  std::string r = ask(post(kChat, chat_body("hi", R"(,"stream":true,"max_tokens":2,"stream_options":{"include_usage":true})")));
  EXPECT_NE(r.find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_NE(r.find("Transfer-Encoding: chunked"), std::string::npos);
  size_t role = r.find("\"role\":\"assistant\""), first = r.find("{\"content\":\"w0 \"}"), second = r.find("{\"content\":\"w1 \"}"), end = r.find("\"finish_reason\":\"length\""),
         usage = r.find("\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2"), done = r.find("data: [DONE]\n\n\r\n0\r\n\r\n");
  EXPECT_TRUE(role < first && first < second && second < end && end < usage && usage < done && done != std::string::npos) << r;
  // HTTP/1.0 knows no chunks: the end of the connection is the end.
  Client old(port_);
  std::string body = chat_body("hi", R"(,"stream":true)");
  old.send_all("POST " + kChat + " HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  r = old.read_until("");
  EXPECT_TRUE(old.closed());
  EXPECT_EQ(r.find("chunked"), std::string::npos);
  EXPECT_EQ(r.substr(r.size() - 14), "data: [DONE]\n\n");
}

TEST_F(HttpTest, ErrorsOfTheModel) {
  start();
  std::string r = ask(post(kText, R"({"prompt":"F"})"));
  EXPECT_EQ(status_of(r), 500);
  EXPECT_NE(r.find("{\"error\":{\"message\":\"the device is lost\",\"type\":\"server_error\""), std::string::npos) << r;
  r = ask(post(kText, R"({"prompt":"F","stream":true})"));
  EXPECT_EQ(status_of(r), 200);
  EXPECT_NE(r.find("data: {\"error\":{\"message\":\"the device is lost\""), std::string::npos) << r;
  EXPECT_EQ(r.find("[DONE]"), std::string::npos);
  r = ask(post(kChat, R"({"messages":[{"role":"assistant","content":"x"}]})"));
  EXPECT_EQ(status_of(r), 400);
  EXPECT_NE(r.find("\"param\":\"messages\""), std::string::npos);
}

TEST_F(HttpTest, Refusals) {
  start();
  auto has = [&](const std::string& body, int status, const std::string& part) {
    std::string r = ask(post(kText, body));
    EXPECT_EQ(status_of(r), status) << r;
    EXPECT_NE(r.find(part), std::string::npos) << r;
  };
  has(R"({"prompt":"a","model":"gpt-4"})", 404, "\"param\":\"model\",\"code\":\"model_not_found\"");
  has(R"({"prompt":")" + std::string(64, 'a') + "\"}", 400, "\"param\":\"prompt\",\"code\":\"context_length_exceeded\"");
  has(R"({"prompt":")" + std::string(1000, 'a') + "\"}", 400, "\"param\":\"prompt\",\"code\":\"context_length_exceeded\"");
  has(R"({"prompt":""})", 400, "\"param\":\"prompt\"");
  has(R"({"prompt":"a","n":1000000000})", 400, "\"param\":\"n\"");
  EXPECT_NE(ask(post(kChat, chat_body("a", R"(,"tools":[{"type":"function","function":{"name":"f"}}])"))).find("\"param\":\"tools\""), std::string::npos);
  std::string typeless = "POST " + kText + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
  EXPECT_EQ(status_of(ask(typeless)), 415);
  EXPECT_EQ(status_of(ask(post(kText, "{}", "Content-Encoding: gzip\r\nConnection: close\r\n"))), 415);
}

TEST_F(HttpTest, BrokenHttp) {
  start();
  const std::string head = "POST " + kText + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n", body = R"({"prompt":"a"})";
  for (const std::string& request : std::vector<std::string>{
           "\x16\x03\x01\x02" + std::string(100, '\0'), "GET\r\n\r\n", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", "GET /health HTTP/1.1\r\n\r\n", "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
           "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /health HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
           head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
           head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", head + "Content-Length: -1\r\n\r\n", head + "Content-Length: 99999999999999999999\r\n\r\n", head + "Content-Length: 5, 5\r\n\r\nabcde",
           head + "Transfer-Encoding: gzip\r\n\r\nabc", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
           head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"}) {
    auto begin = std::chrono::steady_clock::now();
    std::string r = ask(request);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s) << request;
    int status = status_of(r);
    EXPECT_TRUE(status == 400 || status == 413) << request << "\n-> " << r;
    EXPECT_NE(r.find("\"error\":{"), std::string::npos) << r;
  }
  EXPECT_EQ(status_of(ask("POST " + kText + " HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), 400);
  // Sound chunks are read.
  char size[8];
  std::snprintf(size, sizeof size, "%zx", body.size());
  EXPECT_EQ(status_of(ask(head + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + size + ";x=y\r\n" + body + "\r\n0\r\nTrailer: z\r\n\r\n")), 200);
  EXPECT_EQ(status_of(ask(get("/health"))), 200);
}

TEST_F(HttpTest, Sizes) {
  HttpLimits limits;
  limits.body_bytes = 1000;
  limits.all_bodies_bytes = 1500;
  start({}, limits);
  EXPECT_EQ(status_of(ask("GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(100000, 'x') + "\r\n\r\n")), 431);
  EXPECT_EQ(status_of(ask("GET /" + std::string(100000, 'x') + " HTTP/1.1\r\nHost: localhost\r\n\r\n")), 431);
  std::string many;
  for (int i = 0; i < 20000; ++i) many += "A: b\r\n";
  EXPECT_EQ(status_of(ask("GET /health HTTP/1.1\r\nHost: localhost\r\n" + many + "\r\n")), 431);
  std::string r = ask(post(kText, std::string(1001, ' ')));
  EXPECT_EQ(status_of(r), 413) << r;
  std::string chunks;
  for (int i = 0; i < 300; ++i) chunks += "5\r\n     \r\n";
  EXPECT_EQ(status_of(ask("POST " + kText + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)), 413);
  // One body of 1000 bytes on its way leaves no room for another.
  Client slow(port_);
  slow.send_all("POST " + kText + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n ");
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(status_of(ask(post(kText, std::string(900, ' ')))), 503);
  slow.leave();
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(status_of(ask(post(kText, std::string(900, ' ')))), 400);
}

TEST_F(HttpTest, SlowClients) {
  HttpLimits limits;
  limits.header_time = limits.body_time = limits.idle_time = 200ms;
  limits.connections = 3;
  start({}, limits);
  for (const std::string& part : {std::string(), std::string("GET /hea"), "POST " + kText + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"}) {
    Client c(port_);
    c.send_all(part);
    c.read_until("", 3000);
    EXPECT_TRUE(c.closed()) << part;
  }
  // More connections than there is room for: those that are silent make way.
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 10; ++i) silent.push_back(std::make_unique<Client>(port_));
  EXPECT_EQ(status_of(ask(get("/health"))), 200);
}

TEST_F(HttpTest, Pipelining) {
  start();
  Client c(port_);
  std::string one = post(kText, R"({"prompt":"a"})", "");
  c.send_all(one + "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + one + get("/v1/models"));
  std::string r = c.read_until("");
  size_t first = r.find("text_completion"), second = r.find("{\"status\":\"ok\"}"), third = r.find("text_completion", second), fourth = r.find("\"object\":\"list\"");
  EXPECT_TRUE(first < second && second < third && third < fourth && fourth != std::string::npos) << r;
  Client wait(port_);
  wait.send_all("POST " + kText + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 14\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
  EXPECT_NE(wait.read_until("\r\n\r\n").find("100 Continue"), std::string::npos);
  wait.send_all(R"({"prompt":"a"})");
  EXPECT_NE(wait.read_until("").find("HTTP/1.1 200 OK"), std::string::npos);
}

TEST_F(HttpTest, DepartureEndsTheWork) {
  start();
  for (bool stream : {true, false}) {
    Client c(port_);
    c.send_all(post(kText, std::string(R"({"prompt":"S","n":3)") + (stream ? ",\"stream\":true}" : "}")));
    for (int i = 0; i < 400 && backend_.live() < 3; ++i) std::this_thread::sleep_for(5ms);
    EXPECT_EQ(backend_.live(), 3u);
    if (stream) c.read_until("w5 ");
    c.leave();
    EXPECT_TRUE(backend_.eventually_idle());
  }
}

TEST_F(HttpTest, ReadersThatDoNotRead) {
  HttpLimits limits;
  limits.write_time = 300ms;
  start({}, limits);
  Client c(port_);
  // An endless stream to a client that never reads: the sockets' buffers fill up, and then its time is over.
  c.send_all(post(kText, R"({"prompt":"E","stream":true})"));
  for (int i = 0; i < 400 && backend_.live() == 0; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(backend_.live(), 1u);
  EXPECT_TRUE(backend_.eventually_idle());
}

TEST_F(HttpTest, SilentStreamsSayThatTheyLive) {
  HttpLimits limits;
  limits.alive_time = 20ms;
  start({}, limits);
  Client c(port_);
  c.send_all(post(kText, R"({"prompt":"Q","stream":true})"));
  const std::string alive = "11\r\n: still working\n\n\r\n";
  EXPECT_NE(c.read_until(alive + alive).find(alive + alive), std::string::npos);
  EXPECT_FALSE(c.closed());
  c.leave();
  EXPECT_TRUE(backend_.eventually_idle());
  Client whole(port_);  // an answer in one piece has nothing to say meanwhile
  whole.send_all(post(kText, R"({"prompt":"Q"})"));
  EXPECT_EQ(whole.read_until("", 200), "");
}

TEST_F(HttpTest, Keys) {
  start({"sesame", 64});
  for (const char* path : {"/v1/models", "/v1/models/fake", "/v1/chat/completions", "/nothing"}) {
    std::string r = ask(get(path));
    EXPECT_EQ(status_of(r), 401) << path;
    EXPECT_NE(r.find("WWW-Authenticate: Bearer"), std::string::npos);
  }
  EXPECT_EQ(status_of(ask(get("/health"))), 200);
  for (const char* wrong : {"Bearer sesam", "Bearer sesame1", "Bearer ", "Bearer", "sesame", "Basic sesame"})
    EXPECT_EQ(status_of(ask(get("/v1/models", std::string("Host: localhost\r\nAuthorization: ") + wrong + "\r\n"))), 401) << wrong;
  EXPECT_EQ(status_of(ask(get("/v1/models", "Host: localhost\r\nAuthorization: Bearer sesame\r\n"))), 200);
  EXPECT_EQ(status_of(ask(post(kText, R"({"prompt":"a"})"))), 401);
}

TEST_F(HttpTest, ForeignPages) {
  start();
  for (const char* host : {"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", ""})
    EXPECT_EQ(status_of(ask(get("/v1/models", std::string("Host: ") + host + "\r\n"))), 403) << host;
  for (const char* host : {"localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"}) EXPECT_EQ(status_of(ask(get("/v1/models", std::string("Host: ") + host + "\r\n"))), 200) << host;
  std::string r = ask(post(kText, R"({"prompt":"a"})", "Origin: http://evil.example\r\nConnection: close\r\n"));
  EXPECT_EQ(status_of(r), 403);
  EXPECT_EQ(r.find("Access-Control"), std::string::npos);
  EXPECT_EQ(status_of(ask(get("/v1/models", "Host: localhost\r\nOrigin: null\r\n"))), 403);
  EXPECT_EQ(status_of(ask(get("/v1/models", "Host: localhost:1\r\nOrigin: http://localhost:1\r\n"))), 200);
}

TEST_F(HttpTest, AnyNameWhenNotOnLoopback) {
  start({}, {}, false);
  EXPECT_EQ(status_of(ask(get("/v1/models", "Host: my.machine\r\n"))), 200);
}

TEST_F(HttpTest, FullQueue) {
  start({"", 3});
  Client busy(port_);
  busy.send_all(post(kText, R"({"prompt":"S","n":2,"stream":true})"));
  busy.read_until("w0");
  std::string r = ask(post(kText, R"({"prompt":"a","n":2})"));
  EXPECT_EQ(status_of(r), 503) << r;
  EXPECT_NE(r.find("Retry-After"), std::string::npos);
  EXPECT_EQ(status_of(ask(post(kText, R"({"prompt":"a"})"))), 200);
  busy.leave();
  EXPECT_TRUE(backend_.eventually_idle());
}

TEST_F(HttpTest, StoppingTellsTheClient) {
  HttpLimits limits;
  limits.grace = 100ms;
  start({}, limits);
  Client stream(port_), whole(port_), idle(port_);
  idle.send_all("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  idle.read_until("ok");
  stream.send_all(post(kText, R"({"prompt":"S","stream":true})"));
  whole.send_all(post(kText, R"({"prompt":"S"})"));
  stream.read_until("w3 ");
  stop_ = true;
  thread_.join();
  EXPECT_NE(stream.read_until("").find("data: {\"error\":{\"message\":\"the answer was cancelled because the server is stopping\""), std::string::npos);
  EXPECT_EQ(status_of(whole.read_until("")), 503);
  idle.read_until("", 1000);
  EXPECT_TRUE(idle.closed());
}

TEST(Serve, PortInUse) {
  FakeBackend backend;
  Api api(backend, {});
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n = sizeof a;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&a), n), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&a), &n);
  HttpOptions o;
  o.port = ntohs(a.sin_port);
  Status s = serve_http(o, api);
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().message.find("port " + std::to_string(o.port)), std::string::npos);
  o.host = "no such host.invalid";
  s = serve_http(o, api);
  ASSERT_FALSE(s);
  EXPECT_TRUE(s.error().usage);
  close(fd);
}

}  // namespace
}  // namespace lumen::server
