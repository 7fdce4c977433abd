// Result<T>: a value or an Error, for everything that can fail because of the outside world (files, networks, devices).
// Invariant: nothing throws across rooms; an Error's message is one clear line that says what, where and what was expected.
#pragma once
#include <string>
#include <utility>
#include <variant>

namespace lumen {

struct Error {
  std::string message;
  bool usage = false;  // true: the caller asked for something impossible (exit status 2, HTTP 400)
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() { return std::get<0>(v_); }
  const T& operator*() const { return std::get<0>(v_); }
  T* operator->() { return &std::get<0>(v_); }
  const T* operator->() const { return &std::get<0>(v_); }
  T take() { return std::move(std::get<0>(v_)); }
  const Error& error() const { return std::get<1>(v_); }

 private:
  std::variant<T, Error> v_;
};

struct Unit {};
using Status = Result<Unit>;
inline Status ok_status() { return Unit{}; }

}  // namespace lumen

// Evaluates a Result; returns its error from the enclosing function, or binds the value to `name`.
#define LUMEN_TRY(name, expr)                    \
  auto name##_result = (expr);                   \
  if (!name##_result) return name##_result.error(); \
  auto name = name##_result.take()
#define LUMEN_CHECK(expr)                                        \
  do {                                                           \
    auto status_ = (expr);                                       \
    if (!status_) return status_.error();                        \
  } while (0)
