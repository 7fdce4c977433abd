// Rows of formatted tensors, decoded: to f32, or to integer codes and scale levels.
#include "compiler/ir/interp/operand.h"

#include <algorithm>

#include "base/assert.h"
#include "compiler/ir/interp.h"
#include "compiler/ir/interp/format_eval.h"

namespace lumen::ir::interp {

FloatRows::FloatRows(FormatRef format, const uint8_t* bytes, int64_t rows, int64_t k)
    : format_(std::move(format)), bytes_(bytes), k_(k), stride_(row_bytes(*format_, k)), values_(rows * k), once_(rows) {}

const float* FloatRows::row(int64_t r) {
  float* out = values_.data + r * k_;
  once_.ensure(r, [&] { decode_row(*format_, bytes_ + r * stride_, k_, out); });
  return out;
}

CodeRows::CodeRows(FormatRef format, const uint8_t* bytes, int64_t rows, int64_t k)
    : format_(std::move(format)),
      bytes_(bytes),
      rows_(rows),
      k_(k),
      rows_per_group_(std::max<int64_t>(1, kLanes / std::max<int64_t>(1, k / format_->block))),
      codes_(rows * k),
      once_((rows + rows_per_group_ - 1) / rows_per_group_) {
  const IntForm& form = *format_->form;
  outputs_ = form.raw;
  auto add = [&](const std::vector<ScaleLevel>& levels, Store& floats, Store& ints) {
    for (const ScaleLevel& l : levels) {
      Store& s = l.integer ? ints : floats;
      LUMEN_ASSERT(!s.level && l.extent > 0);
      s.level = &l;
      s.first_output = static_cast<int>(outputs_.size());
      outputs_.insert(outputs_.end(), l.value.begin(), l.value.end());
      if (l.integer)
        s.i = std::make_unique<LazyArray<int32_t>>(rows * (k / l.extent));
      else
        s.f = std::make_unique<LazyArray<float>>(rows * (k / l.extent));
    }
  };
  add(form.scale, stores_[0], stores_[1]);
  add(form.offset, stores_[2], stores_[3]);
}

void CodeRows::fill(int64_t group) {
  const FormatType& f = *format_;
  const IntForm& form = *f.form;
  FormatProgram& p = FormatProgram::get(f, outputs_, FieldLanes::Blocks);
  Machine& m = p.machine(f, k_);
  int64_t per_row = k_ / f.block, first_row = group * rows_per_group_;
  int64_t end = std::min(rows_, first_row + rows_per_group_) * per_row;
  for (int64_t block = first_row * per_row; block < end; block += kLanes) {
    int n = static_cast<int>(std::min<int64_t>(kLanes, end - block));
    m.base = bytes_ + block * f.block_bytes;
    for (int i = 0; i < n; ++i) m.lane_base[i] = i * static_cast<int64_t>(f.block_bytes);
    p.run(n);
    for (int e = 0; e < form.block; ++e)
      for (int i = 0; i < n; ++i) {
        int64_t raw = m.output(e).i[i * m.output_step(e)];
        LUMEN_ASSERT(raw >= 0 && raw <= form.raw_max);
        codes_.data[(block + i) * f.block + e] =
            static_cast<int16_t>(form.codebook.empty() ? raw : form.codebook[static_cast<size_t>(raw)]);
      }
    for (Store& s : stores_) {
      if (!s.level) continue;
      int per_block = f.block / s.level->extent;
      for (int e = 0; e < per_block; ++e) {
        const ExprPtr& value = s.level->value[static_cast<size_t>(e)];
        int o = s.first_output + e;
        for (int i = 0; i < n; ++i) {
          int from = i * m.output_step(o);
          int64_t to = (block + i) * per_block + e;
          if (s.f)
            s.f->data[to] = is_float(value->type) ? m.output(o).f[from] : static_cast<float>(m.output(o).i[from]);
          else
            s.i->data[to] = is_float(value->type) ? static_cast<int32_t>(m.output(o).f[from]) : static_cast<int32_t>(m.output(o).i[from]);
        }
      }
    }
  }
}

CodeRows::Level CodeRows::at(const Store& s, int64_t r) const {
  if (!s.level) return {};
  int64_t per_row = k_ / s.level->extent;
  return {s.level->extent, s.f ? s.f->data + r * per_row : nullptr, s.i ? s.i->data + r * per_row : nullptr};
}

CodeRows::Row CodeRows::row(int64_t r) {
  int64_t group = r / rows_per_group_;
  once_.ensure(group, [&] { fill(group); });
  return {codes_.data + r * k_, at(stores_[0], r), at(stores_[1], r), at(stores_[2], r), at(stores_[3], r)};
}

}  // namespace lumen::ir::interp
