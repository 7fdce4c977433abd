// The loop IR's op names, its printer and its verifier.
#include "compiler/loops/loop_ir.h"

#include <bit>
#include <cstdio>

#include "compiler/loops/print_stmt.h"

namespace lumen::loops {

std::string_view name(LOp op) {
  static constexpr std::string_view kNames[] = {
#define X(id, text, n) text,
      LUMEN_LOOP_OPS(X)
#undef X
  };
  return kNames[static_cast<int>(op)];
}

int operand_count(LOp op) {
  static constexpr int kCounts[] = {
#define X(id, text, n) n,
      LUMEN_LOOP_OPS(X)
#undef X
  };
  return kCounts[static_cast<int>(op)];
}

// ---- printing ----

std::string print_reg(const Kernel& k, Reg r) {
  if (!r) return "%?";
  std::string s = "%" + std::to_string(r.id);
  if (r.id < static_cast<int>(k.regs.size()) && !k.regs[r.id].hint.empty()) s += "." + k.regs[r.id].hint;
  return s;
}

std::string print_type(const RegInfo& info) {
  if (info.type == Ty::I64) return "i64";
  return (info.type == Ty::I32 ? "i32x" : "f32x") + std::to_string(info.lanes);
}

namespace {

std::string print_float(double v) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", v);
  return text;
}

std::string print_address(const Kernel& k, const Address& a) {
  std::string s = "[";
  s += a.buffer >= 0 && a.buffer < static_cast<int>(k.buffers.size()) ? k.buffers[a.buffer].name : "?";
  for (Reg r : {a.offset, a.offset2})
    if (r) s += " + " + print_reg(k, r);
  if (a.disp) s += (a.disp < 0 ? " - " : " + ") + std::to_string(a.disp < 0 ? -a.disp : a.disp);
  return s + "]";
}

bool has_memory(LOp op) {
  return op == LOp::Load || op == LOp::LoadSplat || op == LOp::LoadPair || op == LOp::Store || op == LOp::Prefetch;
}
bool has_imm(LOp op) {
  return op == LOp::Iota || op == LOp::Shl || op == LOp::ShrU || op == LOp::ShrS || op == LOp::Lane;
}

std::string print_op(const Kernel& k, const Stmt& s) {
  std::string t;
  bool typed = s.dst && s.dst.id < static_cast<int>(k.regs.size());
  if (s.dst) t = print_reg(k, s.dst) + (typed ? ":" + print_type(k.regs[s.dst.id]) : "") + " = ";
  t += name(s.op);
  if (s.op == LOp::Const) t += " " + (typed && k.regs[s.dst.id].type == Ty::F32 ? print_float(s.fimm) : std::to_string(s.imm));
  for (int i = 0; i < operand_count(s.op); ++i) t += (i ? ", " : " ") + print_reg(k, s.src[i]);
  if (has_imm(s.op)) t += (operand_count(s.op) ? ", " : " ") + std::to_string(s.imm);
  if (has_memory(s.op)) {
    if (s.op != LOp::Prefetch) t += (operand_count(s.op) ? ", " : " ") + std::string(lumen::name(s.mem));
    t += " " + print_address(k, s.at);
    if (s.count) t += " count " + print_reg(k, s.count);
  }
  if (s.op == LOp::Lut16) {
    t += " {";
    for (size_t i = 0; i < s.table.size(); ++i) t += (i ? " " : "") + std::to_string(s.table[i]);
    t += "}";
  }
  return t;
}

void print_block(const Kernel& k, const std::vector<Stmt>& body, int depth, std::string& out) {
  std::string pad(2 * depth, ' ');
  for (const Stmt& s : body) {
    out += pad + print_stmt(k, s);
    if (s.kind == Stmt::OpStmt || s.kind == Stmt::Comment) {
      out += "\n";
      continue;
    }
    out += " {\n";
    print_block(k, s.body, depth + 1, out);
    if (!s.otherwise.empty()) {
      out += pad + "} else {\n";
      print_block(k, s.otherwise, depth + 1, out);
    }
    out += pad + "}\n";
  }
}

}  // namespace

std::string print_stmt(const Kernel& k, const Stmt& s) {
  switch (s.kind) {
    case Stmt::OpStmt: return print_op(k, s);
    case Stmt::For:
      return "for " + print_reg(k, s.dst) + " in " + print_reg(k, s.src[0]) + " .. " + print_reg(k, s.src[1]) +
             (s.imm == 1 ? "" : " step " + std::to_string(s.imm)) + (s.unroll_hint ? " unroll" : "");
    case Stmt::While: return "while " + print_reg(k, s.src[0]);
    case Stmt::If: return "if " + print_reg(k, s.src[0]);
    case Stmt::Comment: return "# " + s.text;
  }
  return "?";
}

std::string print(const Kernel& k) {
  static constexpr const char* kKinds[] = {"in", "out", "inout", "scratch", "table"};
  std::string out = "kernel " + k.name + "(";
  for (size_t i = 0; i < k.buffers.size(); ++i) {
    const BufferInfo& b = k.buffers[i];
    out += (i ? ", " : "") + std::string(kKinds[static_cast<int>(b.kind)]) + " " + b.name;
    if (!b.given()) out += "[" + std::to_string(b.kind == BufferKind::Table ? static_cast<int64_t>(b.data.size()) : b.bytes) + "]";
  }
  for (size_t i = 0; i < k.scalars.size(); ++i)
    out += (i ? ", " : "; ") + k.scalars[i] + "=" + (i < k.scalar_regs.size() ? print_reg(k, k.scalar_regs[i]) : "?");
  out += ") items " + print_reg(k, k.begin) + " .. " + print_reg(k, k.end) + " of ";
  if (k.items.empty()) out += "1";
  for (size_t i = 0; i < k.items.size(); ++i) {
    const CountFactor& f = k.items[i];
    std::string count = f.symbol.empty() ? std::to_string(f.value) : f.symbol;
    out += (i ? " * " : "") + (f.divisor == 1 ? count : "ceil(" + count + " / " + std::to_string(f.divisor) + ")");
  }
  out += ", grain " + std::to_string(k.grain) + " {\n";
  print_block(k, k.body, 1, out);
  return out + "}\n";
}

// ---- verifying ----

namespace {

class Verifier {
 public:
  explicit Verifier(const Kernel& k) : k_(k) {}

  std::string run() {
    if (!check_kernel()) return error_;
    std::vector<bool> assigned(k_.regs.size(), false);
    assigned[k_.begin.id] = assigned[k_.end.id] = true;
    for (Reg r : k_.scalar_regs) assigned[r.id] = true;
    block(k_.body, assigned);
    return error_;
  }

 private:
  bool fail(const std::string& message) {
    if (error_.empty()) error_ = "loop kernel '" + k_.name + "': " + message;
    return false;
  }
  bool fail(const Stmt& s, const std::string& message) { return fail(message + ", in: " + print_stmt(k_, s)); }
  bool known(Reg r) const { return r.id >= 0 && r.id < static_cast<int>(k_.regs.size()); }
  bool is_i64(Reg r) const { return known(r) && k_.regs[r.id].type == Ty::I64; }

  bool check_kernel() {
    for (size_t i = 0; i < k_.regs.size(); ++i) {
      const RegInfo& r = k_.regs[i];
      if (r.lanes < 1 || r.lanes > 64 || !std::has_single_bit(static_cast<unsigned>(r.lanes)))
        return fail("register %" + std::to_string(i) + " has " + std::to_string(r.lanes) + " lanes, expected a power of two up to 64");
      if (r.type == Ty::I64 && r.lanes != 1) return fail("register %" + std::to_string(i) + " is an i64 of several lanes");
    }
    if (!is_i64(k_.begin) || !is_i64(k_.end)) return fail("begin and end must be i64 registers");
    if (k_.scalars.size() != k_.scalar_regs.size()) return fail("scalars and scalar registers differ in number");
    for (Reg r : k_.scalar_regs)
      if (!is_i64(r)) return fail("a scalar's register is not i64");
    if (k_.grain < 1) return fail("grain must be at least 1");
    for (const CountFactor& f : k_.items)
      if (f.divisor < 1) return fail("an item count's divisor must be at least 1");
    for (const BufferInfo& b : k_.buffers)
      if (b.bytes < 0) return fail("scratch buffer '" + b.name + "' has a negative size");
    return true;
  }

  bool reads(const Stmt& s, Reg r, const std::vector<bool>& assigned) {
    if (!known(r)) return fail(s, "unknown register");
    if (!assigned[r.id]) return fail(s, print_reg(k_, r) + " is read before it is assigned");
    return true;
  }

  bool block(const std::vector<Stmt>& body, std::vector<bool>& assigned) {
    for (const Stmt& s : body)
      if (!statement(s, assigned)) return false;
    return true;
  }

  bool statement(const Stmt& s, std::vector<bool>& assigned) {
    switch (s.kind) {
      case Stmt::Comment: return true;
      case Stmt::OpStmt: return op(s, assigned);
      case Stmt::For: {
        if (!reads(s, s.src[0], assigned) || !reads(s, s.src[1], assigned)) return false;
        if (!is_i64(s.dst) || !is_i64(s.src[0]) || !is_i64(s.src[1])) return fail(s, "the counter and bounds of a loop are i64");
        if (s.imm <= 0) return fail(s, "a loop's step must be positive");
        if (assigns(s.body, s.dst)) return fail(s, "the loop's body assigns its counter");
        std::vector<bool> inside = assigned;  // the body may run no time at all: its assignments do not count afterwards
        inside[s.dst.id] = true;
        assigned[s.dst.id] = false;
        return block(s.body, inside);
      }
      case Stmt::While:
      case Stmt::If: {
        if (!reads(s, s.src[0], assigned)) return false;
        if (!is_i64(s.src[0])) return fail(s, "a condition is i64");
        std::vector<bool> then = assigned, otherwise = assigned;
        if (!block(s.body, then) || !block(s.otherwise, otherwise)) return false;
        if (s.kind == Stmt::While) return true;
        for (size_t i = 0; i < assigned.size(); ++i) assigned[i] = then[i] && otherwise[i];
        return true;
      }
    }
    return fail(s, "unknown statement");
  }

  static bool assigns(const std::vector<Stmt>& body, Reg r) {
    for (const Stmt& s : body)
      if (s.dst == r || assigns(s.body, r) || assigns(s.otherwise, r)) return true;
    return false;
  }

  bool op(const Stmt& s, std::vector<bool>& assigned) {
    for (int i = 0; i < operand_count(s.op); ++i)
      if (!reads(s, s.src[i], assigned)) return false;
    bool no_result = s.op == LOp::Store || s.op == LOp::Prefetch;
    if (no_result ? static_cast<bool>(s.dst) : !known(s.dst)) return fail(s, no_result ? "has no result" : "unknown result register");
    if (has_memory(s.op) && !memory(s, assigned)) return false;
    if (s.count && s.op != LOp::Load && s.op != LOp::Store) return fail(s, "only load and store take a count");
    std::string why = types(s);
    if (!why.empty()) return fail(s, why);
    if (s.dst) assigned[s.dst.id] = true;
    return true;
  }

  bool memory(const Stmt& s, const std::vector<bool>& assigned) {
    if (s.at.buffer < 0 || s.at.buffer >= static_cast<int>(k_.buffers.size())) return fail(s, "unknown buffer");
    for (Reg r : {s.at.offset, s.at.offset2, s.count}) {
      if (!r) continue;
      if (!reads(s, r, assigned)) return false;
      if (!is_i64(r)) return fail(s, "an offset or count is not i64");
    }
    BufferKind kind = k_.buffers[s.at.buffer].kind;
    if (s.op == LOp::Store && (kind == BufferKind::Input || kind == BufferKind::Table))
      return fail(s, "stores to " + std::string(kind == BufferKind::Input ? "input" : "table") + " '" + k_.buffers[s.at.buffer].name + "'");
    return true;
  }

  // The table in loop_ir.h as a check. Empty: fine.
  std::string types(const Stmt& s) const;

  const Kernel& k_;
  std::string error_;
};

bool loads_as(Ty t, DType mem) {
  if (t == Ty::F32) return mem == DType::F16 || mem == DType::BF16 || mem == DType::F32 || (size_of(mem) < 4) || mem == DType::I32;
  if (t == Ty::I32) return !is_float(mem) && size_of(mem) <= 4;
  return !is_float(mem);
}
bool stores_as(Ty t, DType mem) {
  if (t == Ty::F32) return mem == DType::F16 || mem == DType::BF16 || mem == DType::F32;
  if (t == Ty::I32) return !is_float(mem) && size_of(mem) <= 4;
  return !is_float(mem);
}

std::string Verifier::types(const Stmt& s) const {
  auto info = [&](Reg r) { return r ? k_.regs[r.id] : RegInfo{Ty::I64, 1, ""}; };
  RegInfo d = info(s.dst), a = info(s.src[0]), b = info(s.src[1]), c = info(s.src[2]);
  auto is = [](const RegInfo& r, Ty t) { return r.type == t; };
  auto same = [](const RegInfo& x, const RegInfo& y) { return x.type == y.type && x.lanes == y.lanes; };
  auto want = [](bool fine, const char* what) { return fine ? std::string() : std::string("expected ") + what; };
  bool i32 = is(d, Ty::I32), f32 = is(d, Ty::F32), i64 = is(d, Ty::I64);
  switch (s.op) {
    case LOp::Const: return {};
    case LOp::Mov: return want(same(d, a), "operand and result of one type");
    case LOp::Splat: return want(a.lanes == 1 && (is(a, Ty::F32) ? f32 : i32), "a scalar operand of the result's element type");
    case LOp::Iota: return want(i32, "an i32 result");
    case LOp::ToI32: return want(i32 && d.lanes == 1 && is(a, Ty::I64), "i64 -> i32x1");
    case LOp::ToI64: return want(i64 && is(a, Ty::I32) && a.lanes == 1, "i32x1 -> i64");
    case LOp::Add: case LOp::Sub: case LOp::Mul: case LOp::Min: case LOp::Max:
      return want(same(d, a) && same(d, b), "operands and result of one type");
    case LOp::Div:
      return want(same(d, a) && same(d, b) && (f32 || d.lanes == 1), "f32, i64 or i32x1 operands of the result's type");
    case LOp::Mod: return want(same(d, a) && same(d, b) && !f32 && d.lanes == 1, "i64 or i32x1 operands of the result's type");
    case LOp::Neg: case LOp::Abs: return want(same(d, a) && !i64, "an i32 or f32 operand of the result's type");
    case LOp::And: case LOp::Or: case LOp::Xor: return want(same(d, a) && same(d, b) && !f32, "i64 or i32 operands of the result's type");
    case LOp::AndNot: case LOp::ShlV: case LOp::ShrUV: case LOp::ShrSV: case LOp::AddI16: case LOp::MaddUBS: case LOp::MaddWD:
      return want(same(d, a) && same(d, b) && i32, "i32 operands of the result's type");
    case LOp::Shl: case LOp::ShrU: case LOp::ShrS:
      return want(same(d, a) && !f32 && s.imm >= 0 && s.imm < (i64 ? 64 : 32), "an i64 or i32 operand and a count below its width");
    case LOp::CmpEq: case LOp::CmpLt: case LOp::CmpLe:
      return want(same(a, b) && a.lanes == d.lanes && (is(a, Ty::I64) ? i64 : i32),
                  "two operands of one type, an i32 mask (i64 of i64) as result");
    case LOp::Select:
      return want(same(d, b) && same(d, c) && is(a, i64 ? Ty::I64 : Ty::I32) && a.lanes == d.lanes,
                  "a mask and two operands of the result's type");
    case LOp::Fma: return want(f32 && same(d, a) && same(d, b) && same(d, c), "f32 operands of the result's type");
    case LOp::Dot4: return want(i32 && same(d, a) && same(d, b) && same(d, c), "i32 operands of the result's type");
    case LOp::Sqrt:
    case LOp::Floor:
    case LOp::Round:
    case LOp::Rcp:
    case LOp::Exp:
    case LOp::Log:
    case LOp::Sin:
    case LOp::Cos:
    case LOp::Tanh:
      return want(f32 && same(d, a), "an f32 operand of the result's type");
    case LOp::CvtF: case LOp::BitsF: return want(f32 && is(a, Ty::I32) && a.lanes == d.lanes, "i32 -> f32");
    case LOp::CvtI: case LOp::TruncI: case LOp::BitsI: return want(i32 && is(a, Ty::F32) && a.lanes == d.lanes, "f32 -> i32");
    case LOp::Lut16: return want(i32 && same(d, a) && s.table.size() == 16, "an i32 operand and 16 table bytes");
    case LOp::DupLo16: case LOp::DupHi16: return want(i32 && same(d, a), "an i32 operand of the result's type");
    case LOp::HAdd: case LOp::HMax: return want(!i64 && a.type == d.type && d.lanes == 1, "a vector operand, a scalar result of its type");
    case LOp::Lane:
      return want(!i64 && a.type == d.type && d.lanes == 1 && s.imm >= 0 && s.imm < a.lanes,
                  "a vector operand, a scalar result, a lane that exists");
    case LOp::Load: case LOp::LoadSplat: return want(loads_as(d.type, s.mem), "a memory type that converts to the result's");
    case LOp::LoadPair: return want(i32 && (s.mem == DType::I8 || s.mem == DType::U8), "i8 or u8 memory and an i32 result");
    case LOp::Store: return want(stores_as(a.type, s.mem), "a memory type that the operand converts to");
    case LOp::Prefetch: return {};
  }
  return "unknown op";
}

}  // namespace

std::string verify(const Kernel& k) { return Verifier(k).run(); }

}  // namespace lumen::loops
