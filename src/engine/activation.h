// Which declared format requantised activations take.
#pragma once
#include "compiler/sema/library.h"

namespace lumen::engine {

// The library's format of row planes with `encode absmax` and one parameter, for groups of `group`; null: there is none.
ir::FormatRef activation_format(const sema::Library& lib, int group);

}  // namespace lumen::engine
