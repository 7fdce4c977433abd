// The part of webgpu.h (webgpu-headers as of wgpu-native 29) that is used, declared by hand: the header comes inside the same
// package as the library, which is opened at run time and may be absent from the machine that builds. abi_test.cpp holds these
// declarations to the real header where scripts/fetch_wgpu.sh has brought it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace lumen::webgpu::abi {

using Bool = uint32_t;
using Flags = uint64_t;
using Enum = int;  // C enumerations
template <int>
struct Opaque;
using Instance = Opaque<0>*;
using Adapter = Opaque<1>*;
using Device = Opaque<2>*;
using Queue = Opaque<3>*;
using Buffer = Opaque<4>*;
using ShaderModule = Opaque<5>*;
using ComputePipeline = Opaque<6>*;
using BindGroupLayout = Opaque<7>*;
using BindGroup = Opaque<8>*;
using CommandEncoder = Opaque<9>*;
using ComputePass = Opaque<10>*;
using CommandBuffer = Opaque<11>*;

inline constexpr size_t kStrlen = SIZE_MAX;
inline constexpr Enum kShaderSourceWgsl = 2, kAllowSpontaneous = 3, kFilterValidation = 1, kNoError = 1, kFeatureLevelCore = 2,
                      kBackendVulkan = 6, kHighPerformance = 2, kSuccess = 1, kInstanceExtras = 0x00030004;
inline constexpr Flags kMapRead = 1, kCopySrc = 4, kCopyDst = 8, kUniform = 0x40, kStorage = 0x80,
                       kPrimaryBackends = 1 | 4 | 8 | 32;  // all but OpenGL

struct StringView {
  const char* data;
  size_t length;
};
struct Chain {
  Chain* next;
  Enum s_type;
};
struct Future {
  uint64_t id;
};
struct InstanceDescriptor {
  Chain* next;
  size_t feature_count;
  const Enum* features;
  const void* limits;
};
// wgpu-native's own: which of its backends to start; `rest` is for other systems. Chained to InstanceDescriptor.
struct InstanceExtras {
  Chain chain;
  Flags backends, flags;
  unsigned char rest[80];
};
struct AdapterOptions {
  Chain* next;
  Enum feature_level, power;
  Bool fallback;
  Enum backend;
  void* surface;
};
struct AdapterInfo {
  Chain* next;
  StringView vendor, architecture, device, description;
  Enum backend, type;
  uint32_t vendor_id, device_id, subgroup_min, subgroup_max;
};
struct Limits {
  Chain* next;
  uint32_t textures[4], max_bind_groups, groups_plus_vertex, bindings_per_group, dynamic_uniforms, dynamic_storages, sampled, samplers;
  uint32_t storage_buffers, storage_textures, uniform_buffers;
  uint64_t uniform_binding_size, storage_binding_size;
  uint32_t uniform_alignment, storage_alignment, vertex_buffers;
  uint64_t buffer_size;
  uint32_t vertex_attributes, vertex_stride, inter_stage, color_attachments, color_bytes, workgroup_storage, workgroup_invocations,
      workgroup_x, workgroup_y, workgroup_z, workgroups_per_dimension, immediate_size;
};
template <class Fn>
struct CallbackInfo {
  Chain* next;
  Enum mode;
  Fn callback;
  void *user1, *user2;
};
struct UncapturedInfo {
  Chain* next;
  void (*callback)(const Device*, Enum type, StringView, void*, void*);
  void *user1, *user2;
};
struct Labelled {
  Chain* next;
  StringView label;
};  // descriptors with nothing else to say: queue, encoder, command buffer, module
using LostFn = void (*)(const Device*, Enum reason, StringView, void*, void*);
struct DeviceDescriptor {
  Chain* next;
  StringView label;
  size_t feature_count;
  const Enum* features;
  const Limits* limits;
  Labelled queue;
  CallbackInfo<LostFn> lost;
  UncapturedInfo uncaptured;
};
struct BufferDescriptor {
  Chain* next;
  StringView label;
  Flags usage;
  uint64_t size;
  Bool mapped;
};
struct WgslSource {
  Chain chain;
  StringView code;
};
struct ComputeState {
  Chain* next;
  ShaderModule module;
  StringView entry;
  size_t constant_count;
  const void* constants;
};
struct PipelineDescriptor {
  Chain* next;
  StringView label;
  void* layout;
  ComputeState compute;
};
struct BindGroupEntry {
  Chain* next;
  uint32_t binding;
  Buffer buffer;
  uint64_t offset, size;
  void *sampler, *view;
};
struct BindGroupDescriptor {
  Chain* next;
  StringView label;
  BindGroupLayout layout;
  size_t count;
  const BindGroupEntry* entries;
};
struct PassDescriptor {
  Chain* next;
  StringView label;
  const void* timestamps;
};

using AdapterFn = void (*)(Enum status, Adapter, StringView, void*, void*);
using DeviceFn = void (*)(Enum status, Device, StringView, void*, void*);
using MapFn = void (*)(Enum status, StringView, void*, void*);
using ScopeFn = void (*)(Enum status, Enum type, StringView, void*, void*);

// X(name without "wgpu", result, arguments)
#define LUMEN_WGPU_FUNCTIONS(X)                                                                             \
  X(CreateInstance, Instance, (const InstanceDescriptor*))                                                  \
  X(InstanceRequestAdapter, Future, (Instance, const AdapterOptions*, CallbackInfo<AdapterFn>))             \
  X(InstanceProcessEvents, void, (Instance))                                                                \
  X(AdapterGetLimits, Enum, (Adapter, Limits*))                                                             \
  X(AdapterGetInfo, Enum, (Adapter, AdapterInfo*))                                                          \
  X(AdapterInfoFreeMembers, void, (AdapterInfo))                                                            \
  X(AdapterRequestDevice, Future, (Adapter, const DeviceDescriptor*, CallbackInfo<DeviceFn>))               \
  X(DeviceGetQueue, Queue, (Device))                                                                        \
  X(DeviceCreateBuffer, Buffer, (Device, const BufferDescriptor*))                                          \
  X(DeviceCreateShaderModule, ShaderModule, (Device, const Labelled*))                                      \
  X(DeviceCreateComputePipeline, ComputePipeline, (Device, const PipelineDescriptor*))                      \
  X(ComputePipelineGetBindGroupLayout, BindGroupLayout, (ComputePipeline, uint32_t))                        \
  X(DeviceCreateBindGroup, BindGroup, (Device, const BindGroupDescriptor*))                                 \
  X(DeviceCreateCommandEncoder, CommandEncoder, (Device, const Labelled*))                                  \
  X(CommandEncoderBeginComputePass, ComputePass, (CommandEncoder, const PassDescriptor*))                   \
  X(ComputePassEncoderSetPipeline, void, (ComputePass, ComputePipeline))                                    \
  X(ComputePassEncoderSetBindGroup, void, (ComputePass, uint32_t, BindGroup, size_t, const uint32_t*))      \
  X(ComputePassEncoderDispatchWorkgroups, void, (ComputePass, uint32_t, uint32_t, uint32_t))                \
  X(ComputePassEncoderEnd, void, (ComputePass))                                                             \
  X(CommandEncoderCopyBufferToBuffer, void, (CommandEncoder, Buffer, uint64_t, Buffer, uint64_t, uint64_t)) \
  X(CommandEncoderFinish, CommandBuffer, (CommandEncoder, const Labelled*))                                 \
  X(QueueSubmit, void, (Queue, size_t, const CommandBuffer*))                                               \
  X(QueueWriteBuffer, void, (Queue, Buffer, uint64_t, const void*, size_t))                                 \
  X(BufferMapAsync, Future, (Buffer, Flags, size_t, size_t, CallbackInfo<MapFn>))                           \
  X(BufferGetConstMappedRange, const void*, (Buffer, size_t, size_t))                                       \
  X(BufferUnmap, void, (Buffer))                                                                            \
  X(DevicePushErrorScope, void, (Device, Enum))                                                             \
  X(DevicePopErrorScope, Future, (Device, CallbackInfo<ScopeFn>))                                           \
  X(BufferRelease, void, (Buffer))                                                                          \
  X(ShaderModuleRelease, void, (ShaderModule))                                                              \
  X(ComputePipelineRelease, void, (ComputePipeline))                                                        \
  X(BindGroupLayoutRelease, void, (BindGroupLayout))                                                        \
  X(BindGroupRelease, void, (BindGroup))                                                                    \
  X(CommandEncoderRelease, void, (CommandEncoder))                                                          \
  X(ComputePassEncoderRelease, void, (ComputePass))                                                         \
  X(CommandBufferRelease, void, (CommandBuffer))                                                            \
  X(QueueRelease, void, (Queue))                                                                            \
  X(DeviceRelease, void, (Device))                                                                          \
  X(AdapterRelease, void, (Adapter))                                                                        \
  X(InstanceRelease, void, (Instance))

// What the library exports, without the prefix. DevicePoll is wgpu-native's own; null elsewhere.
struct Functions {
#define X(name, result, arguments) result(*name) arguments = nullptr;
  LUMEN_WGPU_FUNCTIONS(X)
#undef X
  Bool (*DevicePoll)(Device, Bool wait, const uint64_t* submission) = nullptr;
};

}  // namespace lumen::webgpu::abi
