// Fields: one JSON object read field by field. Includes Boost.JSON, so only for .cpp files of this room.
// Invariants: the first error sticks and names the field by its path; finish() refuses every field that nothing asked for.
#pragma once
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace lumen::server {

namespace json = boost::json;

// "an array", "the string \"abc…\"", "1e+300": what an error says was found.
std::string describe(const json::value& v);
// The whole text as one object: UTF-8, at most kDeepestJson deep, no key twice. Errors name line and column or the key.
std::optional<ApiError> parse_object(std::string_view text, json::object& out);
ApiError wrong(std::string param, const std::string& expected, const json::value& found);
ApiError unsupported(std::string param, const std::string& why);
// A number that stands for a whole one, whichever way it is written; none otherwise.
std::optional<int64_t> whole(const json::value& v);
std::optional<double> finite(const json::value& v);

class Fields {
 public:
  // `prefix` comes before each name in errors: "messages[0].".
  Fields(const json::object& object, std::string prefix, std::optional<ApiError>& error) : object_(object), prefix_(std::move(prefix)), error_(error) {}

  bool ok() const { return !error_; }
  std::string path(std::string_view name) const { return prefix_ + std::string(name); }
  void fail(ApiError e) {
    if (!error_) error_ = std::move(e);
  }
  // The field; null when absent, null or after an error.
  const json::value* get(std::string_view name);
  const json::value* required(std::string_view name, const std::string& expected);
  // Each: true when the field is there and right; wrong ones become the error.
  bool integer(std::string_view name, int64_t lo, int64_t hi, int64_t& out);
  bool number(std::string_view name, double lo, double hi, float& out);
  bool boolean(std::string_view name, bool& out);
  bool string(std::string_view name, std::string& out);
  const json::array* array(std::string_view name, size_t most);
  const json::object* object(std::string_view name);
  // Any string, number or so: read by nobody, on purpose.
  void label(std::string_view name) { get(name); }
  // Known to OpenAI's API, not to this server. `harmless`: the value that asks for nothing.
  void refuse(std::string_view name, const std::string& why, const json::value& harmless = nullptr);
  void finish();

 private:
  const json::object& object_;
  std::string prefix_;
  std::optional<ApiError>& error_;
  std::vector<std::string_view> known_;
};

}  // namespace lumen::server
