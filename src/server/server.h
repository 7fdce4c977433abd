// An opened model over HTTP: /v1/chat/completions, /v1/completions (streaming and not), /v1/models, /health.
#pragma once
#include <atomic>
#include <functional>
#include <string>

#include "runtime/generator.h"
#include "runtime/open_model.h"

namespace lumen::server {

struct ServeOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one
  std::string api_key;   // clients must send it as "Authorization: Bearer KEY"; empty: none is asked for
  int64_t max_queue = 64;  // answers in progress or waiting; requests beyond get 503
  bool catch_signals = true;                // SIGINT and SIGTERM end serve(), a second one at once
  const std::atomic<bool>* stop = nullptr;  // set by another thread: the same
  std::function<void(const std::string& url)> on_ready;  // it listens
};

// Runs until told to stop; answers in progress get some seconds to end. Error: it cannot listen, or the model has no tokenizer.
Status serve(runtime::OpenModel& model, runtime::Generator& generator, const ServeOptions& options);

}  // namespace lumen::server
