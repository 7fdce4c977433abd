// A target that makes text and runs nothing: what `compile --emit wgsl` prints where no device is at hand.
#pragma once
#include <memory>

#include "backend/gpu/dialect.h"
#include "compiler/target.h"

namespace lumen::gpu {

Machine machine_of(const Dialect& dialect);  // one lane, threads do the rest
std::unique_ptr<Target> make_text_target(const Dialect& dialect);

}  // namespace lumen::gpu
