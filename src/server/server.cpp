// The model behind the API.
#include "server/server.h"

#include <algorithm>

#include "server/api.h"

namespace lumen::server {
namespace {

class ModelBackend : public Backend {
 public:
  ModelBackend(runtime::OpenModel& model, runtime::Generator& generator) : model_(model), generator_(generator) {
    size_t longest = 1;
    for (int32_t id = 0; id < model.tokenizer->size(); ++id)
      if (!model.tokenizer->is_special(id)) longest = std::max(longest, model.tokenizer->piece(id).size());
    longest_prompt_ = longest * static_cast<size_t>(model.model->context());
    file_ = model.path.substr(model.path.rfind('/') + 1);
    takes_tools_ = model.chat_template && model.chat_template->uses("tools");
  }
  std::string name() const override { return model_.name; }
  bool answers_to(const std::string& m) const override { return m == model_.name || m == file_ || m == model_.path; }
  bool chats() const override { return model_.chat_template.has_value(); }
  bool takes_tools() const override { return takes_tools_; }
  int64_t vocabulary() const override { return model_.model->vocab(); }
  int64_t context() const override { return model_.model->context(); }
  size_t longest_prompt() const override { return longest_prompt_; }
  Result<std::vector<int32_t>> encode(std::string_view text) override { return model_.encode(text); }
  Result<std::vector<int32_t>> encode_chat(const chat::Conversation& c) override { return model_.encode_chat(c); }
  std::string piece(int32_t token) const override {
    return std::string(model_.tokenizer->is_special(token) ? model_.tokenizer->text(token) : model_.tokenizer->piece(token));
  }
  Result<uint64_t> submit(runtime::Request r) override { return generator_.submit(std::move(r)); }
  void cancel(uint64_t id) override { generator_.cancel(id); }

 private:
  runtime::OpenModel& model_;
  runtime::Generator& generator_;
  size_t longest_prompt_ = 0;
  std::string file_;
  bool takes_tools_ = false;
};

}  // namespace

Status serve(runtime::OpenModel& model, runtime::Generator& generator, const ServeOptions& options) {
  if (!model.tokenizer) return Error{model.tokenizer_problem};
  ModelBackend backend(model, generator);
  Api api(backend, {options.api_key, options.max_queue});
  HttpOptions http;
  http.host = options.host;
  http.port = options.port;
  http.catch_signals = options.catch_signals;
  http.stop = options.stop;
  http.on_ready = [&](const std::string& address, uint16_t port, bool loopback) {
    api.set_loopback(loopback);
    std::string shown = address.find(':') == std::string::npos ? address : "[" + address + "]";
    if (options.on_ready) options.on_ready("http://" + shown + ":" + std::to_string(port));
  };
  return serve_http(http, api);
}

}  // namespace lumen::server
