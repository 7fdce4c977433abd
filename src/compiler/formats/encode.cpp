// Dispatch by kind of format, and the plans kept between calls.
#include "compiler/formats/encode.h"

#include <cmath>
#include <cstring>
#include <list>
#include <mutex>

#include "base/assert.h"
#include "compiler/formats/block_encoder.h"
#include "compiler/formats/row_decoder.h"
#include "compiler/ir/interp.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using PlanResult = Result<std::shared_ptr<const EncodePlan>>;
constexpr size_t kKept = 64;

PlanResult plan_of(const ir::FormatType& f) {
  if (!f.form) return Error{"it has no integer form (" + f.why_no_form + ")"};
  struct Kept {
    std::string name;
    uint64_t value;
    PlanResult plan;
  };
  static std::mutex mutex;
  static std::list<Kept> kept;
  std::lock_guard lock(mutex);
  for (const Kept& k : kept)
    if (k.name == f.name && k.value == f.value->hash) return k.plan;
  kept.push_back({f.name, f.value->hash, EncodePlan::make(f)});
  if (kept.size() > kKept) kept.pop_front();
  return kept.back().plan;
}

// The type of a format that holds plain floats, or Bool.
DType plain_type(const ir::FormatType& f) {
  const ir::Expr* core = f.value.get();
  while (core->kind == ir::Ek::Cast && core->type == DType::F32) core = core->args[0].get();
  bool plain = !f.row_planes && f.block == 1 && f.fields.size() == 1 && core->kind == ir::Ek::Field && is_float(core->type) &&
               core->type != DType::F64;
  return plain ? core->type : DType::Bool;
}

void convert(DType t, const float* x, int64_t k, uint8_t* row) {
  int size = size_of(t);
  for (int64_t i = 0; i < k; ++i) {
    uint64_t bits = ir::float_bits(x[i], t);
    std::memcpy(row + i * size, &bits, static_cast<size_t>(size));
  }
}

// Weights of a row: never all zero, so that every element is held to something.
std::vector<float> weights_of(const float* importance, int64_t k) {
  std::vector<float> w(static_cast<size_t>(k), 1.0f);
  if (!importance) return w;
  double sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += importance[i];
  float floor = static_cast<float>(1e-4 * sum / static_cast<double>(k));
  if (!(floor > 0)) return w;
  for (int64_t i = 0; i < k; ++i) w[static_cast<size_t>(i)] = std::max(importance[i], floor);
  return w;
}

}  // namespace

Status encode_row(const ir::FormatType& f, const float* x, int64_t k, uint8_t* row, const float* importance) {
  if (k % f.block != 0)
    return Error{"format " + f.name + " takes rows of whole blocks of " + std::to_string(f.block) + " elements, not " + std::to_string(k)};
  for (int64_t i = 0; i < k; ++i) {
    if (!std::isfinite(x[i]))
      return Error{"element " + std::to_string(i) + " of the row to be written in format " + f.name + " is not a finite number"};
    if (importance && !(importance[i] >= 0 && std::isfinite(importance[i])))
      return Error{"importance " + std::to_string(i) + " is not a number from 0 up"};
  }
  if (f.encode == ir::EncodeRule::AbsMax) {
    ir::encode_absmax_row(f, x, k, row);
    return ok_status();
  }
  if (DType t = plain_type(f); t != DType::Bool) {
    convert(t, x, k, row);
    return ok_status();
  }
  PlanResult plan = plan_of(f);
  if (!plan) return Error{"format " + f.name + " cannot be written: " + plan.error().message};
  BlockEncoder encoder(**plan);
  std::vector<float> w = weights_of(importance, k);
  for (int64_t b = 0; b < k / f.block; ++b) {
    if (!encoder.encode(x + b * f.block, w.data() + b * f.block, row + b * f.block_bytes))
      return Error{"format " + f.name + " cannot be written: no bits of a block give the codes chosen for it"};
  }
  return ok_status();
}

// Found by measuring (docs/quantize.md): with equal weights the root mean square is smallest, and the answers move further.
void weigh_errors(const float* x, const float* columns, int64_t k, float* importance) {
  double squares = 0;
  for (int64_t i = 0; i < k; ++i) squares += static_cast<double>(x[i]) * x[i];
  float scale = squares > 0 ? static_cast<float>(static_cast<double>(k) / squares) : 0;
  if (!std::isfinite(scale)) scale = 0;
  for (int64_t i = 0; i < k; ++i) {
    float size = 1 + x[i] * x[i] * scale;
    importance[i] = columns ? columns[i] * std::sqrt(size) : size;
  }
}

std::string why_not_encodable(const ir::FormatType& f) {
  if (f.encode == ir::EncodeRule::AbsMax || plain_type(f) != DType::Bool) return "";
  PlanResult plan = plan_of(f);
  return plan ? "" : plan.error().message;
}

void install_encode_hook() {
  ir::set_encode_hook([](const ir::FormatType& f, const float* x, int64_t k, uint8_t* row) {
    Status status = encode_row(f, x, k, row);
    if (status) return;
    std::fprintf(stderr, "lumen: %s\n", status.error().message.c_str());
    LUMEN_ASSERT(status.ok());
  });
}

}  // namespace lumen::formats
