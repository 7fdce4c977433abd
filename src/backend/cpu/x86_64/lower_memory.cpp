// Lowering of loads and stores: conversions between memory and register types, and accesses of a counted number of lanes.
#include "backend/cpu/x86_64/lowering.h"
#include "base/assert.h"

namespace lumen::cpu {

using namespace asmjit;

namespace {

Mem of_size(Mem m, int bytes) {
  m.setSize(static_cast<uint32_t>(bytes));
  return m;
}

Gp part(const Gp& r, int bytes) {
  if (bytes == 1) return r.r8();
  if (bytes == 2) return r.r16();
  if (bytes == 4) return r.r32();
  return r;
}

}  // namespace

const std::vector<uint8_t> kNarrowWords = {0, 1, 4, 5, 8, 9, 12, 13, 128, 128, 128, 128, 128, 128, 128, 128};
const std::vector<uint8_t> kNarrowBytes = {0, 4, 8, 12, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128};

void Lowering::load(const Stmt& s) {
  int n = lanes(s.dst), size = size_of(s.mem);
  if (type(s.dst) == Ty::I64) return load_scalar(s);
  if (!s.count) return load_into(s, vec_dst(s.dst));
  if (n > 1 && isa_.avx512) {
    KReg k = k_mask(s.count, n);
    Mem m = address(s.at, size * n);
    return load_from(s, vec_dst(s.dst), m, &k);
  }
  if (n > 1 && size == 4) {
    Vec mask = lane_mask(s.count, n);
    Mem m = address(s.at, 4 * n);
    Vec d = vec_dst(s.dst);
    emit(Inst::kIdVmaskmovps, d, mask, m);
    if (type(s.dst) == Ty::F32 && s.mem == DType::I32) emit(Inst::kIdVcvtdq2ps, d, d);
    return;
  }
  // Through a zeroed place on the stack, element by element.
  Mem stack = cc_.newStack(64, 64), from = address(s.at, size);
  Vec zero = constant32(0, n);
  emit(Inst::kIdVmovups, of_size(stack, width(n)), zero);
  copy_elements(stack, from, clamped_count(s.count, n), size);
  load_from(s, vec_dst(s.dst), of_size(stack, size * n), nullptr);
}

void Lowering::load_into(const Stmt& s, const Vec& d) {
  int n = lanes(s.dst), size = size_of(s.mem);
  if (s.op == LOp::LoadSplat) return load_splat(s, d, address(s.at, size));
  if (s.op == LOp::Load) return load_from(s, d, address(s.at, size * n), nullptr);
  Mem m = address(s.at, 2 * n);  // LoadPair
  InstId id = s.mem == DType::I8 ? Inst::kIdVpmovsxbw : Inst::kIdVpmovzxbw;
  if (n > 1) return emit(id, d, m);
  emit(Inst::kIdVpbroadcastw, d, m);
  emit(id, d, d);
}

// `mask` (avx512): lanes not in it are zero and not read.
void Lowering::load_from(const Stmt& s, const Vec& d, Mem m, const KReg* mask) {
  int n = lanes(s.dst);
  bool real = type(s.dst) == Ty::F32;
  auto get = [&](InstId id) {
    if (mask) cc_.k(*mask).z();
    emit(id, d, m);
  };
  if (n == 1) return load_splat(s, d, m);
  switch (s.mem) {
    case DType::F16: return get(Inst::kIdVcvtph2ps);
    case DType::BF16:
      get(Inst::kIdVpmovzxwd);
      return emit(Inst::kIdVpslld, d, d, Imm(16));
    case DType::I8: get(Inst::kIdVpmovsxbd); break;
    case DType::Bool: case DType::U8: get(Inst::kIdVpmovzxbd); break;
    case DType::I16: get(Inst::kIdVpmovsxwd); break;
    case DType::U16: get(Inst::kIdVpmovzxwd); break;
    case DType::F32: return get(Inst::kIdVmovups);
    case DType::I32:
      if (real && !mask) return emit(Inst::kIdVcvtdq2ps, d, m);
      [[fallthrough]];
    default: get(mask ? Inst::kIdVmovdqu32 : Inst::kIdVmovups); break;
  }
  if (real) emit(Inst::kIdVcvtdq2ps, d, d);
}

// One element to every lane (or to the only one); reads no byte beyond it.
void Lowering::load_splat(const Stmt& s, const Vec& d, Mem m) {
  bool one = lanes(s.dst) == 1, real = type(s.dst) == Ty::F32;
  m.setSize(static_cast<uint32_t>(size_of(s.mem)));
  switch (s.mem) {
    case DType::F32: return emit(one ? Inst::kIdVmovss : Inst::kIdVbroadcastss, d, m);
    case DType::F16: {
      Vec half = sized(d, std::max(16, width(lanes(s.dst)) / 2));
      emit(Inst::kIdVpbroadcastw, half, m);
      return emit(Inst::kIdVcvtph2ps, d, half);
    }
    case DType::BF16:
      emit(Inst::kIdVpbroadcastw, d, m);
      return emit(Inst::kIdVpslld, d, d, Imm(16));
    case DType::I8: case DType::U8: case DType::Bool:
      emit(Inst::kIdVpbroadcastb, d, m);
      emit(s.mem == DType::I8 ? Inst::kIdVpsrad : Inst::kIdVpsrld, d, d, Imm(24));
      break;
    case DType::I16: case DType::U16:
      emit(Inst::kIdVpbroadcastw, d, m);
      emit(s.mem == DType::I16 ? Inst::kIdVpsrad : Inst::kIdVpsrld, d, d, Imm(16));
      break;
    default: emit(one ? Inst::kIdVmovd : Inst::kIdVpbroadcastd, d, m); break;
  }
  if (real) emit(Inst::kIdVcvtdq2ps, d, d);
}

void Lowering::load_scalar(const Stmt& s) {
  Mem m = address(s.at, size_of(s.mem));
  Gp d = gp_dst(s.dst);
  Label skip;
  if (s.count) {
    Gp count = gp(s.count), t = new_gp();  // the result's register may be part of the address
    skip = cc_.newLabel();
    cc_.xor_(t.r32(), t.r32());
    cc_.test(count, count);
    cc_.jle(skip);
    d = t;
  }
  switch (s.mem) {
    case DType::I8: cc_.movsx(d, m); break;
    case DType::I16: cc_.movsx(d, m); break;
    case DType::I32: cc_.movsxd(d, m); break;
    case DType::U8: case DType::Bool: case DType::U16: cc_.movzx(d.r32(), m); break;
    case DType::U32: cc_.mov(d.r32(), m); break;
    default: cc_.mov(d, m); break;
  }
  if (!s.count) return;
  cc_.bind(skip);
  cc_.mov(gp_dst(s.dst), d);
}

void Lowering::store(const Stmt& s) {
  int n = lanes(s.src[0]), size = size_of(s.mem);
  if (type(s.src[0]) == Ty::I64) return store_scalar(s);
  Vec v = vec(s.src[0]);
  if (!s.count) return store_to(v, n, s.mem, address(s.at, size * n), nullptr);
  if (n > 1 && isa_.avx512) {
    KReg k = k_mask(s.count, n);
    return store_to(v, n, s.mem, address(s.at, size * n), &k);
  }
  if (n > 1 && size == 4) {
    Vec mask = lane_mask(s.count, n);
    return emit(Inst::kIdVmaskmovps, address(s.at, 4 * n), mask, v);
  }
  Mem stack = cc_.newStack(64, 64), to = address(s.at, size);
  store_to(v, n, s.mem, of_size(stack, size * n), nullptr);
  copy_elements(to, stack, clamped_count(s.count, n), size);
}

void Lowering::store_to(const Vec& v, int n, DType mem, Mem m, const KReg* mask) {
  int size = size_of(mem);
  auto put = [&](InstId id, const Vec& x) {
    if (mask) cc_.k(*mask);
    emit(id, m, x);
  };
  if (size == 4) return put(n == 1 ? Inst::kIdVmovss : Inst::kIdVmovups, v);
  if (mem == DType::F16 && n > 1) {
    if (mask) cc_.k(*mask);
    return emit(Inst::kIdVcvtps2ph, m, v, Imm(0));
  }
  Vec x = v;
  if (mem == DType::F16) {
    x = new_vec(1);
    emit(Inst::kIdVcvtps2ph, x, v, Imm(0));
  }
  if (mem == DType::BF16) x = to_bfloat(v, n);
  if (n == 1) return emit(size == 2 ? Inst::kIdVpextrw : Inst::kIdVpextrb, m, x.xmm(), Imm(0));
  if (isa_.avx512) return put(size == 2 ? Inst::kIdVpmovdw : Inst::kIdVpmovdb, x);
  Vec order = constant(size == 2 ? kNarrowWords : kNarrowBytes, n), t = new_vec(n);
  emit(Inst::kIdVpshufb, t, x, order);
  if (n == 4) return emit(size == 2 ? Inst::kIdVmovq : Inst::kIdVmovd, m, t.xmm());
  if (size == 2) {
    emit(Inst::kIdVpermq, t, t, Imm(0x08));
    return emit(Inst::kIdVmovdqu, m, t.xmm());
  }
  Vec high = new_vec(4);
  emit(Inst::kIdVextracti128, high, t.ymm(), Imm(1));
  emit(Inst::kIdVpunpckldq, high, t.xmm(), high);
  emit(Inst::kIdVmovq, m, high);
}

void Lowering::store_scalar(const Stmt& s) {
  int size = size_of(s.mem);
  Label skip = cc_.newLabel();
  if (s.count) {
    Gp count = gp(s.count);
    cc_.test(count, count);
    cc_.jle(skip);
  }
  Gp v = gp(s.src[0]);
  Mem m = address(s.at, size);
  emit(Inst::kIdMov, m, part(v, size));
  cc_.bind(skip);
}

// Rounds to nearest even; NaNs stay NaNs and get quiet. Integer arithmetic, so that denormals are kept.
Vec Lowering::to_bfloat(const Vec& v, int n) {
  Vec t = new_vec(n), quiet = new_vec(n);
  Vec one = constant32(1, n), half = constant32(0x7FFF, n), bit = constant32(0x40, n);
  emit(Inst::kIdVpsrld, quiet, v, Imm(16));
  emit(pick(Inst::kIdVpand, Inst::kIdVpandd), t, quiet, one);
  emit(pick(Inst::kIdVpor, Inst::kIdVpord), quiet, quiet, bit);
  emit(Inst::kIdVpaddd, t, t, half);
  emit(Inst::kIdVpaddd, t, t, v);
  emit(Inst::kIdVpsrld, t, t, Imm(16));
  if (isa_.avx512) {
    KReg k = cc_.newKw();
    emit(Inst::kIdVcmpps, k, v, v, Imm(3));  // unordered
    cc_.k(k).vmovaps(t, quiet);
    return t;
  }
  Vec nan = new_vec(n);
  emit(Inst::kIdVcmpps, nan, v, v, Imm(3));
  emit(Inst::kIdVblendvps, t, t, quiet, nan);
  return t;
}

// ---- counted accesses ----

Gp Lowering::clamped_count(Reg count, int n) {
  Gp c = gp(count), t = new_gp();
  cc_.mov(t, n);
  cc_.cmp(c, t);
  cc_.cmovl(t, c);
  return t;
}

Vec Lowering::lane_mask(Reg count, int n) {
  std::vector<uint8_t> iota;
  for (int l = 0; l < n; ++l) iota.insert(iota.end(), {static_cast<uint8_t>(l), 0, 0, 0});
  Vec mask = new_vec(n);
  emit(Inst::kIdVmovd, mask.xmm(), clamped_count(count, n).r32());
  emit(Inst::kIdVpbroadcastd, mask, mask.xmm());
  emit(Inst::kIdVpcmpgtd, mask, mask, constant(iota, n));
  return mask;
}

KReg Lowering::k_mask(Reg count, int n) {
  Gp c = clamped_count(count, n), ones = new_gp();
  KReg k = cc_.newKw();
  cc_.mov(ones.r32(), -1);
  cc_.bzhi(ones.r32(), ones.r32(), c.r32());
  cc_.kmovw(k, ones.r32());
  return k;
}

void Lowering::copy_elements(const Mem& to, const Mem& from, const Gp& count, int size) {
  Gp i = new_gp(), t = new_gp(), source = new_gp(), target = new_gp();
  Label head = cc_.newLabel(), end = cc_.newLabel();
  cc_.lea(source, from);
  cc_.lea(target, to);
  cc_.xor_(i.r32(), i.r32());
  cc_.test(count, count);
  cc_.jle(end);
  uint32_t shift = size == 4 ? 2 : size == 2 ? 1 : 0;
  Mem a = of_size(x86::ptr(source, i, shift), size), b = of_size(x86::ptr(target, i, shift), size);
  cc_.bind(head);
  if (size == 4) cc_.mov(t.r32(), a);
  else cc_.movzx(t.r32(), a);
  emit(Inst::kIdMov, b, part(t, size));
  cc_.add(i, 1);
  cc_.cmp(i, count);
  cc_.jl(head);
  cc_.bind(end);
}

}  // namespace lumen::cpu
