// A library of the system, opened when it is first needed: a start that pulls nothing does not pay for loading it (libcurl brings two
// dozen others). Never closed. What is compiled in are the types of its header alone.
#pragma once
#include <dlfcn.h>

#include <string>

#include "base/result.h"

namespace lumen::hub {

class SharedLibrary {
 public:
  // `package`: Debian's name for it, for the message.
  static Result<SharedLibrary> open(const char* file, const char* package) {
    void* handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return Error{std::string(file) + " was not found: on Debian, apt-get install " + package};
    return SharedLibrary(handle, file);
  }
  template <class F>
  Status find(const char* name, F*& into) const {
    into = reinterpret_cast<F*>(dlsym(handle_, name));
    if (!into) return Error{std::string(file_) + ": expected the function " + name + ", found none: another release of the library?"};
    return ok_status();
  }

 private:
  SharedLibrary(void* handle, const char* file) : handle_(handle), file_(file) {}
  void* handle_;
  const char* file_;
};

}  // namespace lumen::hub
