// Decoding and AbsMax encoding of rows: the public single pieces of interp.h.
#include "compiler/ir/interp/format_eval.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/assert.h"
#include "compiler/ir/interp.h"
#include "compiler/ir/scalar.h"

namespace lumen::ir {
namespace interp {
namespace {

Program compile_format(const std::vector<ExprPtr>& outputs, FieldLanes lanes, bool row_planes) {
  CompileInput in;
  in.rank = 1;
  in.lanes = lanes != FieldLanes::None;
  in.fields_per_lane = in.lanes && !row_planes;
  std::string error;
  Program p = compile(outputs, in, error);
  LUMEN_ASSERT(error.empty());  // formats have no symbols
  return p;
}

constexpr size_t kCachedPrograms = 64;  // a thread

}  // namespace

FormatProgram::FormatProgram(const FormatType& f, const std::vector<ExprPtr>& outputs, FieldLanes lanes)
    : outputs_(outputs), lanes_(lanes), program_(compile_format(outputs, lanes, f.row_planes)), machine_(program_, nullptr) {}

FormatProgram& FormatProgram::get(const FormatType& f, const std::vector<ExprPtr>& outputs, FieldLanes lanes) {
  // What a program depends on: the first output and the last (lists of a form never share both), lanes, and planes or blocks.
  using Key = std::tuple<const Expr*, const Expr*, size_t, FieldLanes, bool>;
  thread_local std::map<Key, std::unique_ptr<FormatProgram>> cache;
  Key key(outputs.front().get(), outputs.back().get(), outputs.size(), lanes, f.row_planes);
  auto it = cache.find(key);
  if (it != cache.end() && it->second->outputs_ == outputs) return *it->second;
  if (cache.size() >= kCachedPrograms) cache.clear();
  return *(cache[key] = std::make_unique<FormatProgram>(f, outputs, lanes));
}

void FormatProgram::run(int n, bool same_index) {
  machine_.clear_error();  // a format that fails at some element is reported by compiler/formats; its value is 0 here
  if (!same_index) {
    machine_.run_level(0, n);
    machine_.run_level(1, n);
  }
  if (program_.levels.size() > 2) machine_.run_level(2, n);
}

}  // namespace interp

using interp::FieldLanes;
using interp::FormatProgram;
using interp::kLanes;

void decode_row(const FormatType& f, const uint8_t* row, int64_t k, float* out) {
  LUMEN_ASSERT(f.value && f.value->type == DType::F32 && k % f.block == 0);
  FormatProgram& p = FormatProgram::get(f, {f.value}, FieldLanes::Elements);
  interp::Machine& m = p.machine(f, k);
  m.base = row;
  interp::Vec& index = m.axis_register(0);
  int64_t first = -1;  // the index of lane 0 in the last run
  for (int64_t at = 0; at < k; at += kLanes) {
    int n = static_cast<int>(std::min<int64_t>(kLanes, k - at));
    bool same = !f.row_planes && n == kLanes && at % f.block == first;
    first = f.row_planes ? at : at % f.block;
    if (!same)
      for (int i = 0; i < n; ++i) index.i[i] = f.row_planes ? at + i : (at + i) % f.block;
    if (!f.row_planes)
      for (int i = 0; i < n; ++i) m.lane_base[i] = (at + i) / f.block * f.block_bytes;
    p.run(n, same);
    int step = m.output_step(0);
    for (int i = 0; i < n; ++i) out[at + i] = m.output(0).f[i * step];
  }
}

double eval_block_expr(const FormatType& f, const ExprPtr& e, const uint8_t* block, int64_t k) {
  FormatProgram& p = FormatProgram::get(f, {e}, FieldLanes::None);
  interp::Machine& m = p.machine(f, f.block);
  m.base = block;
  m.lane_base[0] = 0;
  m.set_axis(0, k);
  p.run(1);
  if (is_float(e->type)) return m.output(0).f[0];
  int64_t v = m.output(0).i[0];
  return e->type == DType::U64 ? static_cast<double>(static_cast<uint64_t>(v)) : static_cast<double>(v);
}

float decode(const FormatType& f, const uint8_t* block, int64_t k, int64_t row_k) {
  FormatProgram& p = FormatProgram::get(f, {f.value}, FieldLanes::None);
  interp::Machine& m = p.machine(f, row_k);
  m.base = block;
  m.lane_base[0] = 0;
  m.set_axis(0, k);
  p.run(1);
  return m.output(0).f[0];
}

namespace {

// Field `field` of a row of k elements from its rule, all entries.
void derive_field(const FormatType& f, int field, int64_t k, uint8_t* row) {
  const FormatField& d = f.fields[field];
  LUMEN_ASSERT(d.derive->type == d.type);
  FormatProgram& p = FormatProgram::get(f, {d.derive}, FieldLanes::Elements);
  interp::Machine& m = p.machine(f, k);
  m.base = row;
  uint8_t* plane = row + plane_offset(f, field, k);
  int64_t entries = (k + d.per - 1) / d.per * d.count;
  for (int64_t at = 0; at < entries; at += kLanes) {
    int n = static_cast<int>(std::min<int64_t>(kLanes, entries - at));
    for (int i = 0; i < n; ++i) m.axis_register(0).i[i] = at + i;
    p.run(n);
    for (int i = 0; i < n; ++i) {
      interp::Vec v;
      int from = i * m.output_step(0);
      if (is_float(d.type))
        v.f[0] = m.output(0).f[from];
      else
        v.i[0] = m.output(0).i[from];
      interp::write_element(d.type, plane, at + i, v, 0);
    }
  }
}

}  // namespace

void encode_absmax_row(const FormatType& f, const float* x, int64_t k, uint8_t* row) {
  LUMEN_ASSERT(f.row_planes && f.code_field >= 0 && f.scale_field >= 0 && k % f.block == 0);
  const FormatField &codes = f.fields[f.code_field], &scales = f.fields[f.scale_field];
  LUMEN_ASSERT(codes.type == DType::I8 && scales.per > 0);
  std::memset(row, 0, static_cast<size_t>(row_bytes(f, k)));
  uint8_t* q = row + plane_offset(f, f.code_field, k);
  uint8_t* s = row + plane_offset(f, f.scale_field, k);
  for (int64_t at = 0; at < k; at += scales.per) {
    int64_t end = std::min<int64_t>(at + scales.per, k);
    float a = 0;
    for (int64_t i = at; i < end; ++i) a = std::max(a, std::fabs(x[i]));
    float scale = a / 127.0f, inverse = a > 0 ? 127.0f / a : 0.0f;
    interp::Vec v;
    v.f[0] = scale;
    interp::write_element(scales.type, s, at / scales.per, v, 0);
    for (int64_t i = at; i < end; ++i) {
      float c = std::nearbyint(x[i] * inverse);
      q[i] = static_cast<uint8_t>(static_cast<int8_t>(std::clamp(std::isnan(c) ? 0.0f : c, -127.0f, 127.0f)));
    }
  }
  for (size_t i = 0; i < f.fields.size(); ++i)
    if (f.fields[i].derive) derive_field(f, static_cast<int>(i), k, row);
}

}  // namespace lumen::ir
