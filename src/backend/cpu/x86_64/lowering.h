// Lowering: from a loop kernel's statements to AsmJit's Compiler, which allocates registers. I64 registers become general ones,
// I32 and F32 ones vector registers (one lane: the low lane of an xmm, the others unspecified).
// Invariants: a register with one assignment and constant value is never emitted as such but used as an immediate or from the
// pool; a load that `plan_block` folded is emitted by its only reader, as that one's memory operand; every op reads its operands
// and constants before it writes its result, for one that is read the last time may share the result's register; a vector register that
// found no slot lives on the stack, or is loaded again where it came from memory, and is read as a memory operand.
#pragma once
#include <asmjit/x86.h>

#include <map>
#include <string>
#include <vector>

#include "backend/cpu/allocate.h"
#include "backend/cpu/x86_64/emit.h"
#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

using asmjit::Imm;
using asmjit::InstId;
using asmjit::Operand;
using asmjit::x86::Gp;
namespace Inst = asmjit::x86::Inst;
using asmjit::x86::KReg;
using asmjit::x86::Mem;
using asmjit::x86::Vec;
using loops::LOp;
using loops::Reg;
using loops::Stmt;
using loops::Ty;

std::vector<uint8_t> bytes32(uint32_t v);  // little-endian

// Byte orders of vpshufb, for the instructions that need one.
extern const std::vector<uint8_t> kDupLow, kDupHigh, kNarrowWords, kNarrowBytes;

class Lowering {
 public:
  Lowering(const loops::Kernel& k, const Isa& isa, asmjit::x86::Compiler& cc) : k_(k), isa_(isa), cc_(cc), regs_(k.regs.size()) {}
  void run();

 private:
  struct State {
    int defs = 0, uses = 0;
    const Stmt* def = nullptr;           // the only assignment, where defs == 1
    const Stmt* folded = nullptr;        // the load, comparison or shift that its readers take over
    int address_uses = 0;
    const std::vector<Stmt>* block = nullptr;  // where defs == 1: the list that holds the assignment
    int last_use = -1;                   // index in `block`; -1: read in another list, too
    bool elsewhere = false;
    Gp gp;
    Vec vec;
    Mem stack;                           // where it lives if it found no register
    bool on_stack = false;
  };
  struct Constant {
    std::vector<uint8_t> pattern;        // repeated over the register
    int lanes;
    int value = -1;                      // its number among the live ranges
    bool as_memory = true;               // all its readers take it as a memory operand
    Vec vec;                             // set where it has a register for all of the function
  };

  // lowering.cpp: analysis, registers, addresses, control flow
  void count(const std::vector<Stmt>& body);
  void count_use(Reg r, const std::vector<Stmt>& body, int index);
  void plan_block(const std::vector<Stmt>& body);  // and the lists inside
  void plan_comparison(const std::vector<Stmt>& body, size_t reader);
  void plan_shifts();
  bool foldable_load(const Stmt& s) const;
  bool takes_memory(const Stmt& s, int operand, bool splat) const;
  void block(const std::vector<Stmt>& body);
  void statement(const Stmt& s);
  void for_loop(const Stmt& s);
  void while_loop(const Stmt& s);
  void branch_if(const Stmt& s);
  void jump_unless(Reg condition, const asmjit::Label& target);
  void op(const Stmt& s);
  void put_away(Reg r);  // to the stack, where it lives there

  // assign.cpp: which register or slot each value has
  void assign_registers();
  void assign_vectors();
  void assign_longs();
  void place_on_stack(const std::vector<LiveRanges::Range>& ranges, const std::vector<int>& slot);
  void live_vector_reads(const Stmt& s, LiveRanges& live);
  void live_vectors(const std::vector<Stmt>& body, LiveRanges& live);
  bool may_reload(Reg r) const;
  bool may_overwrite(const Stmt& s, const Stmt& load) const;
  void live_longs(const std::vector<Stmt>& body, LiveRanges& live);
  void want_constant(const std::vector<uint8_t>& pattern, int lanes, bool as_memory, LiveRanges& live);
  void want_constants_of(const Stmt& s, LiveRanges& live);
  int temporaries_of(const Stmt& s) const;

  Ty type(Reg r) const { return k_.regs[r.id].type; }
  int lanes(Reg r) const { return k_.regs[r.id].lanes; }
  bool is_const(Reg r) const {
    return r && regs_[r.id].defs == 1 && regs_[r.id].def && regs_[r.id].def->kind == Stmt::OpStmt && regs_[r.id].def->op == LOp::Const;
  }
  bool dies_here(Reg r) const;           // its only reader left is the current statement
  Gp new_gp() { return cc_.newInt64(); }
  Gp gp(Reg r);                          // to read; a constant is moved to a fresh register
  Gp gp_dst(Reg r);
  Operand gp_or_imm(Reg r);              // to read; a constant that fits 32 bits as an immediate
  Vec new_vec(int lanes);
  Vec vec(Reg r);                        // to read
  Vec vec_dst(Reg r);
  Vec vec_dst_over(Reg r, std::initializer_list<Reg> over);  // where r lives on the stack: the register of an operand that dies here
  Operand rm(Reg r, bool dwords = true);  // to read, possibly a memory operand; dwords: the op's elements have 32 bits
  bool in_memory(Reg r);                  // rm gives a memory operand
  bool folded_load(Reg r) const { return regs_[r.id].folded && regs_[r.id].folded->op != LOp::Shl && !is_comparison(*regs_[r.id].folded); }
  bool direct_load(const Stmt& s) const;  // an instruction may read it in place
  static bool is_comparison(const Stmt& s) { return s.op == LOp::CmpEq || s.op == LOp::CmpLt || s.op == LOp::CmpLe; }
  Gp base(int buffer);
  Mem address(const loops::Address& a, int bytes);
  Vec constant(const std::vector<uint8_t>& pattern, int lanes);  // the pattern repeated over the register
  Mem constant_mem(const std::vector<uint8_t>& pattern, int lanes);
  void make_constant(const std::vector<uint8_t>& pattern, int lanes, const Vec& v);
  Vec constant32(uint32_t v, int lanes);
  std::vector<uint8_t> pattern_of(Reg r) const;  // of a constant register
  static Vec sized(const Vec& v, int bytes);  // the same register seen as xmm, ymm or zmm
  static int width(int lanes) { return lanes <= 4 ? 16 : lanes * 4; }  // bytes of the register
  void emit(InstId id, const Operand& a, const Operand& b) { cc_.emit(id, a, b); }
  void emit(InstId id, const Operand& a, const Operand& b, const Operand& c) { cc_.emit(id, a, b, c); }
  void emit(InstId id, const Operand& a, const Operand& b, const Operand& c, const Operand& d) { cc_.emit(id, a, b, c, d); }
  InstId pick(InstId vex, InstId evex) const { return isa_.avx512 ? evex : vex; }
  void move(const Vec& to, const Vec& from);

  // lower_scalar.cpp: I64
  void scalar_op(const Stmt& s);
  void scalar_binary(const Stmt& s);
  void scalar_mul(const Stmt& s);
  void scalar_divide(const Stmt& s);
  void scalar_compare(const Stmt& s);
  void scalar_select(const Stmt& s);
  void scalar_minmax(const Stmt& s);
  asmjit::x86::CondCode compare(const Stmt& s);  // emits cmp, says what holds where the comparison does
  void int_divide(const Stmt& s);                // I32x1

  // lower_vector.cpp: I32 and F32
  void vector_op(const Stmt& s);
  void binary(const Stmt& s, InstId id, bool commutes);
  void shift(const Stmt& s);
  void compare_lanes(const Stmt& s);
  void compare_to(const Stmt& s, const KReg& k);
  void select_lanes(const Stmt& s);
  void fma(const Stmt& s);
  void dot4(const Stmt& s);
  void across(const Stmt& s);
  void lane(const Stmt& s);
  void splat(const Stmt& s);

  // lower_memory.cpp
  void load(const Stmt& s);
  void load_into(const Stmt& s, const Vec& d);  // no count
  void load_from(const Stmt& s, const Vec& d, Mem m, const KReg* mask);
  void load_splat(const Stmt& s, const Vec& d, Mem m);
  void load_scalar(const Stmt& s);
  void store(const Stmt& s);
  void store_to(const Vec& v, int lanes, DType mem, Mem m, const KReg* mask);
  void store_scalar(const Stmt& s);
  void copy_elements(const Mem& to, const Mem& from, const Gp& count, int size);
  Gp clamped_count(Reg count, int lanes);
  Vec lane_mask(Reg count, int lanes);
  KReg k_mask(Reg count, int lanes);
  Vec to_bfloat(const Vec& v, int lanes);  // bf16 bits in the low half of each lane

  const loops::Kernel& k_;
  const Isa& isa_;
  asmjit::x86::Compiler& cc_;
  std::vector<State> regs_;
  std::vector<Gp> bases_;
  Gp buffers_, scalars_;
  std::map<std::pair<std::vector<uint8_t>, int>, Constant> constants_;  // by pattern and bytes of the register
  const std::vector<Stmt>* current_ = nullptr;  // the list being emitted, and where
  int index_ = 0;
};

}  // namespace lumen::cpu
