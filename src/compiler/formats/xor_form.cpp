// Which bits act together is read off the function's polynomial over bits (its exclusive-or normal form): two bits that occur in one
// product do. Groups of bits that an expression keeps apart (listing.h) are looked at one by one.
#include "compiler/formats/xor_form.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>

#include "compiler/formats/shape_key.h"

namespace lumen::formats {
namespace {

using ir::ExprPtr;

// Appends the parts of g, a function of `bits` with g[0] = 0.
void split(const BitList& bits, const std::vector<uint8_t>& g, XorForm& form) {
  std::vector<uint8_t> a = g;  // to coefficients: those of a product of bits at its setting
  for (size_t i = 0; i < bits.size(); ++i)
    for (size_t s = 0; s < a.size(); ++s)
      if (s >> i & 1) a[s] ^= a[s ^ size_t{1} << i];
  std::vector<size_t> group(bits.size());  // bits that occur together have the same number
  std::iota(group.begin(), group.end(), 0);
  std::vector<bool> used(bits.size());
  for (size_t s = 1; s < a.size(); ++s) {
    if (!a[s]) continue;
    size_t first = static_cast<size_t>(std::countr_zero(s));
    for (size_t i = first; i < bits.size(); ++i) {
      if (!(s >> i & 1)) continue;
      used[i] = true;
      if (group[i] != group[first]) std::replace(group.begin(), group.end(), size_t{group[i]}, size_t{group[first]});
    }
  }
  for (size_t n = 0; n < bits.size(); ++n) {
    XorForm::Part part;
    std::vector<size_t> places;
    for (size_t i = 0; i < bits.size(); ++i)
      if (group[i] == n && used[i]) places.push_back(i);
    if (places.empty()) continue;
    for (size_t i : places) part.bits.push_back(bits[i]);
    for (size_t s = 0; s < size_t{1} << places.size(); ++s) {
      size_t setting = 0;
      for (size_t i = 0; i < places.size(); ++i) setting |= (s >> i & 1) << places[i];
      part.table.push_back(g[setting]);
    }
    form.parts.push_back(std::move(part));
  }
}

// True where the code is an exclusive or of a function of each group's choice.
bool separate(const Listing& l) {
  auto at = [&](size_t c) { return static_cast<unsigned>(l.of[0][c]); };
  for (size_t c = 0; c < l.of[0].size(); ++c) {
    unsigned sum = at(0);
    size_t step = 1, rest = c;
    for (const BitGroup& g : l.groups) {
      sum ^= at(rest % g.settings.size() * step) ^ at(0);
      rest /= g.settings.size();
      step *= g.settings.size();
    }
    if (sum != at(c)) return false;
  }
  return true;
}

bool find_one(const ir::FormatType& f, BitAnalysis& bits, const ExprPtr& raw, XorForm& form) {
  Listing l;
  std::string why;
  if (!list_values(f, bits, raw, {raw}, l, why)) return false;
  if (l.groups.size() > 1 && !separate(l)) {
    const BitList all = bits.support(raw);
    if (all.size() > kMaxGroupBits) return false;
    l.groups = {{all, {0}}};
  }
  BlockProgram program(f, {raw});
  std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes), 0);
  for (const BitGroup& g : l.groups) set_bits(g.bits, g.settings[0], block.data());
  program.run(block.data());
  form.base = static_cast<uint8_t>(program.integer(0));
  for (const BitGroup& g : l.groups) {  // the others at their first choice, which is part of the base
    std::vector<uint8_t> own(size_t{1} << g.bits.size());
    if (g.bits.size() > kMaxGroupBits) return false;
    for (size_t s = 0; s < own.size(); ++s) {
      set_bits(g.bits, static_cast<uint32_t>(s), block.data());
      program.run(block.data());
      own[s] = static_cast<uint8_t>(program.integer(0));
    }
    set_bits(g.bits, g.settings[0], block.data());
    uint8_t zero = own[0];
    form.base = static_cast<uint8_t>(form.base ^ own[g.settings[0]] ^ zero);
    for (uint8_t& v : own) v ^= zero;
    split(g.bits, own, form);
  }
  return true;
}

// Bits in ascending order, and the table by them.
void sort_bits(XorForm::Part& p) {
  if (std::is_sorted(p.bits.begin(), p.bits.end())) return;
  XorForm::Part sorted{p.bits, std::vector<uint8_t>(p.table.size())};
  std::sort(sorted.bits.begin(), sorted.bits.end());
  for (size_t s = 0; s < p.table.size(); ++s) {
    size_t to = 0;
    for (size_t i = 0; i < p.bits.size(); ++i)
      to |= (s >> i & 1) << (std::lower_bound(sorted.bits.begin(), sorted.bits.end(), p.bits[i]) - sorted.bits.begin());
    sorted.table[to] = p.table[s];
  }
  p = std::move(sorted);
}

}  // namespace

bool find_xor_forms(const ir::FormatType& f, const std::vector<ExprPtr>& raw, std::vector<XorForm>& forms) {
  struct Kind {
    XorForm form;
    std::vector<Leaf> leaves;
  };
  std::map<std::vector<uint64_t>, Kind> kinds;
  BitAnalysis bits(f);
  auto width = [&](const Leaf& l) { return 8 * size_of(f.fields[static_cast<size_t>(l.field)].type); };
  auto first_bit = [&](const Leaf& l) { return 8 * f.fields[static_cast<size_t>(l.field)].offset + static_cast<int>(l.index) * width(l); };
  for (const ExprPtr& e : raw) {
    ShapeKey shape(e);
    auto [it, fresh] = kinds.try_emplace(std::move(shape.key));
    Kind& kind = it->second;
    if (fresh) {
      kind.leaves = shape.leaves;
      if (!find_one(f, bits, e, kind.form)) return false;
    }
    XorForm form = kind.form;
    for (XorForm::Part& part : form.parts) {
      for (int& b : part.bits)
        for (size_t l = 0; l < kind.leaves.size(); ++l) {
          int at = b - first_bit(kind.leaves[l]);
          if (at < 0 || at >= width(kind.leaves[l])) continue;
          b = first_bit(shape.leaves[l]) + at;
          break;
        }
      sort_bits(part);
    }
    forms.push_back(std::move(form));
  }
  return true;
}

}  // namespace lumen::formats
