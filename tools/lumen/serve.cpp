// lumen serve: the model over HTTP, as OpenAI's API speaks.
#include <cstdio>
#include <cstdlib>

#include "command.h"
#include "common.h"
#include "server/server.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  std::string host = "127.0.0.1", api_key;
  int64_t port = 8080, parallel = 4, queue = 64;
};

Status serve(const Arguments& a, const Options& o) {
  server::ServeOptions s;
  s.host = o.host;
  s.port = static_cast<uint16_t>(o.port);
  s.max_queue = o.queue;
  s.api_key = o.api_key;
  // Better than the option: other users of the machine can read a program's arguments.
  if (const char* key = std::getenv("LUMEN_API_KEY"); key && !a.given("--api-key")) s.api_key = key;
  if (a.given("--api-key") && o.api_key.empty()) return Error{"--api-key: expected at least one character, found nothing", true};
  LUMEN_TRY(m, open_chosen(a, o.model, o.parallel));
  runtime::Generator generator(m, o.parallel, true);
  s.on_ready = [&](const std::string& url) {
    std::printf("%s listens on %s\n", visible(m.name).c_str(), url.c_str());
    std::fflush(stdout);
    bool local = url.rfind("http://127.", 0) == 0 || url.rfind("http://[::1]", 0) == 0;
    if (!local && s.api_key.empty())
      std::fprintf(stderr, "lumen: anybody who reaches this address can use the model: no key is set (LUMEN_API_KEY)\n");
  };
  return server::serve(m, generator, s);
}

}  // namespace

Action declare_serve(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, false, false);
  a.text("--host", o->host, "address to listen on (default 127.0.0.1: this machine only)");
  a.integer("--port", o->port, 0, 65535, "port to listen on; 0: any free one (default 8080)");
  a.text("--api-key", o->api_key, "clients must send this key; better given as LUMEN_API_KEY");
  a.integer("--parallel", o->parallel, 1, 256, "answers made at once; each has a context of its own (default 4)");
  a.integer("--queue", o->queue, 1, 4096, "answers made or waiting; more requests are refused (default 64)");
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  return [&a, o] { return serve(a, *o); };
}

}  // namespace lumen::tool
