// The hand-made declarations against the real header, where it is: sizes, places of fields, values. A difference does not compile.
#include "backend/webgpu/abi.h"

#include <gtest/gtest.h>

#if __has_include("../../../build/third_party/wgpu/webgpu.h")
#include "../../../build/third_party/wgpu/wgpu.h"

namespace lumen::webgpu::abi {

#define SAME(ours, theirs) static_assert(sizeof(ours) == sizeof(theirs) && alignof(ours) == alignof(theirs), #theirs)
#define FIELD(ours, field, theirs, name) \
  static_assert(offsetof(ours, field) == offsetof(theirs, name) && sizeof(ours::field) == sizeof(theirs::name), #theirs "." #name)
SAME(StringView, WGPUStringView);
SAME(Chain, WGPUChainedStruct);
FIELD(Chain, s_type, WGPUChainedStruct, sType);
SAME(Future, WGPUFuture);
SAME(InstanceDescriptor, WGPUInstanceDescriptor);
SAME(InstanceExtras, WGPUInstanceExtras);
FIELD(InstanceExtras, backends, WGPUInstanceExtras, backends);
static_assert(kInstanceExtras == static_cast<int>(WGPUSType_InstanceExtras) && kPrimaryBackends == WGPUInstanceBackend_Primary);
SAME(AdapterOptions, WGPURequestAdapterOptions);
FIELD(AdapterOptions, feature_level, WGPURequestAdapterOptions, featureLevel);
FIELD(AdapterOptions, power, WGPURequestAdapterOptions, powerPreference);
FIELD(AdapterOptions, fallback, WGPURequestAdapterOptions, forceFallbackAdapter);
FIELD(AdapterOptions, backend, WGPURequestAdapterOptions, backendType);
SAME(AdapterInfo, WGPUAdapterInfo);
FIELD(AdapterInfo, device, WGPUAdapterInfo, device);
FIELD(AdapterInfo, type, WGPUAdapterInfo, adapterType);
SAME(Limits, WGPULimits);
FIELD(Limits, storage_buffers, WGPULimits, maxStorageBuffersPerShaderStage);
FIELD(Limits, storage_binding_size, WGPULimits, maxStorageBufferBindingSize);
FIELD(Limits, storage_alignment, WGPULimits, minStorageBufferOffsetAlignment);
FIELD(Limits, uniform_alignment, WGPULimits, minUniformBufferOffsetAlignment);
FIELD(Limits, buffer_size, WGPULimits, maxBufferSize);
FIELD(Limits, workgroups_per_dimension, WGPULimits, maxComputeWorkgroupsPerDimension);
SAME(CallbackInfo<AdapterFn>, WGPURequestAdapterCallbackInfo);
FIELD(CallbackInfo<AdapterFn>, callback, WGPURequestAdapterCallbackInfo, callback);
SAME(CallbackInfo<DeviceFn>, WGPURequestDeviceCallbackInfo);
SAME(CallbackInfo<MapFn>, WGPUBufferMapCallbackInfo);
SAME(CallbackInfo<ScopeFn>, WGPUPopErrorScopeCallbackInfo);
SAME(CallbackInfo<LostFn>, WGPUDeviceLostCallbackInfo);
SAME(UncapturedInfo, WGPUUncapturedErrorCallbackInfo);
FIELD(UncapturedInfo, callback, WGPUUncapturedErrorCallbackInfo, callback);
SAME(Labelled, WGPUShaderModuleDescriptor);
SAME(Labelled, WGPUCommandEncoderDescriptor);
SAME(Labelled, WGPUCommandBufferDescriptor);
SAME(Labelled, WGPUQueueDescriptor);
SAME(DeviceDescriptor, WGPUDeviceDescriptor);
FIELD(DeviceDescriptor, limits, WGPUDeviceDescriptor, requiredLimits);
FIELD(DeviceDescriptor, uncaptured, WGPUDeviceDescriptor, uncapturedErrorCallbackInfo);
SAME(BufferDescriptor, WGPUBufferDescriptor);
FIELD(BufferDescriptor, usage, WGPUBufferDescriptor, usage);
FIELD(BufferDescriptor, size, WGPUBufferDescriptor, size);
SAME(WgslSource, WGPUShaderSourceWGSL);
SAME(PipelineDescriptor, WGPUComputePipelineDescriptor);
FIELD(PipelineDescriptor, compute, WGPUComputePipelineDescriptor, compute);
FIELD(ComputeState, entry, WGPUComputeState, entryPoint);
SAME(BindGroupEntry, WGPUBindGroupEntry);
FIELD(BindGroupEntry, buffer, WGPUBindGroupEntry, buffer);
FIELD(BindGroupEntry, offset, WGPUBindGroupEntry, offset);
FIELD(BindGroupEntry, size, WGPUBindGroupEntry, size);
SAME(BindGroupDescriptor, WGPUBindGroupDescriptor);
FIELD(BindGroupDescriptor, entries, WGPUBindGroupDescriptor, entries);
SAME(PassDescriptor, WGPUComputePassDescriptor);
SAME(Flags, WGPUBufferUsage);
static_assert(kShaderSourceWgsl == WGPUSType_ShaderSourceWGSL && kAllowSpontaneous == WGPUCallbackMode_AllowSpontaneous);
static_assert(kFilterValidation == WGPUErrorFilter_Validation && kNoError == WGPUErrorType_NoError &&
              kFeatureLevelCore == WGPUFeatureLevel_Core);
static_assert(kBackendVulkan == WGPUBackendType_Vulkan && kHighPerformance == WGPUPowerPreference_HighPerformance);
static_assert(kSuccess == WGPUMapAsyncStatus_Success && kSuccess == WGPURequestAdapterStatus_Success &&
              kSuccess == WGPURequestDeviceStatus_Success);
static_assert(kMapRead == WGPUMapMode_Read && kMapRead == WGPUBufferUsage_MapRead && kCopySrc == WGPUBufferUsage_CopySrc);
static_assert(kCopyDst == WGPUBufferUsage_CopyDst && kUniform == WGPUBufferUsage_Uniform && kStorage == WGPUBufferUsage_Storage);
static_assert(kStrlen == WGPU_STRLEN);

TEST(WebGpuAbi, MatchesTheHeader) { SUCCEED() << "checked when this file was compiled"; }

}  // namespace lumen::webgpu::abi
#else
TEST(WebGpuAbi, MatchesTheHeader) { GTEST_SKIP() << "webgpu.h is not here; scripts/fetch_wgpu.sh brings it, then build again"; }
#endif
