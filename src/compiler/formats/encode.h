// Encoding: rows of f32 into a format's storage, by inverting its integer form with a search of the scales.
#pragma once
#include <memory>

#include "base/result.h"
#include "compiler/ir/format.h"

namespace lumen::formats {

// Writes k elements (whole blocks) of x in format f. `importance`: weights of the squared errors, one an element (not negative),
// or null for all alike. Formats that are plain floats are converted, `encode absmax` formats follow their rule; other formats
// need an integer form whose bits can be set one by one. Errors name the format and the reason. Thread-safe; what is worked out
// about a format is kept.
Status encode_row(const ir::FormatType& f, const float* x, int64_t k, uint8_t* row, const float* importance = nullptr);
// Importances for a row of a model's weights: what an error costs the answers grows with the weight's own size. `columns`: what the
// row's columns are multiplied with, as mean squares, or null where nothing is known of it.
void weigh_errors(const float* x, const float* columns, int64_t k, float* importance);
// Why encode_row cannot write this format ("it has no integer form (…)"), or empty.
std::string why_not_encodable(const ir::FormatType& f);

// Lets the interpreter encode formatted states by the search (ir::set_encode_hook).
void install_encode_hook();

}  // namespace lumen::formats
