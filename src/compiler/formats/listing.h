// Every value of an expression without trying every setting of its bits. A row of a table that nine bits choose and a sign that seven
// give are listed by themselves; what is made of the two is tried for each pair of their values.
#pragma once
#include "compiler/formats/enumerate.h"

namespace lumen::formats {

// Source bits that an expression sees through one part of it only, and settings of them that give each value of that part once.
struct BitGroup {
  BitList bits;
  std::vector<uint32_t> settings;  // setting s gives bits[i] the value s >> i & 1
};
struct Listing {
  std::vector<BitGroup> groups;           // disjoint
  std::vector<std::vector<double>> of;    // [output][choice]: one setting of each group, the first group's changing fastest
};
inline constexpr size_t kMaxGroupBits = 12;
inline constexpr size_t kMaxChoices = 4096;

// Values of `outputs`, which depend on no other bits than `e` does and are made of the same parts. False with `why` set where there are
// too many or a setting reads out of range.
bool list_values(const ir::FormatType& f, BitAnalysis& bits, const ir::ExprPtr& e, const std::vector<ir::ExprPtr>& outputs, Listing& l,
                 std::string& why);
// The groups alone.
bool find_groups(const ir::FormatType& f, BitAnalysis& bits, const ir::ExprPtr& e, std::vector<BitGroup>& groups, std::string& why);

void set_bits(const BitList& bits, uint32_t setting, uint8_t* block);  // bits of a setting, 0 and 1

}  // namespace lumen::formats
