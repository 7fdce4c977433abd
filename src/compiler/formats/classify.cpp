// From terms to the form, and the check of the form on random blocks.
#include "compiler/formats/classify.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "compiler/formats/form_reader.h"
#include "compiler/formats/parts.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

constexpr int kMaxBlock = 4096;
constexpr int kTrials = 16;  // random blocks

std::string element(int k) { return "element " + std::to_string(k); }

std::string precondition(const ir::FormatType& f) {
  if (f.row_planes) return "its fields are planes of a row, not a block";
  if (f.block % 16 != 0) return "blocks of " + std::to_string(f.block) + " elements, and integer dot products take 16 at a time";
  if (f.block > kMaxBlock) {
    return "blocks of " + std::to_string(f.block) + " elements, and every element is looked at only in blocks of up to " + std::to_string(kMaxBlock);
  }
  for (const ir::FormatField& field : f.fields)
    if (field.type == DType::F64) return "field " + field.name + " is f64";
  BlockProgram p(f, {f.value});
  return p.error();
}

// Terms of every element, told apart: one product with a code, at most one sum without.
struct Parts {
  std::vector<Term> scale, offset;
  std::vector<ir::ExprPtr> codes;
  bool has_offset = false;
};

ir::ExprPtr product_of(const Term& t) {
  ir::ExprPtr e = ir::make_float(t.factor);
  for (const ir::ExprPtr& l : t.levels) e = ir::make_op(ir::Op::Mul, {e, to_f32(l)});
  return e;
}

std::string split_parts(const ir::FormatType& f, TermMaker& maker, Interner& intern, Parts& parts) {
  for (int k = 0; k < f.block; ++k) {
    std::string error;
    std::vector<Term> terms = maker.terms(k, error);
    if (!error.empty()) return element(k) + ": " + error;
    Term scale{0, {}, nullptr}, offset{0, {}, nullptr};
    for (Term& t : terms) {
      Term& to = t.code ? scale : offset;
      if (to.factor == 0) {
        to = std::move(t);
      } else if (t.code) {
        return element(k) + " is a sum of two codes under different scales";
      } else {  // several offsets: one float sum
        to = Term{1, {intern(ir::make_op(ir::Op::Add, {product_of(to), product_of(t)}))}, nullptr};
      }
    }
    if (!scale.code) return element(k) + " has no bits of its own: every run of 16 elements shares all of them";
    parts.codes.push_back(scale.code);
    scale.code = nullptr;
    parts.scale.push_back(std::move(scale));
    parts.has_offset |= offset.factor != 0;
    parts.offset.push_back(std::move(offset));
  }
  return "";
}

// Integer levels within their proven range, float levels exact in the type they are stored in.
bool levels_hold(const ir::IntForm& form, const FormReader& reader, int k) {
  auto holds = [](const ir::ScaleLevel& l, double v) {
    if (l.integer) return v >= static_cast<double>(l.lo) && v <= static_cast<double>(l.hi);
    return !std::isfinite(v) || static_cast<double>(ir::round_to(static_cast<float>(v), l.stored)) == v;
  };
  for (size_t i = 0; i < form.scale.size(); ++i)
    if (!holds(form.scale[i], reader.scale(static_cast<int>(i), k))) return false;
  for (size_t i = 0; i < form.offset.size(); ++i)
    if (!holds(form.offset[i], reader.offset_level(static_cast<int>(i), k))) return false;
  return true;
}

// The form against the value rule. Products are grouped differently, so floats agree to rounding only.
std::string check(const ir::FormatType& f, const std::vector<ir::ExprPtr>& elements, const ir::IntForm& form) {
  BlockProgram value(f, elements);
  FormReader reader(f, form);
  std::mt19937 rng(12345);
  std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes));
  int compared = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    random_block(f, rng, block.data());
    reader.read(block.data());
    value.run(block.data());
    for (int k = 0; k < f.block; ++k) {
      double want = value.real(static_cast<size_t>(k)), got = reader.value(k);
      double size = std::fabs(reader.scaled(k)) + std::fabs(reader.offset(k));
      if (reader.raw(k) < 0 || reader.raw(k) > form.raw_max) return element(k) + " has a code outside its range";
      if (!levels_hold(form, reader, k)) return element(k) + " has a scale outside its range or type";
      if (!std::isfinite(want) || size > 1e38 || size < 1e-36) continue;
      ++compared;
      if (std::fabs(want - got) > 1e-6 * size) {
        return "found a form that does not reproduce the value rule (" + element(k) + ": " + std::to_string(got) + ", not " +
               std::to_string(want) + ")";
      }
    }
  }
  return compared > 0 ? "" : "its values are never finite on random blocks, so the form could not be checked";
}

std::string find_form(const ir::FormatType& f, ir::IntForm& form) {
  Interner intern;
  BitAnalysis bits(f);
  BlockMap map = enumerate(f, intern, bits);
  TermMaker maker(f, map, bits, intern);
  Subject subject{f, map, intern, bits, maker};
  Parts parts;
  if (std::string why = split_parts(f, maker, intern, parts); !why.empty()) return why;
  form.block = f.block;
  double unit = 1;
  if (std::string why = find_codes(subject, parts.codes, form, unit); !why.empty()) return why;
  for (Term& t : parts.scale) t.factor *= unit;
  double code_abs = std::fabs(form.bias) + (form.codebook.empty() ? form.raw_max : 255);
  if (std::string why = find_levels(subject, parts.scale, code_abs, false, form.scale); !why.empty()) return why;
  if (parts.has_offset) {
    if (std::string why = find_levels(subject, parts.offset, 1, true, form.offset); !why.empty()) return why;
  }
  return check(f, map.elements, form);
}

}  // namespace

void classify(ir::FormatType& f) {
  f.form.reset();
  ir::IntForm form;
  f.why_no_form = precondition(f);
  if (f.why_no_form.empty()) f.why_no_form = find_form(f, form);
  if (f.why_no_form.empty()) f.form = std::move(form);
}

}  // namespace lumen::formats
