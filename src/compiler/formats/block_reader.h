// A form's codes and levels read out of stored blocks at the speed of loading: the expressions are turned into byte shifts over
// eight elements at a time and tables of one byte, once per format. Results equal the expressions'.
#pragma once
#include <memory>
#include <vector>

#include "compiler/formats/xor_form.h"

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
  struct Lookup {  // table[index], the index gathered from bits
    std::vector<Piece> index;
    std::shared_ptr<const std::vector<uint32_t>> table;
  };
  // One level entry as it is read; levels count through the scale list, then the offset list.
  struct Entry {
    enum Kind { Half, Single, Bits, Computed } kind = Computed;
    int byte = 0;
    uint32_t flip = 0;            // Half, Single, Bits
    std::vector<Lookup> lookups;  // Bits: the exclusive or of them; Single: none, or one whose f32 is a factor
    // Half, Bits: where not Bool, what was read is of this type of two bytes, and f32 times `factor` is stored.
    DType half = DType::Bool;
    float factor = 1;  // Single: of the f32 that was read
    size_t output = 0;            // Computed: of the levels' program
    DType stored = DType::F32;
  };
  const Entry& entry(size_t level, size_t i) const { return levels_[level][i]; }
  // Its bits in the level's stored type; begin_levels comes first, once a block.
  void begin_levels(const uint8_t* block, Scratch& s) const {
    if (computes_levels_) s.levels->run(block);
  }
  static uint32_t level_bits(const uint8_t* block, const Entry& e, const Scratch& s) {
    if (e.kind == Entry::Computed) return computed(e, s);
    if (e.kind == Entry::Single) return single(block, e);
    uint32_t bits = e.kind == Entry::Bits ? looked_up(block, e) : static_cast<uint32_t>(block[e.byte] | block[e.byte + 1] << 8) ^ e.flip;
    return e.half == DType::Bool ? bits : scaled(e, bits);
  }
  const ir::FormatType& format() const { return f_; }
  bool fast() const { return fast_codes_ && !computes_levels_; }  // nothing is left to the expressions themselves

 private:
  // raw[first + 8 * i + e] ^= (block[byte + 8 * i + e] >> shift & mask) << to, for i in 0 .. count - 1 and e in 0 .. 7
  struct Strided {
    int first, byte, shift, to;
    uint64_t mask;
    int count;
  };
  struct TableRead {  // raw[first .. first + 7] ^= table[block[byte]]
    int first, byte;
    const uint64_t* table;
  };
  struct GatherRead {  // raw[first .. first + 7] ^= table[index]
    int first;
    std::vector<Piece> index;
    const uint64_t* table;
  };
  struct Cluster {  // bits that act on the codes of eight elements together
    BitList bits;
    std::vector<std::pair<int, const XorForm::Part*>> parts;  // with the element they act on
  };
  bool plan_codes();
  bool plan_group(int first, const std::vector<XorForm>& forms);
  uint8_t plan_strided(int first, const std::vector<XorForm>& forms);
  bool plan_cluster(int first, const Cluster& c);
  static void join(std::vector<Cluster>& clusters);
  void plan_levels();
  bool plan_entry(const ir::ScaleLevel& level, const ir::ExprPtr& e, Entry& out);
  bool plan_single(const ir::Expr& e, bool negative, float factor, Entry& out);
  bool plan_scattered(const ir::ExprPtr& word, Entry& out);
  void add_lookup(const BitList& bits, std::vector<uint32_t> table, Entry& out);
  void add_strided(const Strided& s);
  const uint64_t* shared(std::vector<uint64_t> table);
  static std::vector<Piece> pieces(const BitList& bits);
  static uint32_t gather(const uint8_t* block, const std::vector<Piece>& index);
  static uint32_t looked_up(const uint8_t* block, const Entry& e);
  static uint32_t computed(const Entry& e, const Scratch& s);
  static uint32_t single(const uint8_t* block, const Entry& e);
  static uint32_t scaled(const Entry& e, uint32_t half);

  const ir::FormatType& f_;
  const ir::IntForm& form_;
  std::vector<uint64_t> flips_;  // what the codes of each eight elements start from
  std::vector<Strided> strided_;
  std::vector<TableRead> table_reads_;
  std::vector<GatherRead> gather_reads_;
  std::vector<std::unique_ptr<const std::vector<uint64_t>>> tables_;
  std::vector<std::shared_ptr<const std::vector<uint32_t>>> level_tables_;
  std::vector<std::vector<Entry>> levels_;
  std::vector<ir::ExprPtr> computed_;
  bool fast_codes_ = false, computes_levels_ = false;
};

// Bits of a number in a stored level type.
uint32_t stored_bits(double v, DType t);

}  // namespace lumen::formats
