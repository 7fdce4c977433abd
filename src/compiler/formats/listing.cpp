// An expression's parts are the arguments of those of its nodes that see all of its bits; where they share none, each is a group.
#include "compiler/formats/listing.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

namespace lumen::formats {
namespace {

using ir::ExprPtr;

constexpr size_t kFewBits = 6;  // so many are tried as they are

// Largest parts of e that see some of `all` only; false where a field entry itself has them all.
bool parts_of(const ExprPtr& e, const BitList& all, BitAnalysis& bits, std::unordered_set<const ir::Expr*>& seen,
              std::vector<ExprPtr>& parts) {
  if (!seen.insert(e.get()).second) return true;
  const BitList support = bits.support(e);
  if (support.empty()) return true;
  if (support != all) {
    parts.push_back(e);
    return true;
  }
  if (e->kind == ir::Ek::Field) return false;
  for (const ExprPtr& a : e->args)
    if (!parts_of(a, all, bits, seen, parts)) return false;
  return true;
}

std::vector<uint32_t> every_setting(size_t n) {
  std::vector<uint32_t> r(size_t{1} << n);
  for (size_t s = 0; s < r.size(); ++s) r[s] = static_cast<uint32_t>(s);
  return r;
}

// A choice's setting of all groups' bits together, `all` being their union.
uint32_t joined_setting(const std::vector<BitGroup>& groups, size_t choice, const BitList& all) {
  uint32_t r = 0;
  for (const BitGroup& g : groups) {
    uint32_t s = g.settings[choice % g.settings.size()];
    choice /= g.settings.size();
    for (size_t i = 0; i < g.bits.size(); ++i)
      if (s >> i & 1) r |= 1u << (std::lower_bound(all.begin(), all.end(), g.bits[i]) - all.begin());
  }
  return r;
}

bool values_at(const ir::FormatType& f, const std::vector<ExprPtr>& outputs, Listing& l, std::string& why) {
  size_t choices = 1;
  for (const BitGroup& g : l.groups) choices *= g.settings.size();
  if (choices > kMaxChoices) {
    why = "it has " + std::to_string(choices) + " combinations of parts, at most " + std::to_string(kMaxChoices) + " are looked at";
    return false;
  }
  BlockProgram program(f, outputs);
  if (why = program.error(); !why.empty()) return false;
  l.of.assign(outputs.size(), std::vector<double>(choices));
  std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes), 0);
  for (size_t c = 0; c < choices; ++c) {
    size_t rest = c;
    for (const BitGroup& g : l.groups) {
      set_bits(g.bits, g.settings[rest % g.settings.size()], block.data());
      rest /= g.settings.size();
    }
    program.run(block.data());
    if (!program.in_range()) {
      why = "for some contents of a block it reads past the end of a field or a table, or divides by zero";
      return false;
    }
    for (size_t o = 0; o < outputs.size(); ++o) l.of[o][c] = program.number(o);
  }
  return true;
}

}  // namespace

void set_bits(const BitList& bits, uint32_t setting, uint8_t* block) {
  for (size_t i = 0; i < bits.size(); ++i) {
    uint8_t mask = static_cast<uint8_t>(1u << (bits[i] % 8));
    uint8_t& byte = block[bits[i] / 8];
    byte = static_cast<uint8_t>(setting >> i & 1 ? byte | mask : byte & ~mask);
  }
}

bool find_groups(const ir::FormatType& f, BitAnalysis& bits, const ExprPtr& e, std::vector<BitGroup>& groups, std::string& why) {
  const BitList all = bits.support(e);
  std::vector<ExprPtr> parts;
  std::unordered_set<const ir::Expr*> seen;
  bool apart = all.size() > kFewBits && parts_of(e, all, bits, seen, parts) && parts.size() > 1;
  BitList joined;
  size_t sum = 0;
  for (const ExprPtr& p : parts) {
    joined = unite(joined, bits.support(p));
    sum += bits.support(p).size();
  }
  if (apart && sum == all.size() && joined == all && all.size() <= 32) {
    for (const ExprPtr& p : parts) {
      Listing l;
      if (!list_values(f, bits, p, {p}, l, why)) return false;
      const BitList own = bits.support(p);
      BitGroup g{own, {}};
      std::unordered_set<uint64_t> have;
      for (size_t c = 0; c < l.of[0].size(); ++c)
        if (have.insert(std::bit_cast<uint64_t>(l.of[0][c])).second) g.settings.push_back(joined_setting(l.groups, c, own));
      groups.push_back(std::move(g));
    }
    return true;
  }
  if (all.size() > kMaxGroupBits) {
    why = "it depends on " + std::to_string(all.size()) + " bits, at most " + std::to_string(kMaxGroupBits) + " are looked at";
    return false;
  }
  groups = {{all, every_setting(all.size())}};
  return true;
}

bool list_values(const ir::FormatType& f, BitAnalysis& bits, const ExprPtr& e, const std::vector<ExprPtr>& outputs, Listing& l,
                 std::string& why) {
  return find_groups(f, bits, e, l.groups, why) && values_at(f, outputs, l, why);
}

}  // namespace lumen::formats
