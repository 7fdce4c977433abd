// Use counts, folding of loads into their readers, registers, addresses and control flow.
#include "backend/cpu/x86_64/lowering.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "compiler/loops/print_stmt.h"

namespace lumen::cpu {

using namespace asmjit;
using loops::Address;
using loops::operand_count;

// ---- analysis ----

void Lowering::count_use(Reg r, const std::vector<Stmt>& body, int index) {
  if (!r) return;
  State& st = regs_[r.id];
  ++st.uses;
  if (st.block == &body) st.last_use = index;
  else st.elsewhere = true;
}

void Lowering::count(const std::vector<Stmt>& body) {
  for (size_t i = 0; i < body.size(); ++i) {
    const Stmt& s = body[i];
    int at = static_cast<int>(i);
    for (Reg r : s.src) count_use(r, body, at);
    for (Reg r : {s.at.offset, s.at.offset2, s.count}) count_use(r, body, at);
    for (Reg r : {s.at.offset, s.at.offset2})
      if (r) ++regs_[r.id].address_uses;
    if (s.dst) {
      State& st = regs_[s.dst.id];
      ++st.defs;
      st.def = st.defs == 1 ? &s : nullptr;
      st.block = st.defs == 1 ? &body : nullptr;
    }
    count(s.body);
    count(s.otherwise);
  }
}

bool Lowering::direct_load(const Stmt& s) const {
  if (s.kind != Stmt::OpStmt || s.count || size_of(s.mem) != 4) return false;
  if (s.op == LOp::LoadSplat) {
    if (!isa_.avx512 || lanes(s.dst) == 1) return false;
  } else if (s.op != LOp::Load) {
    return false;
  }
  if (type(s.dst) == Ty::I64 || (type(s.dst) == Ty::F32 && s.mem != DType::F32)) return false;
  return lanes(s.dst) != 1 || type(s.dst) == Ty::F32;
}

bool Lowering::foldable_load(const Stmt& s) const {
  if (!direct_load(s)) return false;
  const State& st = regs_[s.dst.id];
  return st.defs == 1 && st.uses == 1 && !st.elsewhere;
}

// Whether the lowering of `s` reads operand i through rm(). splat: the operand would be a broadcast one (EVEX, 32-bit lanes).
bool Lowering::takes_memory(const Stmt& s, int i, bool splat) const {
  bool scalar = lanes(s.src[i]) == 1, real = type(s.src[i]) == Ty::F32;
  switch (s.op) {
    case LOp::Add: case LOp::Mul: return true;
    case LOp::Sub: case LOp::Div: return i == 1;
    case LOp::Min: case LOp::Max: return i == 1 || !real;
    case LOp::And: case LOp::Or: case LOp::Xor: return true;
    case LOp::AndNot: return i == 0;
    case LOp::AddI16: case LOp::MaddWD: return !splat;
    case LOp::MaddUBS: return !splat && i == 1;
    case LOp::Dot4: return isa_.dot4 && i == 2;
    case LOp::Fma: return true;
    case LOp::ShlV: case LOp::ShrUV: case LOp::ShrSV: return i == 1;
    case LOp::Sqrt: case LOp::CvtF: case LOp::CvtI: case LOp::TruncI: return !scalar;
    default: return false;
  }
}

// Marks the loads of one statement list that their only reader, in the same list, takes as a memory operand: nothing between
// the two may store, branch or change the address.
void Lowering::plan_block(const std::vector<Stmt>& body) {
  for (size_t i = 0; i < body.size(); ++i) {
    const Stmt& s = body[i];
    plan_block(s.body);
    plan_block(s.otherwise);
    plan_comparison(body, i);
    if (!foldable_load(s)) continue;
    for (size_t j = i + 1; j < body.size(); ++j) {
      const Stmt& t = body[j];
      if (t.kind == Stmt::Comment) continue;
      if (t.kind != Stmt::OpStmt) break;
      int operand = -1;
      for (int o = 0; o < operand_count(t.op); ++o)
        if (t.src[o] == s.dst) operand = o;
      if (operand >= 0) {
        bool other = false;  // one memory operand an instruction
        for (int o = 0; o < operand_count(t.op); ++o) other |= o != operand && folded_load(t.src[o]);
        if (!other && takes_memory(t, operand, s.op == LOp::LoadSplat)) regs_[s.dst.id].folded = &s;
        break;
      }
      if (may_overwrite(t, s) || (t.dst && (t.dst == s.at.offset || t.dst == s.at.offset2))) break;
    }
  }
}

// Buffers may be parts of one memory, but for the kernel's own, which are apart from all others.
bool Lowering::may_overwrite(const Stmt& s, const Stmt& load) const {
  if (s.kind != Stmt::OpStmt || s.op != LOp::Store) return false;
  auto given = [&](const Stmt& t) { return k_.buffers[t.at.buffer].given(); };
  return s.at.buffer == load.at.buffer || (given(s) && given(load));
}

// A comparison that one branch reads, right after it, or at avx512 one selection: made as flags or as a mask register there.
void Lowering::plan_comparison(const std::vector<Stmt>& body, size_t reader) {
  const Stmt& t = body[reader];
  bool select = t.kind == Stmt::OpStmt && t.op == LOp::Select && isa_.avx512 && type(t.dst) != Ty::I64;
  if (!select && t.kind != Stmt::If) return;
  State& st = regs_[t.src[0].id];
  if (st.defs != 1 || st.uses != 1 || st.elsewhere || st.block != &body || !st.def || st.def->kind != Stmt::OpStmt ||
      !is_comparison(*st.def))
    return;
  const Stmt& c = *st.def;
  for (int i = 0; i < 2; ++i)
    if (regs_[c.src[i].id].defs != 1 || folded_load(c.src[i])) return;  // an operand could have changed in between
  if ((type(c.src[0]) == Ty::I64) == (t.kind == Stmt::If)) st.folded = &c;
}

// Offsets that are 2, 4 or 8 times a register: the address multiplies.
void Lowering::plan_shifts() {
  for (State& st : regs_) {
    const Stmt* d = st.def;
    if (!d || d->kind != Stmt::OpStmt || d->op != LOp::Shl || type(d->dst) != Ty::I64 || d->imm < 1 || d->imm > 3) continue;
    if (st.uses == st.address_uses && regs_[d->src[0].id].defs == 1 && !is_const(d->src[0])) st.folded = d;
  }
}

bool Lowering::dies_here(Reg r) const {
  const State& st = regs_[r.id];
  return st.defs == 1 && !st.elsewhere && !st.folded && !is_const(r) && st.block == current_ && st.last_use == index_;
}

// ---- registers ----

Gp Lowering::gp_dst(Reg r) {
  State& st = regs_[r.id];
  if (!st.gp.isValid()) st.gp = cc_.newInt64("v%d", r.id);
  return st.gp;
}

Gp Lowering::gp(Reg r) {
  if (!is_const(r)) return gp_dst(r);
  Gp t = new_gp();
  int64_t v = regs_[r.id].def->imm;
  if (v == 0) cc_.xor_(t.r32(), t.r32());
  else cc_.mov(t, v);
  return t;
}

Operand Lowering::gp_or_imm(Reg r) {
  if (is_const(r) && Support::isInt32(regs_[r.id].def->imm)) return Imm(regs_[r.id].def->imm);
  return gp(r);
}

Vec Lowering::new_vec(int lanes) {
  if (lanes == 16) return cc_.newZmm();
  if (lanes == 8) return cc_.newYmm();
  return cc_.newXmm();
}

Vec Lowering::sized(const Vec& v, int bytes) {
  if (bytes == 64) return v.zmm();
  if (bytes == 32) return v.ymm();
  return v.xmm();
}

Vec Lowering::vec_dst(Reg r) {
  State& st = regs_[r.id];
  if (!st.vec.isValid()) st.vec = new_vec(lanes(r));
  return st.vec;
}

Vec Lowering::vec_dst_over(Reg r, std::initializer_list<Reg> over) {
  State& st = regs_[r.id];
  if (st.on_stack)
    for (Reg o : over)
      if (lanes(o) == lanes(r) && !in_memory(o) && dies_here(o)) {
        st.vec = vec(o);
        break;
      }
  return vec_dst(r);
}

std::vector<uint8_t> Lowering::pattern_of(Reg r) const {
  const Stmt& s = *regs_[r.id].def;
  float f = static_cast<float>(s.fimm);
  uint32_t bits = static_cast<uint32_t>(s.imm);
  if (type(r) == Ty::F32) std::memcpy(&bits, &f, 4);
  return bytes32(bits);
}

Vec Lowering::vec(Reg r) {
  if (is_const(r)) return constant(pattern_of(r), lanes(r));
  State& st = regs_[r.id];
  if (folded_load(r)) {  // an operand that turned out to need a register
    Vec t = new_vec(lanes(r));
    load_into(*st.folded, t);
    return t;
  }
  if (st.on_stack) {
    Vec t = new_vec(lanes(r));
    emit(Inst::kIdVmovups, t, st.stack);
    return t;
  }
  return vec_dst(r);
}

bool Lowering::in_memory(Reg r) {
  const State& st = regs_[r.id];
  if (is_const(r)) {
    std::vector<uint8_t> p = pattern_of(r);
    auto it = constants_.find({p, width(lanes(r))});
    bool zero = std::all_of(p.begin(), p.end(), [](uint8_t b) { return b == 0; });
    return !zero && (it == constants_.end() || !it->second.vec.isValid());
  }
  return st.on_stack || (folded_load(r) && direct_load(*st.folded));
}

Operand Lowering::rm(Reg r, bool dwords) {
  if (!in_memory(r)) return vec(r);
  const State& st = regs_[r.id];
  bool one = lanes(r) == 1;
  bool scalar = one && type(r) == Ty::F32;  // its ops read 4 bytes, those of one I32 lane 16
  auto broadcast = [&](Mem m) { return lanes(r) == 16 ? m._1to16() : lanes(r) == 8 ? m._1to8() : m._1to4(); };
  if (is_const(r)) {
    std::vector<uint8_t> p = pattern_of(r);
    bool small = scalar || (isa_.avx512 && dwords && !one);
    Mem m = small ? cc_.newConst(ConstPoolScope::kLocal, p.data(), 4) : constant_mem(p, lanes(r));
    if (small) m.setSize(4);
    return small && !scalar ? broadcast(m) : m;
  }
  if (!st.folded) {
    Mem m = st.stack;
    if (scalar) m.setSize(4);
    return m;
  }
  bool splat = st.folded->op == LOp::LoadSplat;
  if (splat && !dwords) return vec(r);
  Mem m = address(st.folded->at, splat ? 4 : 4 * lanes(r));
  return splat ? broadcast(m) : m;
}

void Lowering::move(const Vec& to, const Vec& from) {
  if (to.id() != from.id()) emit(Inst::kIdVmovaps, to, from);
}

// ---- constants ----

Mem Lowering::constant_mem(const std::vector<uint8_t>& pattern, int lanes) {
  std::vector<uint8_t> bytes;
  while (static_cast<int>(bytes.size()) < width(lanes)) bytes.insert(bytes.end(), pattern.begin(), pattern.end());
  return cc_.newConst(ConstPoolScope::kLocal, bytes.data(), bytes.size());
}

void Lowering::make_constant(const std::vector<uint8_t>& pattern, int lanes, const Vec& v) {
  bool zero = true, ones = true;
  for (uint8_t b : pattern) zero &= b == 0, ones &= b == 0xFF;
  if (zero) emit(isa_.avx512 ? Inst::kIdVpxord : Inst::kIdVpxor, v.xmm(), v.xmm(), v.xmm());
  else if (ones && !isa_.avx512) emit(Inst::kIdVpcmpeqd, v, v, v);
  else if (pattern.size() == 4)
    emit(Inst::kIdVpbroadcastd, v, cc_.newConst(ConstPoolScope::kLocal, pattern.data(), 4));  // one lane and four share a register
  else emit(Inst::kIdVmovups, v, constant_mem(pattern, lanes));
}

Vec Lowering::constant(const std::vector<uint8_t>& pattern, int lanes) {
  auto it = constants_.find({pattern, width(lanes)});
  if (it != constants_.end() && it->second.vec.isValid()) return it->second.vec;
  Vec v = new_vec(lanes);
  make_constant(pattern, lanes, v);
  return v;
}

std::vector<uint8_t> bytes32(uint32_t v) {
  std::vector<uint8_t> b(4);
  std::memcpy(b.data(), &v, 4);
  return b;
}

Vec Lowering::constant32(uint32_t v, int lanes) { return constant(bytes32(v), lanes); }

// ---- addresses ----

Gp Lowering::base(int buffer) {
  LUMEN_ASSERT(bases_[buffer].isValid());
  return bases_[buffer];
}

Mem Lowering::address(const Address& a, int bytes) {
  int64_t disp = a.disp;
  Reg index[2] = {};
  int n = 0;
  for (Reg r : {a.offset, a.offset2}) {
    if (!r) continue;
    if (is_const(r)) disp += regs_[r.id].def->imm;
    else index[n++] = r;
  }
  Gp b = base(a.buffer);
  if (!Support::isInt32(disp)) {
    Gp t = new_gp();
    cc_.mov(t, disp);
    cc_.add(t, b);
    b = t;
    disp = 0;
  }
  if (n == 2) {
    Gp t = new_gp();
    const Stmt* shift = regs_[index[1].id].folded;
    cc_.lea(t, shift ? x86::ptr(b, gp(shift->src[0]), static_cast<uint32_t>(shift->imm)) : x86::ptr(b, gp(index[1])));
    b = t;
  }
  int32_t d = static_cast<int32_t>(disp);
  const Stmt* shift = n ? regs_[index[0].id].folded : nullptr;
  Mem m = shift ? x86::ptr(b, gp(shift->src[0]), static_cast<uint32_t>(shift->imm), d)
          : n   ? x86::ptr(b, gp(index[0]), 0, d)
                : x86::ptr(b, d);
  m.setSize(static_cast<uint32_t>(bytes));
  return m;
}

// ---- control flow ----

void Lowering::block(const std::vector<Stmt>& body) {
  const std::vector<Stmt>* outer = current_;
  int outer_index = index_;
  for (size_t i = 0; i < body.size(); ++i) {
    current_ = &body;
    index_ = static_cast<int>(i);
    statement(body[i]);
  }
  current_ = outer;
  index_ = outer_index;
}

void Lowering::statement(const Stmt& s) {
  switch (s.kind) {
    case Stmt::Comment: cc_.comment(s.text.c_str()); break;
    case Stmt::OpStmt:
      op(s);
      if (s.dst) put_away(s.dst);
      break;
    case Stmt::For: for_loop(s); break;
    case Stmt::While: while_loop(s); break;
    case Stmt::If: branch_if(s); break;
  }
}

void Lowering::op(const Stmt& s) {
  if (s.dst && regs_[s.dst.id].folded == &s) return;
  if (s.op == LOp::Const && is_const(s.dst)) return;
  switch (s.op) {
    case LOp::Load: case LOp::LoadSplat: case LOp::LoadPair: return load(s);
    case LOp::Store: return store(s);
    case LOp::Prefetch: cc_.prefetcht0(address(s.at, 0)); return;
    default: break;
  }
  Ty operand = s.src[0] ? type(s.src[0]) : type(s.dst);
  if (type(s.dst) == Ty::I64 || (operand == Ty::I64 && s.op != LOp::Splat && s.op != LOp::ToI32)) scalar_op(s);
  else vector_op(s);
}

// A result that lives on the stack was made in a register of its own, for this statement.
void Lowering::put_away(Reg r) {
  State& st = regs_[r.id];
  if (!st.on_stack || !st.vec.isValid()) return;
  emit(Inst::kIdVmovups, st.stack, st.vec);
  st.vec = Vec();
}

void Lowering::for_loop(const Stmt& s) {
  bool known = is_const(s.src[0]) && is_const(s.src[1]);
  if (known && regs_[s.src[0].id].def->imm >= regs_[s.src[1].id].def->imm) return;
  Gp i = gp_dst(s.dst);
  Operand hi = gp_or_imm(s.src[1]);
  if (hi.isReg() && regs_[s.src[1].id].defs > 1) {  // the body may change the register; the bound stays
    Gp copy = new_gp();
    cc_.mov(copy, hi.as<Gp>());
    hi = copy;
  }
  Label head = cc_.newLabel(), end = cc_.newLabel();
  Operand lo = gp_or_imm(s.src[0]);
  if (lo.isImm() && lo.as<Imm>().value() == 0) cc_.xor_(i.r32(), i.r32());
  else emit(Inst::kIdMov, i, lo);
  if (!known) {
    emit(Inst::kIdCmp, i, hi);
    cc_.jge(end);
  }
  cc_.align(AlignMode::kCode, 32);
  cc_.bind(head);
  block(s.body);
  if (Support::isInt32(s.imm)) cc_.add(i, s.imm);
  else {
    Gp step = new_gp();
    cc_.mov(step, s.imm);
    cc_.add(i, step);
  }
  emit(Inst::kIdCmp, i, hi);
  cc_.jl(head);
  cc_.bind(end);
}

void Lowering::while_loop(const Stmt& s) {
  Label head = cc_.newLabel(), end = cc_.newLabel();
  Gp condition = gp(s.src[0]);
  cc_.test(condition, condition);
  cc_.jz(end);
  cc_.align(AlignMode::kCode, 32);
  cc_.bind(head);
  block(s.body);
  condition = gp(s.src[0]);
  cc_.test(condition, condition);
  cc_.jnz(head);
  cc_.bind(end);
}

void Lowering::branch_if(const Stmt& s) {
  Label otherwise = cc_.newLabel(), end = cc_.newLabel();
  if (const Stmt* comparison = regs_[s.src[0].id].folded) {
    cc_.emit(Inst::jccFromCond(x86::negateCond(compare(*comparison))), otherwise);
  } else {
    Gp condition = gp(s.src[0]);
    cc_.test(condition, condition);
    cc_.jz(otherwise);
  }
  block(s.body);
  if (!s.otherwise.empty()) cc_.jmp(end);
  cc_.bind(otherwise);
  block(s.otherwise);
  cc_.bind(end);
}

void Lowering::run() {
  // Arguments and scalars are assigned at entry: that counts as one assignment.
  for (Reg r : {k_.begin, k_.end}) ++regs_[r.id].defs;
  for (Reg r : k_.scalar_regs) ++regs_[r.id].defs;
  count(k_.body);
  for (State& st : regs_)
    if (st.defs != 1) st.def = nullptr, st.block = nullptr;
  bases_.resize(k_.buffers.size());
  FuncNode* f = cc_.addFunc(FuncSignatureT<void, const void*, const void*, int64_t, int64_t>(CallConvId::kHost));
  f->frame().setAvxEnabled();
  f->frame().setAvxCleanup();
  if (isa_.avx512) f->frame().setAvx512Enabled();
  f->frame().setPreservedFP();
  buffers_ = cc_.newIntPtr("buffers");
  scalars_ = cc_.newIntPtr("scalars");
  f->setArg(0, buffers_);
  f->setArg(1, scalars_);
  plan_block(k_.body);
  plan_shifts();
  assign_registers();
  f->setArg(2, gp_dst(k_.begin));
  f->setArg(3, gp_dst(k_.end));
  for (size_t i = 0; i < k_.scalar_regs.size(); ++i)
    if (regs_[k_.scalar_regs[i].id].uses) cc_.mov(gp_dst(k_.scalar_regs[i]), x86::qword_ptr(scalars_, static_cast<int>(i) * 8));
  for (size_t i = 0; i < bases_.size(); ++i)
    if (bases_[i].isValid()) cc_.mov(bases_[i], x86::qword_ptr(buffers_, static_cast<int>(i) * 8));
  for (auto& [key, c] : constants_)
    if (c.vec.isValid()) make_constant(c.pattern, c.lanes, c.vec);
  block(k_.body);
  cc_.endFunc();
}

Result<MachineCode> emit(const loops::Kernel& kernel, const Isa& isa) {
  for (size_t i = 0; i < kernel.regs.size(); ++i) {
    int lanes = kernel.regs[i].lanes;
    if (lanes > isa.lanes() || lanes == 2)
      return Error{"kernel '" + kernel.name + "': register %" + std::to_string(i) + " has " + std::to_string(lanes) + " lanes; " +
                   (isa.avx512 ? "avx512 has 1, 4, 8 or 16" : "avx2 has 1, 4 or 8")};
  }
  CodeHolder code;
  asmjit::Environment environment(Arch::kX64, SubArch::kUnknown, Vendor::kUnknown, Platform::kLinux, PlatformABI::kGNU);
  code.init(environment);
  StringLogger logger;
  logger.setFlags(FormatFlags::kMachineCode);
  logger.setIndentation(FormatIndentationGroup::kCode, 2);
  code.setLogger(&logger);
  x86::Compiler cc(&code);
  cc.addEncodingOptions(EncodingOptions::kOptimizedAlign);
  Lowering(kernel, isa, cc).run();
  asmjit::Error error = cc.finalize();
  if (!error) error = code.flatten();
  if (!error) error = code.resolveUnresolvedLinks();
  if (!error) error = code.relocateToBase(0);
  if (error) return Error{"kernel '" + kernel.name + "': no machine code: " + DebugUtils::errorAsString(error)};
  MachineCode out;
  out.bytes.resize(code.codeSize());
  code.copyFlattenedData(out.bytes.data(), out.bytes.size());
  out.listing = "; " + kernel.name + ", " + std::to_string(out.bytes.size()) + " bytes\n" + logger.data();
  return out;
}

}  // namespace lumen::cpu
