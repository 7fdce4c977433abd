// Compile = emit WGSL and make a pipeline; launches gather in one compute pass, their data in one uniform buffer, and are
// submitted when the buffer is full or something waits. Within a pass the device orders dispatches by the buffers they share.
#include "backend/webgpu/webgpu_target.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/gpu/emit.h"
#include "backend/gpu/text_target.h"
#include "backend/webgpu/device.h"

namespace lumen {
namespace {
using namespace webgpu;

constexpr int64_t kSlot = 256;                   // bytes of one launch's data: the largest alignment WebGPU asks of offsets
constexpr int64_t kSlots = 1024;                 // launches gathered at most
constexpr int64_t kScratch = int64_t{64} << 20;  // bytes of scratch memory for one dispatch
constexpr int64_t kMostGroups = 65535;           // of a dispatch, along one dimension

int64_t whole(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

class GpuBuffer : public DeviceBuffer {
 public:
  GpuBuffer(std::shared_ptr<Device> device, abi::Buffer buffer, int64_t size) : device_(std::move(device)), buffer_(buffer), size_(size) {}
  ~GpuBuffer() override { device_->fn.BufferRelease(buffer_); }
  uint8_t* host() override { return nullptr; }
  int64_t size() const override { return size_; }
  int64_t capacity() const { return whole(std::max<int64_t>(size_, 1), kSlot); }
  abi::Buffer get() const { return buffer_; }

 private:
  std::shared_ptr<Device> device_;
  abi::Buffer buffer_;
  int64_t size_;
};

class Pipeline : public Executable {
 public:
  explicit Pipeline(std::shared_ptr<Device> d) : device(std::move(d)) {}
  ~Pipeline() override {
    if (layout) device->fn.BindGroupLayoutRelease(layout);
    if (pipeline) device->fn.ComputePipelineRelease(pipeline);
  }
  std::string listing() const override { return shader.text; }

  std::shared_ptr<Device> device;
  std::string name;
  gpu::Shader shader;
  size_t scalars = 0;
  abi::ComputePipeline pipeline = nullptr;
  abi::BindGroupLayout layout = nullptr;
  std::vector<std::unique_ptr<DeviceBuffer>> tables;  // shader.tables, on the device
};

class WebGpuTarget : public Target {
 public:
  explicit WebGpuTarget(std::shared_ptr<Device> device)
      : device_(std::move(device)), fn_(device_->fn), machine_(gpu::machine_of(gpu::wgsl())), staged_(kSlot * kSlots) {
    launches_ = device_->create_buffer(kSlot * kSlots, abi::kUniform | abi::kCopyDst);
    most_ = std::min<int64_t>({static_cast<int64_t>(std::min<uint64_t>(device_->limits.storage_binding_size, INT32_MAX)),
                               static_cast<int64_t>(std::min<uint64_t>(device_->limits.buffer_size, INT32_MAX))}) /
            kSlot * kSlot;
  }
  ~WebGpuTarget() override {
    if (pass_) (void)flush();
    device_->poll(true);
    fn_.BufferRelease(launches_);
  }

  const Machine& machine() const override { return machine_; }

  Result<std::unique_ptr<Executable>> compile(const loops::Kernel& kernel) override {
    LUMEN_TRY(shader, gpu::emit(kernel, gpu::wgsl()));
    if (shader.launch_bytes > kSlot) return Error{"kernel " + kernel.name + ": too many run-time extents for one launch"};
    auto out = std::make_unique<Pipeline>(device_);
    out->name = kernel.name;
    out->scalars = kernel.scalars.size();
    std::string wrong = device_->validated([&] {
      abi::WgslSource source{};
      source.chain.s_type = abi::kShaderSourceWgsl;
      source.code = {shader.text.data(), shader.text.size()};
      abi::Labelled module_descriptor{&source.chain, {nullptr, 0}};
      abi::ShaderModule module = fn_.DeviceCreateShaderModule(device_->device, &module_descriptor);
      abi::PipelineDescriptor d{};
      d.compute.module = module;
      d.compute.entry = {"main", 4};
      out->pipeline = fn_.DeviceCreateComputePipeline(device_->device, &d);
      if (module) fn_.ShaderModuleRelease(module);
    });
    if (!wrong.empty() || !out->pipeline) return Error{"kernel " + kernel.name + ": the device refuses its WGSL: " + wrong};
    out->layout = fn_.ComputePipelineGetBindGroupLayout(out->pipeline, 0);
    for (const std::vector<uint8_t>& data : shader.tables) {
      LUMEN_TRY(table, wrap(data.data(), static_cast<int64_t>(data.size())));
      out->tables.push_back(std::move(table));
    }
    out->shader = std::move(shader);
    return std::unique_ptr<Executable>(std::move(out));
  }

  Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t bytes) override {
    if (bytes < 0) return Error{"allocate: a negative size"};
    if (bytes > most_)
      return Error{"webgpu: a buffer of " + std::to_string(bytes) + " bytes; " + device_->name + " binds at most " + std::to_string(most_)};
    abi::Buffer b = nullptr;
    std::string wrong = device_->validated(
        [&] { b = device_->create_buffer(whole(std::max<int64_t>(bytes, 1), kSlot), abi::kStorage | abi::kCopySrc | abi::kCopyDst); });
    if (!b || !wrong.empty()) return Error{"webgpu: allocating " + std::to_string(bytes) + " bytes: " + wrong};
    return std::unique_ptr<DeviceBuffer>(std::make_unique<GpuBuffer>(device_, b, bytes));
  }

  // A copy: the device has memory of its own.
  Result<std::unique_ptr<DeviceBuffer>> wrap(const uint8_t* data, int64_t bytes) override {
    LUMEN_TRY(b, allocate(bytes));
    LUMEN_CHECK(upload(*b, 0, {data, static_cast<size_t>(bytes)}));
    return b;
  }

  Status upload(DeviceBuffer& to, int64_t offset, std::span<const uint8_t> bytes) override {
    LUMEN_TRY(b, inside("upload", to, offset, bytes.size()));
    if (bytes.empty()) return ok_status();
    LUMEN_CHECK(flush());
    int64_t first = offset / 4 * 4, end = offset + static_cast<int64_t>(bytes.size()), last = whole(end, 4);
    if (first == offset && last == end) {
      fn_.QueueWriteBuffer(device_->queue, b->get(), static_cast<uint64_t>(offset), bytes.data(), bytes.size());
      return device_->failure();
    }
    std::vector<uint8_t> words(static_cast<size_t>(last - first));  // copies are of whole words: the rest of the outer ones is kept
    LUMEN_CHECK(read(*b, first, std::span(words).first(4)));
    if (words.size() > 4) LUMEN_CHECK(read(*b, last - 4, std::span(words).last(4)));
    std::memcpy(words.data() + (offset - first), bytes.data(), bytes.size());
    fn_.QueueWriteBuffer(device_->queue, b->get(), static_cast<uint64_t>(first), words.data(), words.size());
    return device_->failure();
  }

  Status download(DeviceBuffer& from, int64_t offset, std::span<uint8_t> bytes) override {
    LUMEN_TRY(b, inside("download", from, offset, bytes.size()));
    if (bytes.empty()) return ok_status();
    LUMEN_CHECK(flush());
    int64_t first = offset / 4 * 4, last = whole(offset + static_cast<int64_t>(bytes.size()), 4);
    if (first == offset && last - first == static_cast<int64_t>(bytes.size())) return read(*b, first, bytes);
    std::vector<uint8_t> words(static_cast<size_t>(last - first));
    LUMEN_CHECK(read(*b, first, words));
    std::memcpy(bytes.data(), words.data() + (offset - first), bytes.size());
    return ok_status();
  }

  Status launch(const Executable& executable, std::span<const BufferArg> buffers, std::span<const int64_t> scalars,
                int64_t items) override {
    const auto* code = dynamic_cast<const Pipeline*>(&executable);
    if (!code) return Error{"launch: the kernel was compiled for another device"};
    auto misfit = [&](const std::string& what) { return Error{"launch of kernel '" + code->name + "': " + what}; };
    if (buffers.size() != code->shader.used.size())
      return misfit(std::to_string(buffers.size()) + " buffers given, expected " + std::to_string(code->shader.used.size()));
    if (scalars.size() != code->scalars)
      return misfit(std::to_string(scalars.size()) + " scalars given, expected " + std::to_string(code->scalars));
    for (int64_t s : scalars)
      if (s < INT32_MIN || s > INT32_MAX) return misfit("an extent of " + std::to_string(s) + ", expected 32 bits");
    if (items < 0 || items > INT32_MAX) return misfit(std::to_string(items) + " items, expected 0 to 2147483647");
    std::vector<abi::BindGroupEntry> entries;
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (!code->shader.used[i]) continue;
      auto* b = dynamic_cast<GpuBuffer*>(buffers[i].buffer);
      int64_t offset = buffers[i].offset;
      if (!b) return misfit("buffer " + std::to_string(i) + " is missing or of another device");
      if (offset < 0 || offset >= b->capacity() || offset % kSlot)
        return misfit("buffer " + std::to_string(i) + " begins at " + std::to_string(offset) + ", expected a multiple of 256 inside it");
      entries.push_back(entry(i, b->get(), offset, b->capacity() - offset));
    }
    size_t binding = buffers.size();
    for (const auto& table : code->tables) {
      auto* b = static_cast<GpuBuffer*>(table.get());
      entries.push_back(entry(binding++, b->get(), 0, b->capacity()));
    }
    int64_t at_once = items;
    if (code->shader.scratch_bytes) {
      at_once = std::clamp<int64_t>(std::min(kScratch, most_) / code->shader.scratch_bytes, 1, std::max<int64_t>(items, 1));
      LUMEN_CHECK(grow_scratch(at_once * code->shader.scratch_bytes));
      entries.push_back(entry(binding, scratch_->get(), 0, scratch_->capacity()));
    }
    for (int64_t first = 0; first < items; first += at_once)
      LUMEN_CHECK(dispatch(*code, entries, scalars, first, std::min(at_once, items - first)));
    return ok_status();
  }

  Status synchronize() override {
    LUMEN_CHECK(flush());
    device_->poll(true);
    return device_->failure();
  }

 private:
  static abi::BindGroupEntry entry(size_t binding, abi::Buffer buffer, int64_t offset, int64_t size) {
    abi::BindGroupEntry e{};
    e.binding = static_cast<uint32_t>(binding);
    e.buffer = buffer;
    e.offset = static_cast<uint64_t>(offset);
    e.size = static_cast<uint64_t>(size);
    return e;
  }

  static Result<GpuBuffer*> inside(const char* what, DeviceBuffer& buffer, int64_t offset, size_t bytes) {
    auto* b = dynamic_cast<GpuBuffer*>(&buffer);
    if (!b) return Error{std::string(what) + ": a buffer of another device"};
    if (offset >= 0 && offset <= b->size() && static_cast<int64_t>(bytes) <= b->size() - offset) return b;
    return Error{std::string(what) + ": bytes " + std::to_string(offset) + " .. " + std::to_string(offset + static_cast<int64_t>(bytes)) +
                 " of a buffer of " + std::to_string(b->size())};
  }

  Status grow_scratch(int64_t bytes) {
    if (scratch_ && scratch_->capacity() >= bytes) return ok_status();
    LUMEN_CHECK(flush());  // the old one may be in use by what is gathered
    LUMEN_TRY(b, allocate(bytes));
    scratch_.reset(static_cast<GpuBuffer*>(b.release()));
    return ok_status();
  }

  Status dispatch(const Pipeline& code, std::vector<abi::BindGroupEntry> entries, std::span<const int64_t> scalars, int64_t first,
                  int64_t count) {
    if (used_ == kSlots) LUMEN_CHECK(flush());
    if (!pass_) {
      abi::Labelled none{};
      encoder_ = fn_.DeviceCreateCommandEncoder(device_->device, &none);
      abi::PassDescriptor d{};
      pass_ = fn_.CommandEncoderBeginComputePass(encoder_, &d);
    }
    int64_t at = used_++ * kSlot;
    std::vector<int32_t> data = {static_cast<int32_t>(first), static_cast<int32_t>(count)};
    for (int64_t s : scalars) data.push_back(static_cast<int32_t>(s));
    std::memcpy(staged_.data() + at, data.data(), data.size() * 4);
    size_t binding = code.shader.used.size() + code.tables.size() + (code.shader.scratch_bytes ? 1 : 0);
    entries.push_back(entry(binding, launches_, at, code.shader.launch_bytes));
    abi::BindGroupDescriptor d{};
    d.layout = code.layout;
    d.count = entries.size();
    d.entries = entries.data();
    abi::BindGroup group = fn_.DeviceCreateBindGroup(device_->device, &d);
    if (!group) return Error{"webgpu: no bind group for kernel '" + code.name + "'"};
    groups_.push_back(group);
    fn_.ComputePassEncoderSetPipeline(pass_, code.pipeline);
    fn_.ComputePassEncoderSetBindGroup(pass_, 0, group, 0, nullptr);
    int64_t groups = (count + gpu::kGroup - 1) / gpu::kGroup, y = (groups + kMostGroups - 1) / kMostGroups, x = (groups + y - 1) / y;
    fn_.ComputePassEncoderDispatchWorkgroups(pass_, static_cast<uint32_t>(x), static_cast<uint32_t>(y), 1);
    return device_->failure();
  }

  // Submits what has been gathered.
  Status flush() {
    if (!pass_) return ok_status();
    fn_.QueueWriteBuffer(device_->queue, launches_, 0, staged_.data(), static_cast<size_t>(used_ * kSlot));
    fn_.ComputePassEncoderEnd(pass_);
    fn_.ComputePassEncoderRelease(pass_);
    pass_ = nullptr;
    submit(encoder_);
    encoder_ = nullptr;
    for (abi::BindGroup g : groups_) fn_.BindGroupRelease(g);
    groups_.clear();
    used_ = 0;
    return device_->failure();
  }
  void submit(abi::CommandEncoder encoder) {
    abi::Labelled none{};
    abi::CommandBuffer commands = fn_.CommandEncoderFinish(encoder, &none);
    fn_.QueueSubmit(device_->queue, 1, &commands);
    fn_.CommandBufferRelease(commands);
    fn_.CommandEncoderRelease(encoder);
  }

  // Whole words, through a buffer that the host can map.
  Status read(GpuBuffer& from, int64_t offset, std::span<uint8_t> bytes) {
    int64_t n = static_cast<int64_t>(bytes.size());
    abi::Buffer staging = device_->create_buffer(n, abi::kMapRead | abi::kCopyDst);
    if (!staging) return Error{"webgpu: no buffer to read back " + std::to_string(n) + " bytes"};
    abi::Labelled none{};
    abi::CommandEncoder encoder = fn_.DeviceCreateCommandEncoder(device_->device, &none);
    fn_.CommandEncoderCopyBufferToBuffer(encoder, from.get(), static_cast<uint64_t>(offset), staging, 0, static_cast<uint64_t>(n));
    submit(encoder);
    Status mapped = device_->map(staging, n);
    if (mapped) {
      const void* p = fn_.BufferGetConstMappedRange(staging, 0, static_cast<size_t>(n));
      if (p)
        std::memcpy(bytes.data(), p, bytes.size());
      else
        mapped = Error{"webgpu: reading back from " + device_->name + ": nothing is mapped"};
      fn_.BufferUnmap(staging);
    }
    fn_.BufferRelease(staging);
    LUMEN_CHECK(mapped);
    return device_->failure();
  }

  std::shared_ptr<Device> device_;
  const abi::Functions& fn_;
  Machine machine_;
  int64_t most_ = 0;  // bytes of a buffer
  abi::Buffer launches_ = nullptr;
  std::vector<uint8_t> staged_;  // launches' data, not yet submitted
  int64_t used_ = 0;             // slots of it
  abi::CommandEncoder encoder_ = nullptr;
  abi::ComputePass pass_ = nullptr;
  std::vector<abi::BindGroup> groups_;
  std::unique_ptr<GpuBuffer> scratch_;
};

}  // namespace

Result<std::unique_ptr<Target>> make_webgpu_target(const WebGpuOptions& options) {
  LUMEN_TRY(device, Device::open(options.library));
  if (device->limits.storage_alignment > kSlot || device->limits.uniform_alignment > kSlot)
    return Error{"webgpu: " + device->name + " aligns buffers to more than 256 bytes"};
  return std::unique_ptr<Target>(std::make_unique<WebGpuTarget>(std::shared_ptr<Device>(std::move(device))));
}

}  // namespace lumen
