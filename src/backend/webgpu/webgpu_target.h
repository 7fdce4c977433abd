// WebGPU as a Target: kernels become WGSL, run by wgpu-native (opened at run time) on whatever Vulkan device there is.
#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "compiler/target.h"

namespace lumen {

struct WebGpuOptions {
  std::string library;  // path of wgpu-native; "": $LUMEN_WGPU, build/third_party/wgpu, the system's
};

// Launches are queued and begin at the latest when something waits for them; one caller at a time. Offsets are 32-bit:
// a buffer is below 2^31 bytes, and as small as one binding of the device allows.
Result<std::unique_ptr<Target>> make_webgpu_target(const WebGpuOptions& options = {});

}  // namespace lumen
