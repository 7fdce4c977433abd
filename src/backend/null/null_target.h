// A target without a device: kernels are checked and listed as loop IR, memory is refused, nothing runs.
#pragma once
#include <memory>

#include "compiler/target.h"

namespace lumen {

// `machine`: what schedules should believe the device to be.
std::unique_ptr<Target> make_null_target(Machine machine);

}  // namespace lumen
