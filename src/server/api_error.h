// ApiError: what goes wrong with a request, in the words of OpenAI's error body. `param` names the field.
#pragma once
#include <string>

namespace lumen::server {

struct ApiError {
  int status = 400;  // of HTTP
  std::string message;
  std::string param;  // "messages[0].content"; empty: null
  std::string code;   // empty: null
  // What clients' libraries tell errors apart by, besides the status.
  const char* type() const {
    if (status == 401 || status == 403) return "authentication_error";
    return status >= 500 ? "server_error" : "invalid_request_error";
  }
};

}  // namespace lumen::server
