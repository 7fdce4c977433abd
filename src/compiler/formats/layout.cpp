// Derived layouts: sizes and offsets.
#include "compiler/formats/layout.h"

#include <numeric>

#include "base/assert.h"

namespace lumen::formats {

static int64_t padded_groups(int64_t n, int rows, int tile_groups) {
  int64_t tile = static_cast<int64_t>(rows) * tile_groups;
  return (n + tile - 1) / tile * tile_groups;
}

static int form_chunk(const ir::IntForm& form) {
  int chunk = std::lcm(form.block, kUnit);
  for (const auto* levels : {&form.scale, &form.offset})
    for (const ir::ScaleLevel& l : *levels) chunk = std::lcm(chunk, l.extent);
  return chunk;
}

bool has_integer_layout(const ir::Type& w) {
  if (!w.format || !w.format->form || w.rank() < 2 || !w.dims.back().is_const()) return false;
  return w.dims.back().value % form_chunk(*w.format->form) == 0;
}

PackedLayout packed_layout(const ir::Type& w, int rows, int tile_groups) {
  LUMEN_ASSERT(has_integer_layout(w));
  const ir::IntForm& form = *w.format->form;
  PackedLayout p;
  p.integer = true;
  p.rows = rows;
  p.k = w.dims.back().value;
  p.n = 1;
  for (int i = 0; i + 1 < w.rank(); ++i) p.n *= w.dims[i].value;
  p.groups = padded_groups(p.n, rows, tile_groups);
  p.chunk = form_chunk(form);
  for (int wider = 128; wider > p.chunk; wider /= 2)  // larger chunks keep codes aligned to cache lines
    if (wider % p.chunk == 0 && p.k % wider == 0) p.chunk = wider;
  int64_t at = 0;
  auto place = [&](const std::vector<ir::ScaleLevel>& from, std::vector<PackedLevel>& to) {
    for (const ir::ScaleLevel& l : from) {
      PackedLevel q{at, l.stored, l.extent, l.integer && l.extent == 16};
      at += static_cast<int64_t>(p.chunk / l.extent) * rows * size_of(l.stored);
      to.push_back(q);
    }
  };
  place(form.scale, p.scale);
  place(form.offset, p.offset);
  at = (at + 31) / 32 * 32;
  p.codes = at;
  for (int bits : {8, 4, 2, 1}) {
    if (bits == 8 ? form.bits == 8 : (form.bits < 8 && (form.bits & bits))) p.planes.push_back(bits);
  }
  p.unit_bytes = form.bits * rows * 4;
  p.chunk_bytes = p.codes + static_cast<int64_t>(p.chunk / kUnit) * p.unit_bytes;
  return p;
}

PackedLayout packed_float_layout(const ir::Type& w, int rows, int tile_groups, DType element) {
  PackedLayout p;
  p.rows = rows;
  p.k = w.dims.back().value;
  p.n = 1;
  for (int i = 0; i + 1 < w.rank(); ++i) p.n *= w.dims[i].value;
  p.groups = padded_groups(p.n, rows, tile_groups);
  p.element = element;
  p.chunk = 1;
  p.chunk_bytes = static_cast<int64_t>(rows) * size_of(element);
  return p;
}

}  // namespace lumen::formats
