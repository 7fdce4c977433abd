// One Dot of an operation's body, resolved against its operands' layouts, and the two places its weight can be read from: the
// packed tensor (unpacked in registers) or a panel of unpacked codes and converted scales.
#pragma once
#include <map>
#include <vector>

#include "compiler/loops/lowering.h"

namespace lumen::loops {

// A unit of 32 elements: number `fixed` + register `unit` (optional) of the place that `base` points at.
struct UnitAt {
  std::vector<Reg> base;  // one a row group: start of the chunk (packed) or of the panel
  Reg unit;
  int64_t fixed = 0;
};

struct DotOperand {
  const ir::Expr* dot = nullptr;
  formats::PackedLayout layout;
  const ir::IntForm* form = nullptr;   // null: float weights
  int w_buffer = -1, x_buffer = -1;
  int64_t k = 0;
  // activations, bytes within a row
  int64_t x_row_bytes = 0, q_at = 0, s_at = 0, sum_at = 0;
  int group = 0;
  // integer form, after the code book has been made unsigned
  int code_max = 0, bias = 0;
  std::vector<uint8_t> lut;            // 16 entries, or empty
  bool split = false;                  // codes as two nibbles, products kept apart
  int chain = 8;                       // products an i16 lane may hold
  bool dot4 = false;
  // levels: number in form->scale / form->offset, or -1
  int scale_float = -1, scale_int = -1, offset_float = -1, offset_int = -1;
  int64_t p_run = 0, o_run = 0;        // elements between two applications of float scales, of float offsets
  int parts() const { return split ? 2 : 1; }
  bool halves() const;                 // products must be kept apart for the two halves of a unit
  bool has_offset() const { return offset_float >= 0 || offset_int >= 0; }
};

// Error text, empty where the operation's dots can all be lowered.
std::string resolve(LowerContext& c, const ir::Expr& dot, DotOperand& d);

class WeightReader {
 public:
  virtual ~WeightReader() = default;
  virtual void begin_unit(const UnitAt& u) { at_ = u; }
  virtual Reg column(int c, int part, int g) = 0;        // four codes of each row, unsigned bytes
  virtual Reg scale_dup(int half, int g) = 0;            // integer scale in both halves of a lane
  virtual Reg scale_pair(int g) = 0;                     // (scale of the first half, of the second half)
  virtual Reg offset_pair(int g) = 0;                    // integer offsets likewise
  virtual Reg float_scale(int half, int g) = 0;          // F32
  virtual Reg float_offset(int half, int g) = 0;

 protected:
  UnitAt at_;
};

class PackedReader : public WeightReader {
 public:
  PackedReader(Builder& b, const DotOperand& d, int lanes) : b_(b), d_(d), lanes_(lanes) {}
  void begin_unit(const UnitAt& u) override;
  Reg column(int c, int part, int g) override;
  Reg scale_dup(int half, int g) override;
  Reg scale_pair(int g) override { return pair(d_.layout.scale[d_.scale_int], g, 0); }
  Reg offset_pair(int g) override { return pair(d_.layout.offset[d_.offset_int], g, 1); }
  Reg float_scale(int half, int g) override { return level(d_.layout.scale[d_.scale_float], half, g); }
  Reg float_offset(int half, int g) override { return level(d_.layout.offset[d_.offset_float], half, g); }

 private:
  Reg raw_column(int c, int g);
  Reg pair(const formats::PackedLevel& l, int g, int which);
  Reg level(const formats::PackedLevel& l, int half, int g);
  Address entry(const formats::PackedLevel& l, int half, int g, int64_t bytes_per_entry);
  Builder& b_;
  const DotOperand& d_;
  int lanes_;
  std::map<std::pair<int, int>, Reg> planes_, columns_, pairs_;  // within the unit
};

// Panel of one row tile: for each unit [column][part][group] codes, then the scales of the unit in the order of Slots.
struct Panel {
  int buffer = -1;
  int groups = 1, lanes = 8;
  int64_t unit_bytes = 0;
  int64_t scale_dup[2] = {-1, -1}, scale_pair = -1, offset_pair = -1, float_scale[2] = {-1, -1}, float_offset[2] = {-1, -1};
  int64_t at(int c, int part, int parts, int g) const { return ((static_cast<int64_t>(c) * parts + part) * groups + g) * lanes * 4; }
};
Panel panel_of(const DotOperand& d, int groups, int lanes);

class PanelReader : public WeightReader {
 public:
  PanelReader(Builder& b, const DotOperand& d, const Panel& p) : b_(b), d_(d), p_(p) {}
  void begin_unit(const UnitAt& u) override;
  Reg column(int c, int part, int g) override { return integer(p_.at(c, part, d_.parts(), g)); }
  Reg scale_dup(int half, int g) override { return integer(slot(p_.scale_dup[half], g)); }
  Reg scale_pair(int g) override { return integer(slot(p_.scale_pair, g)); }
  Reg offset_pair(int g) override { return integer(slot(p_.offset_pair, g)); }
  Reg float_scale(int half, int g) override { return floating(slot(p_.float_scale[half], g)); }
  Reg float_offset(int half, int g) override { return floating(slot(p_.float_offset[half], g)); }

 private:
  int64_t slot(int64_t at, int g) const { return at + static_cast<int64_t>(g) * p_.lanes * 4; }
  Reg integer(int64_t at) { return b_.load(Ty::I32, p_.lanes, DType::I32, {p_.buffer, base_, {}, at_.fixed * p_.unit_bytes + at}); }
  Reg floating(int64_t at) { return b_.load(Ty::F32, p_.lanes, DType::F32, {p_.buffer, base_, {}, at_.fixed * p_.unit_bytes + at}); }
  Builder& b_;
  const DotOperand& d_;
  Panel p_;
  Reg base_;
};

// Unpacks one row tile of the weight into the panel. `group_base`: byte offset of each row group in the packed tensor.
void fill_panel(Builder& b, const DotOperand& d, const Panel& p, const std::vector<Reg>& group_base);

}  // namespace lumen::loops
