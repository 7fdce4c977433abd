// Opening the library and the device. The library stays loaded: drivers leave threads behind.
#include "backend/webgpu/device.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace lumen::webgpu {
namespace {

std::string text(abi::StringView s) { return s.data ? std::string(s.data, s.length == abi::kStrlen ? std::strlen(s.data) : s.length) : ""; }

// The library's messages run over several lines; an error is one.
std::string one_line(const std::string& s) {
  std::string out;
  for (char c : s) {
    if (c != '\n' && c != ' ')
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// Where scripts/fetch_wgpu.sh puts it, seen from the working directory and from a program in build/.
std::vector<std::string> usual_places() {
  std::vector<std::string> out;
  const std::string file = "third_party/wgpu/libwgpu_native-release.so";
  out.push_back("build/" + file);
  char self[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self);
  if (n > 0) {
    std::string path(self, static_cast<size_t>(n));
    out.push_back(path.substr(0, path.rfind('/') + 1) + file);
  }
  out.push_back("libwgpu_native.so");
  return out;
}

}  // namespace

Status Device::load(const std::string& library) {
  std::vector<std::string> places;
  const char* named = std::getenv("LUMEN_WGPU");
  if (!library.empty())
    places = {library};
  else if (named && *named)
    places = {named};
  else
    places = usual_places();
  void* handle = nullptr;
  std::string why;
  for (const std::string& p : places) {
    bool bare = p.find('/') == std::string::npos;
    if (!bare && access(p.c_str(), R_OK) != 0 && places.size() > 1) continue;
    handle = dlopen(p.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle) break;
    why = dlerror();
  }
  if (!handle)
    return Error{"webgpu: the library wgpu-native was not found (" + why + "); scripts/fetch_wgpu.sh brings it, or name it in LUMEN_WGPU"};
#define X(name, result, arguments)                                            \
  fn.name = reinterpret_cast<decltype(fn.name)>(dlsym(handle, "wgpu" #name)); \
  if (!fn.name) return Error{"webgpu: the library has no wgpu" #name ", expected wgpu-native 29"};
  LUMEN_WGPU_FUNCTIONS(X)
#undef X
  fn.DevicePoll = reinterpret_cast<decltype(fn.DevicePoll)>(dlsym(handle, "wgpuDevicePoll"));
  return ok_status();
}

Status Device::request() {
  struct Answer {
    bool done = false;
    void* handle = nullptr;
    std::string why;
  };
  auto wait = [&](Answer& a) {
    while (!a.done) fn.InstanceProcessEvents(instance_);
  };
  abi::InstanceExtras extras{};
  extras.chain.s_type = abi::kInstanceExtras;
  extras.backends = abi::kPrimaryBackends;
  abi::InstanceDescriptor id{};
  if (fn.DevicePoll) id.next = &extras.chain;  // wgpu-native, not another library of the same interface
  instance_ = fn.CreateInstance(&id);
  if (!instance_) return Error{"webgpu: no instance"};
  abi::AdapterOptions options{};
  options.feature_level = abi::kFeatureLevelCore;
  options.power = abi::kHighPerformance;
  Answer got;
  abi::CallbackInfo<abi::AdapterFn> on_adapter{};
  on_adapter.mode = abi::kAllowSpontaneous;
  on_adapter.user1 = &got;
  on_adapter.callback = [](abi::Enum, abi::Adapter a, abi::StringView why, void* user, void*) {
    *static_cast<Answer*>(user) = {true, a, text(why)};
  };
  fn.InstanceRequestAdapter(instance_, &options, on_adapter);
  wait(got);
  adapter_ = static_cast<abi::Adapter>(got.handle);
  if (!adapter_)
    return Error{"webgpu: no device (" + one_line(got.why) +
                 "); a Vulkan driver is needed, such as Debian's mesa-vulkan-drivers with libvulkan1"};
  abi::AdapterInfo info{};
  fn.AdapterGetInfo(adapter_, &info);
  name = text(info.device);
  fn.AdapterInfoFreeMembers(info);
  fn.AdapterGetLimits(adapter_, &limits);
  limits.next = nullptr;
  abi::DeviceDescriptor d{};
  d.limits = &limits;
  d.lost.mode = abi::kAllowSpontaneous;
  d.lost.callback = [](const abi::Device*, abi::Enum, abi::StringView, void*, void*) {};
  d.uncaptured.user1 = this;
  d.uncaptured.callback = [](const abi::Device*, abi::Enum, abi::StringView why, void* user, void*) {
    auto* self = static_cast<Device*>(user);
    if (self->uncaptured_.empty()) self->uncaptured_ = text(why);
  };
  Answer made;
  abi::CallbackInfo<abi::DeviceFn> on_device{};
  on_device.mode = abi::kAllowSpontaneous;
  on_device.user1 = &made;
  on_device.callback = [](abi::Enum, abi::Device x, abi::StringView why, void* user, void*) {
    *static_cast<Answer*>(user) = {true, x, text(why)};
  };
  fn.AdapterRequestDevice(adapter_, &d, on_device);
  wait(made);
  device = static_cast<abi::Device>(made.handle);
  if (!device) return Error{"webgpu: " + name + " gives no device: " + one_line(made.why)};
  queue = fn.DeviceGetQueue(device);
  return ok_status();
}

Result<std::unique_ptr<Device>> Device::open(const std::string& library) {
  auto d = std::make_unique<Device>();
  LUMEN_CHECK(d->load(library));
  LUMEN_CHECK(d->request());
  return d;
}

Device::~Device() {
  if (queue) fn.QueueRelease(queue);
  if (device) fn.DeviceRelease(device);
  if (adapter_) fn.AdapterRelease(adapter_);
  if (instance_) fn.InstanceRelease(instance_);
}

void Device::poll(bool wait) {
  fn.InstanceProcessEvents(instance_);
  if (fn.DevicePoll) fn.DevicePoll(device, wait, nullptr);
}

std::string Device::pop_scope() {
  struct Answer {
    bool done = false;
    std::string why;
  } got;
  abi::CallbackInfo<abi::ScopeFn> on{};
  on.mode = abi::kAllowSpontaneous;
  on.user1 = &got;
  on.callback = [](abi::Enum, abi::Enum type, abi::StringView why, void* user, void*) {
    *static_cast<Answer*>(user) = {true, type == abi::kNoError ? "" : "error: " + text(why)};
  };
  fn.DevicePopErrorScope(device, on);
  while (!got.done) poll(false);
  return got.why;
}

abi::Buffer Device::create_buffer(int64_t bytes, abi::Flags usage) {
  abi::BufferDescriptor d{};
  d.usage = usage;
  d.size = static_cast<uint64_t>(bytes);
  return fn.DeviceCreateBuffer(device, &d);
}

Status Device::map(abi::Buffer buffer, int64_t bytes) {
  struct Answer {
    bool done = false;
    abi::Enum status = 0;
    std::string why;
  } got;
  abi::CallbackInfo<abi::MapFn> on{};
  on.mode = abi::kAllowSpontaneous;
  on.user1 = &got;
  on.callback = [](abi::Enum status, abi::StringView why, void* user, void*) { *static_cast<Answer*>(user) = {true, status, text(why)}; };
  fn.BufferMapAsync(buffer, abi::kMapRead, 0, static_cast<size_t>(bytes), on);
  while (!got.done) poll(true);
  if (got.status != abi::kSuccess) return Error{"webgpu: reading back from " + name + ": " + one_line(got.why)};
  return ok_status();
}

Status Device::failure() {
  if (uncaptured_.empty()) return ok_status();
  return Error{"webgpu: " + one_line(std::exchange(uncaptured_, {}))};
}

}  // namespace lumen::webgpu
