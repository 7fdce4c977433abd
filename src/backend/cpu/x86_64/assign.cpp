// Registers for values: live ranges of the kernel's registers, of constants and of buffer pointers, then linear scan. What finds
// no slot: a vector goes to the stack, a constant stays in the pool, a general register is left to AsmJit.
#include <functional>

#include "backend/cpu/ir_walk.h"
#include "backend/cpu/x86_64/lowering.h"
#include "base/assert.h"

namespace lumen::cpu {

using namespace asmjit;
using loops::operand_count;

namespace {

constexpr int kGeneral = 13;  // 16 without the stack and frame pointers, and one for what lowering needs on the way

bool is_memory(LOp op) { return op == LOp::Load || op == LOp::LoadSplat || op == LOp::LoadPair || op == LOp::Store || op == LOp::Prefetch; }

}  // namespace

void Lowering::want_constant(const std::vector<uint8_t>& pattern, int lanes, bool as_memory, LiveRanges& live) {
  Constant& c = constants_.try_emplace({pattern, width(lanes)}, Constant{pattern, lanes, -1, true, {}}).first->second;
  c.as_memory &= as_memory;
  if (c.value < 0) live.from_start(c.value = live.add());
  live.read(c.value);
}

// The constants that an op's lowering asks for beside its operands.
void Lowering::want_constants_of(const Stmt& s, LiveRanges& live) {
  int n = s.dst ? lanes(s.dst) : s.src[0] ? lanes(s.src[0]) : 1;
  bool real = s.dst && type(s.dst) == Ty::F32;
  auto want = [&](uint32_t bits) { want_constant(bytes32(bits), n, false, live); };
  switch (s.op) {
    case LOp::Lut16: return want_constant(s.table, n, false, live);
    case LOp::DupLo16: return want_constant(kDupLow, n, false, live);
    case LOp::DupHi16: return want_constant(kDupHigh, n, false, live);
    case LOp::Neg: return want(real ? 0x80000000 : 0);
    case LOp::Abs: if (real) want(0x7FFFFFFF); return;
    case LOp::Rcp: return want(0x3F800000);
    case LOp::Dot4: if (!isa_.dot4) want(0x00FF00FF); return;
    case LOp::CmpLe: if (!isa_.avx512 && type(s.src[0]) == Ty::I32) want(~0u); return;
    case LOp::Store:
      if (s.mem == DType::BF16)
        for (uint32_t bits : {1u, 0x7FFFu, 0x40u}) want(bits);
      if (n > 1 && !isa_.avx512 && size_of(s.mem) < 4 && s.mem != DType::F16)
        want_constant(size_of(s.mem) == 2 ? kNarrowWords : kNarrowBytes, n, false, live);
      return;
    default: return;
  }
}

// Vector registers that an op's lowering needs beside its operands and result.
int Lowering::temporaries_of(const Stmt& s) const {
  switch (s.op) {
    case LOp::Dot4: return isa_.dot4 ? 0 : 3;
    case LOp::HAdd: case LOp::HMax: return 2;
    case LOp::Lane: return s.imm >= 4 ? 1 : 0;
    case LOp::Load: return s.count ? 1 : 0;
    case LOp::Store: return s.mem == DType::BF16 ? 4 : size_of(s.mem) < 4 ? 2 : s.count ? 1 : 0;
    case LOp::CmpLe: return isa_.avx512 || type(s.src[0]) != Ty::I32 ? 0 : 1;
    default: return 0;
  }
}

void Lowering::live_vector_reads(const Stmt& s, LiveRanges& live) {
  for (int i = 0; i < operand_count(s.op); ++i) {
    Reg r = s.src[i];
    const Stmt* folded = regs_[r.id].folded;
    if (folded && is_comparison(*folded)) live_vector_reads(*folded, live);
    if (type(r) == Ty::I64 || folded) continue;
    if (!is_const(r)) live.read(r.id);
    else if (s.op != LOp::Mov) {
      bool other = false;  // one memory operand an instruction
      for (int o = 0; o < operand_count(s.op); ++o) other |= o != i && (folded_load(s.src[o]) || is_const(s.src[o]));
      want_constant(pattern_of(r), lanes(r), !other && takes_memory(s, i, false), live);
    }
  }
}

void Lowering::live_vectors(const std::vector<Stmt>& body, LiveRanges& live) {
  for (const Stmt& s : body) {
    live.next();
    if (s.kind != Stmt::OpStmt) {
      bool loop = s.kind == Stmt::For || s.kind == Stmt::While;
      if (loop) live.enter_loop();
      live_vectors(s.body, live);
      live_vectors(s.otherwise, live);
      live.next();
      if (loop) live.leave_loop();
      continue;
    }
    if (s.dst && (regs_[s.dst.id].folded || is_const(s.dst))) continue;
    live_vector_reads(s, live);
    want_constants_of(s, live);
    for (int i = temporaries_of(s); i > 0; --i) {
      int t = live.add();
      live.read(t);
      live.assign(t);
    }
    if (!s.dst || type(s.dst) == Ty::I64) continue;
    live.assign(s.dst.id);
    if (operand_count(s.op) == 3) live.hint(s.dst.id, s.src[s.op == LOp::Fma ? 2 : 0].id);  // Fma, Dot4: the sum
    for (int i = 0; i < operand_count(s.op); ++i) live.hint(s.dst.id, s.src[i].id);
  }
}

void Lowering::live_longs(const std::vector<Stmt>& body, LiveRanges& live) {
  std::function<void(Reg)> read = [&](Reg r) {
    if (const Stmt* folded = r ? regs_[r.id].folded : nullptr) {
      if (type(r) != Ty::I64) return;
      for (int i = 0; i < operand_count(folded->op); ++i) read(folded->src[i]);
    } else if (r && type(r) == Ty::I64 && !(is_const(r) && Support::isInt32(regs_[r.id].def->imm))) live.read(r.id);
  };
  auto address = [&](const loops::Address& a) {
    live.read(static_cast<int>(k_.regs.size()) + a.buffer);
    read(a.offset);
    read(a.offset2);
  };
  for (const Stmt& s : body) {
    live.next();
    if (s.kind == Stmt::Comment) continue;
    if (s.kind != Stmt::OpStmt) {
      bool loop = s.kind == Stmt::For || s.kind == Stmt::While;
      read(s.src[0]);
      if (s.kind == Stmt::For) live.next();
      if (loop) live.enter_loop();
      if (s.kind == Stmt::For) live.assign(s.dst.id);
      live_longs(s.body, live);
      live_longs(s.otherwise, live);
      live.next();
      if (s.kind == Stmt::For) live.read(s.dst.id), read(s.src[1]);
      if (s.kind == Stmt::While) read(s.src[0]);
      if (loop) live.leave_loop();
      continue;
    }
    if (s.dst && (regs_[s.dst.id].folded || is_const(s.dst))) continue;
    for (int i = 0; i < operand_count(s.op); ++i) {
      read(s.src[i]);
      if (folded_load(s.src[i])) address(regs_[s.src[i].id].folded->at);
    }
    if (is_memory(s.op)) address(s.at);
    read(s.count);
    if (!s.dst || type(s.dst) != Ty::I64) continue;
    live.assign(s.dst.id);
    for (int i = 0; i < operand_count(s.op); ++i) live.hint(s.dst.id, s.src[i].id);
  }
}

// Whether a load may be made again at each of its readers: they stand in its own list, and up to the last of them nothing
// stores to where it reads or changes its address.
bool Lowering::may_reload(Reg r) const {
  const State& st = regs_[r.id];
  if (!st.def || !st.block || st.elsewhere || st.last_use < 0 || st.def->kind != Stmt::OpStmt) return false;
  const Stmt& load = *st.def;
  if (load.count || (load.op != LOp::Load && load.op != LOp::LoadSplat && load.op != LOp::LoadPair) || load.mem == DType::BF16)
    return false;
  bool fine = true;
  auto look = [&](const Stmt& s) {
    if (may_overwrite(s, load) || (s.dst && (s.dst == load.at.offset || s.dst == load.at.offset2))) fine = false;
  };
  for (const Stmt* s = &load + 1; s <= &(*st.block)[static_cast<size_t>(st.last_use)] && fine; ++s) {
    look(*s);
    for_each_stmt(s->body, look);
    for_each_stmt(s->otherwise, look);
  }
  return fine;
}

// Places are shared by values that do not live at once, as registers are.
void Lowering::place_on_stack(const std::vector<LiveRanges::Range>& ranges, const std::vector<int>& slot) {
  std::vector<LiveRanges::Range> homeless(k_.regs.size());
  for (size_t i = 0; i < k_.regs.size(); ++i)
    if (ranges[i].begin >= 0 && slot[i] < 0 && !regs_[i].folded) homeless[i] = ranges[i];
  for (LiveRanges::Range& r : homeless) std::erase_if(r.hints, [&](int v) { return v >= static_cast<int>(homeless.size()); });
  std::vector<int> place = allocate(homeless, static_cast<int>(k_.regs.size()));
  std::vector<Mem> places(k_.regs.size());
  int bytes = 4 * isa_.lanes();
  for (size_t i = 0; i < k_.regs.size(); ++i) {
    if (place[i] < 0) continue;
    Mem& m = places[static_cast<size_t>(place[i])];
    if (!m.hasBase()) m = cc_.newStack(static_cast<uint32_t>(bytes), static_cast<uint32_t>(bytes));
    State& st = regs_[i];
    st.on_stack = true;
    st.stack = m;
    st.stack.setSize(static_cast<uint32_t>(width(k_.regs[i].lanes)));
  }
}

void Lowering::assign_vectors() {
  LiveRanges vectors;
  for (size_t i = 0; i < k_.regs.size(); ++i) vectors.add();
  live_vectors(k_.body, vectors);
  const auto& ranges = vectors.finish();
  int registers = isa_.avx512 ? 32 : 16;
  std::vector<LiveRanges::Range> weighed = ranges;
  std::vector<bool> as_memory(ranges.size());
  for (auto& [key, c] : constants_)
    if (c.as_memory) {  // costs a load where it finds no register, while others cost instructions
      as_memory[c.value] = true;
      weighed[c.value].weight /= 16;
    }
  std::vector<int> slot = allocate(weighed, registers);
  for (size_t i = 0; i < slot.size(); ++i)
    if (ranges[i].begin >= 0 && slot[i] < 0 && !as_memory[i]) {  // what lives in memory passes through a register
      slot = allocate(weighed, registers - 1);
      break;
    }
  std::vector<Vec> names(static_cast<size_t>(registers));
  auto named = [&](int s, int lanes) {
    if (!names[s].isValid()) names[s] = new_vec(isa_.lanes());
    return sized(names[s], width(lanes));
  };
  for (size_t i = 0; i < k_.regs.size(); ++i) {
    if (ranges[i].begin < 0) continue;
    if (slot[i] >= 0) regs_[i].vec = named(slot[i], k_.regs[i].lanes);
    else if (may_reload(Reg{static_cast<int>(i)})) regs_[i].folded = regs_[i].def;
  }
  for (auto& [key, c] : constants_)
    if (slot[c.value] >= 0) c.vec = named(slot[c.value], c.lanes);
  place_on_stack(ranges, slot);
}

void Lowering::assign_longs() {
  LiveRanges longs;
  for (size_t i = 0; i < k_.regs.size(); ++i) longs.add();
  for (size_t i = 0; i < k_.buffers.size(); ++i) longs.from_start(longs.add());
  for (Reg r : {k_.begin, k_.end}) longs.assign(r.id);
  for (Reg r : k_.scalar_regs)
    if (regs_[r.id].uses) longs.assign(r.id);
  live_longs(k_.body, longs);
  const auto& ranges = longs.finish();
  std::vector<int> slot = allocate(ranges, kGeneral);
  std::vector<Gp> names(kGeneral);
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].begin < 0) continue;
    Gp g;
    if (slot[i] >= 0) {
      Gp& name = names[static_cast<size_t>(slot[i])];
      if (!name.isValid()) name = cc_.newInt64();
      g = name;
    } else {
      g = cc_.newInt64();
    }
    (i < k_.regs.size() ? regs_[i].gp : bases_[i - k_.regs.size()]) = g;
  }
}

// Vectors first: loads that are made again keep their addresses alive.
void Lowering::assign_registers() {
  assign_vectors();
  assign_longs();
}

}  // namespace lumen::cpu
