// From terms to the form, and the check of the form on random blocks.
#include "compiler/formats/classify.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "compiler/formats/form_reader.h"
#include "compiler/formats/parts.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

constexpr int kMaxBlock = 4096;
constexpr int kTrials = 4;  // random blocks

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

// Terms told apart: one product with a code, at most one sum without.
struct Parts {
  std::vector<Term> scale, offset;  // by element, without the code
  std::vector<ir::ExprPtr> codes;   // by kind
  bool has_offset = false;
};

ir::ExprPtr product_of(const Term& t) {
  ir::ExprPtr e = ir::make_float(t.factor);
  for (const ir::ExprPtr& l : t.levels) e = ir::make_op(ir::Op::Mul, {e, to_f32(l)});
  return e;
}

// The representatives' terms: one with a code, at most one without.
struct KindParts {
  Term scale{0, {}, nullptr}, offset{0, {}, nullptr};
  ir::ExprPtr code;
};

std::string split_kind(const BlockMap::Kind& kind, TermMaker& maker, Interner& intern, KindParts& p) {
  std::string error;
  std::vector<Term> terms = maker.terms(kind, error);
  if (!error.empty()) return element(kind.k) + ": " + error;
  for (Term& t : terms) {
    Term& to = t.code ? p.scale : p.offset;
    if (to.factor == 0) {
      to = std::move(t);
    } else if (t.code) {
      return element(kind.k) + " is a sum of two codes under different scales";
    } else {  // several offsets: one float sum
      to = Term{1, {intern(ir::make_op(ir::Op::Add, {product_of(to), product_of(t)}))}, nullptr};
    }
  }
  if (!p.scale.code) return element(kind.k) + " has no bits of its own: every run of 16 elements shares all of them";
  p.code = std::exchange(p.scale.code, nullptr);
  return "";
}

std::string split_parts(const Subject& s, Parts& parts) {
  std::vector<KindParts> kinds(s.map.kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i)
    if (std::string why = split_kind(s.map.kinds[i], s.maker, s.intern, kinds[i]); !why.empty()) return why;
  for (const KindParts& p : kinds) {
    parts.codes.push_back(p.code);
    parts.has_offset |= p.offset.factor != 0;
  }
  auto of_element = [&](const Term& t, int k) {
    Term own{t.factor, {}, nullptr};
    for (const ir::ExprPtr& l : t.levels) own.levels.push_back(s.rename(l, k));
    sort_levels(own.levels);
    return own;
  };
  for (int k = 0; k < s.f.block; ++k) {
    const KindParts& p = kinds[static_cast<size_t>(s.map.elements[static_cast<size_t>(k)].kind)];
    parts.scale.push_back(of_element(p.scale, k));
    parts.offset.push_back(of_element(p.offset, k));
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
std::string check(const ir::FormatType& f, const ir::IntForm& form) {
  BlockProgram value(f, {f.value});
  FormReader reader(f, form);
  std::mt19937 rng(12345);
  std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes));
  int compared = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    random_block(f, rng, block.data());
    reader.read(block.data());
    for (int k = 0; k < f.block; ++k) {
      value.run(block.data(), k);
      double want = value.real(0), got = reader.value(k);
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
  Renamer rename(map, intern);
  Subject subject{f, map, intern, bits, maker, rename};
  Parts parts;
  if (std::string why = split_parts(subject, parts); !why.empty()) return why;
  form.block = f.block;
  double unit = 1;
  if (std::string why = find_codes(subject, parts.codes, form, unit); !why.empty()) return why;
  for (Term& t : parts.scale) t.factor *= unit;
  double code_abs = std::fabs(form.bias) + (form.codebook.empty() ? form.raw_max : 255);
  if (std::string why = find_levels(subject, parts.scale, code_abs, false, form.scale); !why.empty()) return why;
  if (parts.has_offset) {
    if (std::string why = find_levels(subject, parts.offset, 1, true, form.offset); !why.empty()) return why;
  }
  return check(f, form);
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
