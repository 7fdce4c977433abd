// The builder's bookkeeping: registers, result types, nesting.
#include "compiler/loops/builder.h"

#include <bit>

#include "base/assert.h"

namespace lumen::loops {

Builder::Builder(std::string name) {
  k_.name = std::move(name);
  k_.begin = reg(Ty::I64, 1, "begin");
  k_.end = reg(Ty::I64, 1, "end");
}

int Builder::buffer(std::string name, BufferKind kind, int64_t bytes) {
  k_.buffers.push_back({std::move(name), kind, bytes, {}});
  return static_cast<int>(k_.buffers.size()) - 1;
}

int Builder::table(std::vector<uint8_t> data) {
  for (size_t i = 0; i < k_.buffers.size(); ++i)
    if (k_.buffers[i].kind == BufferKind::Table && k_.buffers[i].data == data) return static_cast<int>(i);
  k_.buffers.push_back({"table", BufferKind::Table, 0, std::move(data)});
  return static_cast<int>(k_.buffers.size()) - 1;
}

Reg Builder::scalar(const std::string& name) {
  for (size_t i = 0; i < k_.scalars.size(); ++i)
    if (k_.scalars[i] == name) return k_.scalar_regs[i];
  k_.scalars.push_back(name);
  k_.scalar_regs.push_back(reg(Ty::I64, 1, name));
  return k_.scalar_regs.back();
}

Reg Builder::reg(Ty type, int lanes, std::string hint) {
  k_.regs.push_back({type, lanes, std::move(hint)});
  return Reg{static_cast<int>(k_.regs.size()) - 1};
}

Stmt& Builder::emit(LOp op, Reg dst, std::initializer_list<Reg> src, int64_t imm) {
  LUMEN_ASSERT(static_cast<int>(src.size()) == operand_count(op));
  std::vector<Stmt>& list = open_.empty() ? k_.body : *open_.back();
  Stmt& s = list.emplace_back();
  s.op = op;
  s.dst = dst;
  int i = 0;
  for (Reg r : src) {
    LUMEN_ASSERT(r.id >= 0);
    s.src[i++] = r;
  }
  s.imm = imm;
  return s;
}

Reg Builder::i64(int64_t v) {
  Reg r = reg(Ty::I64, 1);
  emit(LOp::Const, r, {}, v);
  return r;
}
Reg Builder::i32(int64_t v, int lanes) {
  Reg r = reg(Ty::I32, lanes);
  emit(LOp::Const, r, {}, v);
  return r;
}
Reg Builder::f32(double v, int lanes) {
  Reg r = reg(Ty::F32, lanes);
  emit(LOp::Const, r, {}).fimm = v;
  return r;
}

Reg Builder::op(LOp o, std::initializer_list<Reg> src, int64_t imm) {
  Reg a = src.size() ? *src.begin() : Reg{};
  LUMEN_ASSERT(a.id >= 0);
  Ty t = type(a);
  int l = lanes(a);
  switch (o) {
    case LOp::ToI32: t = Ty::I32; break;
    case LOp::ToI64: t = Ty::I64; break;
    case LOp::CmpEq: case LOp::CmpLt: case LOp::CmpLe: t = t == Ty::I64 ? Ty::I64 : Ty::I32; break;
    case LOp::Select: t = type(src.begin()[1]); break;
    case LOp::CvtF: case LOp::BitsF: t = Ty::F32; break;
    case LOp::CvtI: case LOp::TruncI: case LOp::BitsI: t = Ty::I32; break;
    case LOp::HAdd: case LOp::HMax: case LOp::Lane: l = 1; break;
    default: break;
  }
  Reg r = reg(t, l);
  emit(o, r, src, imm);
  return r;
}

Reg Builder::add_imm(Reg a, int64_t v) { return v == 0 ? a : add(a, i64(v)); }
Reg Builder::mul_imm(Reg a, int64_t v) {
  if (v == 1) return a;
  if (v == 0) return i64(0);
  if (v > 0 && std::has_single_bit(static_cast<uint64_t>(v))) return op(LOp::Shl, {a}, std::countr_zero(static_cast<uint64_t>(v)));
  return mul(a, i64(v));
}
Reg Builder::splat(Reg a, int l) {
  if (lanes(a) == l && type(a) != Ty::I64) return a;
  Reg r = reg(type(a) == Ty::F32 ? Ty::F32 : Ty::I32, l);
  emit(LOp::Splat, r, {a});
  return r;
}
Reg Builder::lut16(Reg a, std::vector<uint8_t> table) {
  LUMEN_ASSERT(table.size() == 16);
  Reg r = reg(Ty::I32, lanes(a));
  emit(LOp::Lut16, r, {a}).table = std::move(table);
  return r;
}

Reg Builder::load(Ty t, int l, DType mem, Address at, Reg count) {
  Reg r = reg(t, l);
  Stmt& s = emit(LOp::Load, r, {});
  s.mem = mem;
  s.at = at;
  s.count = count;
  return r;
}
Reg Builder::load_splat(Ty t, int l, DType mem, Address at) {
  Reg r = reg(t, l);
  Stmt& s = emit(LOp::LoadSplat, r, {});
  s.mem = mem;
  s.at = at;
  return r;
}
Reg Builder::load_pair(int l, DType mem, Address at) {
  Reg r = reg(Ty::I32, l);
  Stmt& s = emit(LOp::LoadPair, r, {});
  s.mem = mem;
  s.at = at;
  return r;
}
void Builder::store(Reg value, DType mem, Address at, Reg count) {
  Stmt& s = emit(LOp::Store, {}, {value});
  s.mem = mem;
  s.at = at;
  s.count = count;
}
void Builder::prefetch(Address at) { emit(LOp::Prefetch, {}, {}).at = at; }

// A statement's address changes when its list grows, so bodies are built apart and moved in.
void Builder::for_(Reg lo, Reg hi, int64_t step, const std::function<void(Reg)>& body) {
  Stmt s;
  s.kind = Stmt::For;
  s.dst = reg(Ty::I64, 1);
  s.src[0] = lo;
  s.src[1] = hi;
  s.imm = step;
  open_.push_back(&s.body);
  body(s.dst);
  open_.pop_back();
  (open_.empty() ? k_.body : *open_.back()).push_back(std::move(s));
}
void Builder::while_(Reg condition, const std::function<void()>& body) {
  Stmt s;
  s.kind = Stmt::While;
  s.src[0] = condition;
  open_.push_back(&s.body);
  body();
  open_.pop_back();
  (open_.empty() ? k_.body : *open_.back()).push_back(std::move(s));
}
void Builder::if_(Reg condition, const std::function<void()>& then, const std::function<void()>& otherwise) {
  Stmt s;
  s.kind = Stmt::If;
  s.src[0] = condition;
  open_.push_back(&s.body);
  then();
  open_.pop_back();
  if (otherwise) {
    open_.push_back(&s.otherwise);
    otherwise();
    open_.pop_back();
  }
  (open_.empty() ? k_.body : *open_.back()).push_back(std::move(s));
}
void Builder::comment(std::string text) {
  Stmt s;
  s.kind = Stmt::Comment;
  s.text = std::move(text);
  (open_.empty() ? k_.body : *open_.back()).push_back(std::move(s));
}

}  // namespace lumen::loops
