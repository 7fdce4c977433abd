// The inverse of a form: raw codes and level values put back into the bits of a block. Built by listing what every expression
// gives under every setting of its bits, so it needs no rule for how expressions are written.
#pragma once
#include <memory>
#include <vector>

#include "base/result.h"
#include "compiler/formats/enumerate.h"

namespace lumen::formats {

// The finite values a level may take, ascending, and a setting of its bits for each. Null bits and values: any f32.
struct LevelTable {
  std::vector<double> values;
  std::vector<uint32_t> settings;
  std::vector<uint32_t> starts;  // of long tables: the first value whose upper 16 bits as f32, in order, are at least that
  size_t below(double v) const;  // number of the largest value <= v, or 0
};

// Neighbouring bits of a setting that are neighbours in one byte of the block, too.
struct BitRun {
  uint32_t shift, mask;  // of the setting
  int byte, to;
};

struct LevelEntry {
  BitList bits;
  std::vector<BitRun> runs;
  std::shared_ptr<const LevelTable> table;  // null: a field of type f32 starting at bits[0], negated where `negative`
  bool negative = false;
  double nearest(double v) const;
  double next(double v) const;  // the representable neighbour of nearest(v) on the other side of v; nearest(v) where there is none
};

class BlockWriter {
 public:
  // The error is the bare reason.
  static Result<std::unique_ptr<BlockWriter>> make(const ir::FormatType& f);
  // Levels count through the scale list, then the offset list.
  const std::vector<std::vector<LevelEntry>>& levels() const { return levels_; }
  // Raw codes that every element can take.
  std::vector<int> reachable() const;
  // `block` must be zeroed first. False where no setting of the bits gives these codes together.
  bool write_codes(const uint8_t* raw, uint8_t* block) const;
  void write_level(size_t level, size_t entry, double value, uint8_t* block) const;  // value: as nearest gave it

 private:
  struct Component {  // elements whose codes share bits
    std::vector<int> elements;
    BitList bits;
    std::vector<BitRun> runs;
    std::shared_ptr<const std::vector<int32_t>> settings;  // by the codes' digits to the base raw_max + 1; -1: none
  };
  explicit BlockWriter(const ir::FormatType& f) : f_(f) {}
  std::string plan_codes(std::vector<int>& owner);
  std::string plan_component(Component& c);
  std::string plan_levels(std::vector<int>& owner);
  std::string plan_level(const ir::ExprPtr& e, DType stored, LevelEntry& out);
  BitList essential(const std::vector<ir::ExprPtr>& e, BitList bits, Values& v, std::string& why);

  const ir::FormatType& f_;
  std::vector<Component> components_;
  std::vector<std::vector<LevelEntry>> levels_;
};

}  // namespace lumen::formats
