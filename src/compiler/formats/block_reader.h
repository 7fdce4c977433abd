// A form's codes and levels read out of stored blocks at the speed of loading: the expressions are turned into byte shifts over
// eight elements at a time and tables of one byte, once per format. Results equal the expressions'.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "compiler/formats/bit_field.h"
#include "compiler/ir/format.h"

namespace lumen::formats {

class BlockReader {
 public:
  // f.form must be set; f must outlive the reader.
  explicit BlockReader(const ir::FormatType& f);

  // Working memory of one thread.
  struct Scratch {
    explicit Scratch(const BlockReader& r);
    std::unique_ptr<BlockProgram> codes, levels;
  };
  void read_codes(const uint8_t* block, uint8_t* raw, Scratch& s) const;  // `block` bytes
  struct Piece {                                                          // (byte >> shift & mask) << to
    int byte;
    uint8_t shift, mask;
    int to;
  };
  // One level entry as it is read; levels count through the scale list, then the offset list.
  struct Entry {
    enum Kind { Half, Lookup, Computed } kind = Computed;
    int byte = 0;
    uint32_t flip = 0;
    std::vector<Piece> index;  // Lookup: number of the entry of `table`
    std::shared_ptr<const std::vector<uint32_t>> table;
    size_t output = 0;  // Computed: of the levels' program
    DType stored = DType::F32;
  };
  const Entry& entry(size_t level, size_t i) const { return levels_[level][i]; }
  // Its bits in the level's stored type; begin_levels comes first, once a block.
  void begin_levels(const uint8_t* block, Scratch& s) const {
    if (computes_levels_) s.levels->run(block);
  }
  static uint32_t level_bits(const uint8_t* block, const Entry& e, const Scratch& s) {
    switch (e.kind) {
      case Entry::Half:
        return static_cast<uint32_t>(block[e.byte] | block[e.byte + 1] << 8) ^ e.flip;
      case Entry::Lookup:
        return lookup(block, e);
      default:
        return computed(e, s);
    }
  }
  const ir::FormatType& format() const { return f_; }
  bool fast() const { return fast_codes_ && !computes_levels_; }  // nothing is left to the expressions themselves

 private:
  using ByteTable = std::array<uint64_t, 256>;
  // raw[first + 8 * i + e] ^= (block[byte + 8 * i + e] >> shift & mask) << to, for i in 0 .. count - 1 and e in 0 .. 7
  struct Strided {
    int first, byte, shift, to;
    uint64_t mask;
    int count;
  };
  struct TableRead {  // raw[first .. first + 7] ^= table[block[byte]]
    int first, byte;
    const ByteTable* table;
  };
  bool plan_codes();
  bool plan_group(int first, const std::vector<Values>& values);
  void plan_levels();
  bool plan_entry(const ir::ScaleLevel& level, const ir::ExprPtr& e, Entry& out);
  void add_strided(const Strided& s);
  const ByteTable* shared(const ByteTable& t);
  static uint32_t lookup(const uint8_t* block, const Entry& e);
  static uint32_t computed(const Entry& e, const Scratch& s);

  const ir::FormatType& f_;
  const ir::IntForm& form_;
  std::vector<uint64_t> flips_;  // what the codes of each eight elements start from
  std::vector<Strided> strided_;
  std::vector<TableRead> table_reads_;
  std::vector<std::unique_ptr<ByteTable>> tables_;
  std::vector<std::shared_ptr<const std::vector<uint32_t>>> level_tables_;
  std::vector<std::vector<Entry>> levels_;
  std::vector<ir::ExprPtr> computed_;
  bool fast_codes_ = false, computes_levels_ = false;
};

// Bits of a number in a stored level type.
uint32_t stored_bits(double v, DType t);

}  // namespace lumen::formats
