// Target: what a device implements. Compile a loop function, hold memory, launch, wait.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/machine.h"

namespace lumen {

// Code for one kernel on one device.
class Executable {
 public:
  virtual ~Executable() = default;
  virtual std::string listing() const = 0;  // assembly or shader text, for people
};

// Memory a device can reach. `host` is null where the host cannot address it.
class DeviceBuffer {
 public:
  virtual ~DeviceBuffer() = default;
  virtual uint8_t* host() = 0;
  virtual int64_t size() const = 0;
};

struct BufferArg {
  DeviceBuffer* buffer = nullptr;
  int64_t offset = 0;  // bytes; a multiple of 256 on devices
};

class Target {
 public:
  virtual ~Target() = default;
  virtual const Machine& machine() const = 0;
  virtual Result<std::unique_ptr<Executable>> compile(const loops::Kernel& kernel) = 0;
  // Code as bytes of which `restore` makes it again, for the same kernel on a machine of the same name; empty: this device cannot.
  virtual std::vector<uint8_t> save(const Executable&) const { return {}; }
  virtual Result<std::unique_ptr<Executable>> restore(const loops::Kernel&, std::span<const uint8_t>) { return Error{"this device keeps no code"}; }
  virtual Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t bytes) = 0;
  // The same for memory that will be read whole, again and again: in large pages where that is faster.
  virtual Result<std::unique_ptr<DeviceBuffer>> allocate_dense(int64_t bytes) { return allocate(bytes); }
  // Host memory the device may read in place (a mapped file), or an error where it cannot.
  virtual Result<std::unique_ptr<DeviceBuffer>> wrap(const uint8_t* data, int64_t bytes) = 0;
  virtual Status upload(DeviceBuffer& to, int64_t offset, std::span<const uint8_t> bytes) = 0;
  virtual Status download(DeviceBuffer& from, int64_t offset, std::span<uint8_t> bytes) = 0;
  // Runs items [0, items). `buffers` covers the kernel's buffers but for Scratch ones, in order; scalars in the kernel's order.
  // Launches are in order; `synchronize` waits for all.
  virtual Status launch(const Executable& code, std::span<const BufferArg> buffers, std::span<const int64_t> scalars, int64_t items) = 0;
  virtual Status synchronize() = 0;
};

}  // namespace lumen
