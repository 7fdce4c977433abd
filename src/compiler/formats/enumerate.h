// The value rule written out for the elements of a block: expressions over Field entries with constant indices, equal ones shared.
#pragma once
#include <map>
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
  ir::ExprPtr node(const ir::ExprPtr& e);  // of interned arguments

 private:
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

// An entry of a field that an expression reads.
struct Leaf {
  int field = 0;
  int64_t index = 0;
  bool operator==(const Leaf&) const = default;
};

// The elements of a block. Most are the same expression of other field entries: one of each kind, its representative, is written
// out, and what is found about it is carried over to the others by exchanging the entries.
// Source bits are told apart by what they are for: one is a level's where every run of 16 elements uses it with all or with none.
struct BlockMap {
  struct Element {
    int kind = 0;
    std::vector<Leaf> leaves;  // in the order of the representative's
  };
  struct Kind {
    int k = 0;          // the representative
    ir::ExprPtr value;  // its value, f32, interned
  };
  std::vector<Element> elements;
  std::vector<Kind> kinds;
  std::vector<bool> level_bit;  // by source bit
  std::vector<int> users;       // by source bit: number of elements that depend on it
  bool levels_only(const BitList& b) const;
  bool codes_only(const BitList& b) const;
};
BlockMap enumerate(const ir::FormatType& f, Interner& intern, BitAnalysis& bits);

// Expressions of representatives as those of other elements.
class Renamer {
 public:
  Renamer(const BlockMap& map, Interner& intern) : map_(map), intern_(intern) {}
  // `e` belongs to the representative of element k's kind.
  ir::ExprPtr operator()(const ir::ExprPtr& e, int k);

 private:
  const BlockMap& map_;
  Interner& intern_;
  struct Known {
    std::vector<size_t> leaves;                        // that e reads, as numbers in its element's list
    std::map<std::vector<int64_t>, ir::ExprPtr> made;  // by the indices put in their places
  };
  std::map<std::pair<const ir::Expr*, int>, Known> known_;  // by expression and kind
  std::vector<ir::ExprPtr> keep_;
};

}  // namespace lumen::formats
