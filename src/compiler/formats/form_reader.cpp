// Outputs of the program: raw codes, then the values of each scale level, then those of each offset level.
#include "compiler/formats/form_reader.h"

#include <cmath>

#include "compiler/ir/scalar.h"

namespace lumen::formats {

std::vector<ir::ExprPtr> FormReader::outputs(const ir::IntForm& form) {
  std::vector<ir::ExprPtr> all = form.raw;
  for (const auto* levels : {&form.scale, &form.offset})
    for (const ir::ScaleLevel& l : *levels) all.insert(all.end(), l.value.begin(), l.value.end());
  return all;
}

FormReader::FormReader(const ir::FormatType& f, const ir::IntForm& form) : form_(form), program_(f, outputs(form)) {
  size_t at = form.raw.size();
  for (const auto* levels : {&form.scale, &form.offset})
    for (const ir::ScaleLevel& l : *levels) {
      first_.push_back(at);
      at += l.value.size();
    }
}

double FormReader::level(const std::vector<ir::ScaleLevel>& levels, size_t before, int i, int k) const {
  return program_.number(first_[before + static_cast<size_t>(i)] + static_cast<size_t>(k / levels[static_cast<size_t>(i)].extent));
}

double FormReader::scaled(int k) const {
  double p = code(k);
  for (size_t i = 0; i < form_.scale.size(); ++i) p *= scale(static_cast<int>(i), k);
  return p;
}

double FormReader::offset(int k) const {
  if (form_.offset.empty()) return 0;
  double p = 1;
  for (size_t i = 0; i < form_.offset.size(); ++i) p *= offset_level(static_cast<int>(i), k);
  return p;
}

void random_block(const ir::FormatType& f, std::mt19937& rng, uint8_t* block) {
  std::uniform_real_distribution<float> mantissa(0.25f, 1.0f);
  std::uniform_int_distribution<int> exponent(-12, 1);
  for (const ir::FormatField& field : f.fields) {
    for (int i = 0; i < field.count; ++i) {
      uint64_t bits = static_cast<uint64_t>(rng()) << 32 | rng();
      if (is_float(field.type) && field.type != DType::F64) {
        float v = std::ldexp(mantissa(rng), exponent(rng));
        bits = ir::float_bits(rng() & 1 ? v : -v, field.type);
      }
      int size = size_of(field.type);
      for (int b = 0; b < size; ++b)
        block[field.offset + i * size + b] = static_cast<uint8_t>(field.type == DType::Bool ? bits & 1 : bits >> (8 * b));
    }
  }
}

}  // namespace lumen::formats
