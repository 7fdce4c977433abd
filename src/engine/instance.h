// From a checkpoint to the function that runs it: what the compiled model and the interpreted one begin with.
#pragma once
#include "checkpoint/checkpoint.h"
#include "compiler/passes/passes.h"
#include "compiler/sema/model.h"

namespace lumen::engine {

// The format of row planes with `encode absmax` and one parameter, for groups of `group`; null: the library has none.
ir::FormatRef activation_format(const sema::Library& lib, int group);

// The declaration for the file's architecture, applied to the file; exact: states in f32; quantize: a format that float
// matrices are encoded in. Errors name the file and the key.
Result<sema::ModelInstance> instantiate(const sema::Library& lib, const Checkpoint& file, bool exact, const std::string& quantize = "");
int64_t vocabulary(const sema::ModelInstance& model);
// Tokens a sequence may have: what was asked for, or (0) what the model was trained for, at most 4096.
int64_t context_length(const sema::ModelInstance& model, int64_t asked);

// f after the passes. LUMEN_DUMP=ir prints the outcome on stderr, LUMEN_DUMP=ir:after=PASS what that pass leaves.
// observed: see passes::observe_dots.
ir::Function optimise(const sema::Library& lib, ir::Function f, bool exact, bool fine_results = true,
                      std::vector<passes::DotInput>* observed = nullptr);

}  // namespace lumen::engine
