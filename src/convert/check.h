// A model file held against its architecture's declaration: tensors that are missing, unused or of another shape, settings that make a
// model talk nonsense without any error.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compiler/sema/library.h"

namespace lumen::convert {

struct Finding {
  enum Level : uint8_t { Fine, Warning, Wrong } level = Fine;
  std::string what;  // "tensors", "rope", …: one word
  std::string says;
};

// Appends what it finds. False: the declaration cannot be applied to the file, nothing can be run.
bool check_structure(const sema::Library& lib, const Checkpoint& file, std::vector<Finding>& findings);

}  // namespace lumen::convert
