// See quantize_at_load.h.
#include "engine/quantize_at_load.h"

#include "compiler/formats/encode.h"
#include "compiler/formats/row_decoder.h"

namespace lumen::engine {

Result<ir::FormatRef> format_to_write(const sema::Library& lib, const std::string& name) {
  auto format = lib.format(name);
  if (!format) return Error{"--quantize: " + format.error().message, true};
  if (!*format || (*format)->row_planes) return Error{"--quantize: expected a format of blocks, found " + name, true};
  if (std::string why = formats::why_not_encodable(**format); !why.empty())
    return Error{"--quantize: " + name + " cannot be written: " + why, true};
  return format;
}

Result<std::optional<sema::ModelSource::TensorInfo>> QuantizingSource::tensor(const std::string& name) const {
  LUMEN_TRY(info, of_.tensor(name));
  if (!info) return info;
  ir::Type& t = info->type;
  if (!t.format && is_float(t.scalar) && size_of(t.scalar) <= 4 && t.rank() >= 2 && t.dims.back().value % format_->block == 0) {
    t.format = format_;
    t.scalar = DType::F32;
  }
  return info;
}

Result<std::shared_ptr<Buffer>> encode_rows(const ir::FormatRef& format, DType scalar, const std::vector<const uint8_t*>& rows, int64_t k,
                                            ThreadTeam& team) {
  int64_t bytes = ir::row_bytes(*format, k), n = static_cast<int64_t>(rows.size());
  LUMEN_TRY(buffer, Buffer::allocate(static_cast<size_t>(n * bytes)));
  auto out = std::make_shared<Buffer>(std::move(buffer));
  std::vector<std::string> wrong(static_cast<size_t>(team.size()));
  team.run(n, 8, [&](int w, int64_t begin, int64_t end) {
    formats::RowDecoder decoder(ir::Type{scalar, nullptr, {}});
    std::vector<float> x(static_cast<size_t>(k)), importance(static_cast<size_t>(k));
    for (int64_t i = begin; i < end; ++i) {
      decoder.decode(rows[static_cast<size_t>(i)], k, x.data());
      formats::weigh_errors(x.data(), nullptr, k, importance.data());
      Status s = formats::encode_row(*format, x.data(), k, out->data() + i * bytes, importance.data());
      if (!s && wrong[static_cast<size_t>(w)].empty()) wrong[static_cast<size_t>(w)] = s.error().message;
    }
  });
  for (const std::string& why : wrong)
    if (!why.empty()) return Error{why};
  return out;
}

}  // namespace lumen::engine
