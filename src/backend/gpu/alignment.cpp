// Greatest fixed point: every register starts as a multiple of 2^16, each assignment can only lower that.
#include "backend/gpu/alignment.h"

#include <algorithm>
#include <bit>

namespace lumen::gpu {
namespace {
using loops::LOp;
using loops::Reg;
using loops::Stmt;

int zeros_of(int64_t v) { return v == 0 ? kMostAligned : std::min(kMostAligned, std::countr_zero(static_cast<uint64_t>(v))); }

int result(const Stmt& s, const std::vector<int>& z) {
  auto at = [&](int i) { return z[static_cast<size_t>(s.src[i].id)]; };
  switch (s.op) {
    case LOp::Const:
      return zeros_of(s.imm);
    case LOp::Mov:
      return at(0);
    case LOp::Add:
    case LOp::Sub:
    case LOp::Min:
    case LOp::Max:
    case LOp::Or:
    case LOp::Xor:
    case LOp::Mod:
      return std::min(at(0), at(1));
    case LOp::Select:
      return std::min(at(1), at(2));
    case LOp::Mul:
      return std::min(kMostAligned, at(0) + at(1));
    case LOp::And:
      return std::max(at(0), at(1));
    case LOp::Shl:
      return static_cast<int>(std::min<int64_t>(kMostAligned, at(0) + s.imm));
    case LOp::ShrS:
    case LOp::ShrU:
      return static_cast<int>(std::max<int64_t>(0, at(0) - s.imm));
    default:
      return 0;
  }
}

bool lower(const loops::Kernel& k, const std::vector<Stmt>& body, std::vector<int>& z) {
  bool changed = false;
  for (const Stmt& s : body) {
    if (s.dst && k.regs[static_cast<size_t>(s.dst.id)].type == loops::Ty::I64) {
      int now = s.kind == Stmt::For ? std::min(z[static_cast<size_t>(s.src[0].id)], zeros_of(s.imm)) : result(s, z);
      int& known = z[static_cast<size_t>(s.dst.id)];
      if (now < known) {
        known = now;
        changed = true;
      }
    }
    changed |= lower(k, s.body, z);
    changed |= lower(k, s.otherwise, z);
  }
  return changed;
}

}  // namespace

std::vector<int> low_zero_bits(const loops::Kernel& k) {
  std::vector<int> z(k.regs.size(), 0);
  for (size_t i = 0; i < z.size(); ++i)
    if (k.regs[i].type == loops::Ty::I64) z[i] = kMostAligned;
  z[static_cast<size_t>(k.begin.id)] = z[static_cast<size_t>(k.end.id)] = 0;
  for (Reg r : k.scalar_regs) z[static_cast<size_t>(r.id)] = 0;
  while (lower(k, k.body, z)) {
  }
  return z;
}

int alignment(const loops::Address& at, const std::vector<int>& zeros) {
  int bits = zeros_of(at.disp);
  for (Reg r : {at.offset, at.offset2})
    if (r) bits = std::min(bits, zeros[static_cast<size_t>(r.id)]);
  return bits >= 2 ? 4 : bits == 1 ? 2 : 1;
}

}  // namespace lumen::gpu
