// Backend: what the API asks of a model; an interface, so that the server's tests need no model.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/generator.h"

namespace lumen::server {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;                       // what the API calls the model
  virtual bool answers_to(const std::string& model) const = 0;
  virtual bool chats() const = 0;                             // there is a chat template
  virtual bool takes_tools() const = 0;                       // which has a place for tools
  virtual int64_t vocabulary() const = 0;
  virtual int64_t context() const = 0;                        // tokens of prompt and answer
  virtual size_t longest_prompt() const = 0;                  // bytes; a longer text cannot fit the context
  virtual Result<std::vector<int32_t>> encode(std::string_view text) = 0;
  virtual Result<std::vector<int32_t>> encode_chat(const chat::Conversation& c) = 0;
  virtual std::string piece(int32_t token) const = 0;         // the bytes it stands for
  virtual Result<uint64_t> submit(runtime::Request r) = 0;    // as runtime::Generator's
  virtual void cancel(uint64_t id) = 0;
};

}  // namespace lumen::server
