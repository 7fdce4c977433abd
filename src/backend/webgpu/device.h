// A WebGPU device through a library opened at run time: instance, adapter, device and queue, and waiting for them.
// Invariant: one caller at a time; errors that no scope captured are kept until `failure` is asked.
#pragma once
#include <memory>
#include <string>

#include "backend/webgpu/abi.h"
#include "base/result.h"

namespace lumen::webgpu {

class Device {
 public:
  // `library`: a path, or "" for the usual places.
  static Result<std::unique_ptr<Device>> open(const std::string& library);
  Device() = default;
  Device(const Device&) = delete;
  ~Device();

  // Errors of the calls made by `body`, as text; empty: none.
  template <class F>
  std::string validated(F&& body) {
    fn.DevicePushErrorScope(device, abi::kFilterValidation);
    body();
    return pop_scope();
  }
  abi::Buffer create_buffer(int64_t bytes, abi::Flags usage);
  Status map(abi::Buffer buffer, int64_t bytes);  // for reading; waits
  Status failure();                               // of earlier calls
  void poll(bool wait);

  abi::Functions fn;
  abi::Device device = nullptr;
  abi::Queue queue = nullptr;
  abi::Limits limits = {};
  std::string name;  // "llvmpipe (LLVM 15.0.6, 256 bits)"

 private:
  Status load(const std::string& library);
  Status request();
  std::string pop_scope();

  abi::Instance instance_ = nullptr;
  abi::Adapter adapter_ = nullptr;
  std::string uncaptured_;
};

}  // namespace lumen::webgpu
