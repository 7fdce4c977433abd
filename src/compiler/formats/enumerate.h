// The value rule written out for every element of a block: expressions over Field entries with constant indices, equal ones shared.
#pragma once
#include <string>
#include <vector>

#include "compiler/formats/bits.h"
#include "compiler/formats/block_program.h"
#include "compiler/ir/format.h"

namespace lumen::formats {

// Makes structurally equal expressions one object, so that pointers can be compared.
class Interner {
 public:
  ir::ExprPtr operator()(const ir::ExprPtr& e);

 private:
  ir::ExprPtr node(const ir::ExprPtr& e);
  std::unordered_multimap<uint64_t, ir::ExprPtr> nodes_;
};

// Every value an expression takes over all settings of the source bits it depends on.
struct Values {
  BitList bits;                         // setting number s gives bits[i] the value s >> i & 1
  std::vector<std::vector<double>> of;  // [output][setting]
};
inline constexpr int kMaxEnumeratedBits = 16;
// False with `why` set where there are too many bits or a setting reads out of range.
bool enumerate_values(const ir::FormatType& f, const std::vector<ir::ExprPtr>& outputs, const BitList& bits, Values& v, std::string& why);

// Source bits by what they are for: a bit is a level's where every run of 16 elements uses it with all its elements or with none.
struct BlockMap {
  std::vector<ir::ExprPtr> elements;  // f32, one an element of the block
  std::vector<bool> level_bit;        // by source bit
  std::vector<int> users;             // by source bit: number of elements that depend on it
  bool levels_only(const BitList& b) const;
  bool codes_only(const BitList& b) const;
};
BlockMap enumerate(const ir::FormatType& f, Interner& intern, BitAnalysis& bits);

}  // namespace lumen::formats
