// The device that tests run on. Under AddressSanitizer, what drivers allocate while they are opened is not looked at: the Vulkan loader unloads
// them before the program ends, so that nobody can say whose memory it was.
#pragma once
#include "backend/webgpu/webgpu_target.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace lumen {

inline Result<std::unique_ptr<Target>> make_test_device() {
#ifdef __SANITIZE_ADDRESS__
  __lsan::ScopedDisabler drivers;
#endif
  return make_webgpu_target();
}

}  // namespace lumen
