// Walks over loop IR.
#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {

using namespace loops;

std::vector<int> count_defs(const Kernel& k) {
  std::vector<int> defs(k.regs.size());
  ++defs[k.begin.id];
  ++defs[k.end.id];
  for (Reg r : k.scalar_regs) ++defs[r.id];
  for_each_stmt(k.body, [&](const Stmt& s) {
    if (s.dst) ++defs[s.dst.id];
  });
  return defs;
}

std::vector<int> count_reads(const Kernel& k) {
  std::vector<int> reads(k.regs.size());
  for_each_stmt(k.body, [&](const Stmt& s) { for_each_read(s, [&](const Reg& r) { ++reads[r.id]; }); });
  return reads;
}

bool is_pure(const Stmt& s) {
  if (s.kind != Stmt::OpStmt) return false;
  switch (s.op) {
    case LOp::Load: case LOp::LoadSplat: case LOp::LoadPair: case LOp::Store: case LOp::Prefetch: return false;
    default: return true;
  }
}

bool touches(const Stmt& s, Reg r) {
  bool found = s.dst == r;
  for_each_read(s, [&](const Reg& x) { found |= x == r; });
  for (const Stmt& t : s.body) found = found || touches(t, r);
  for (const Stmt& t : s.otherwise) found = found || touches(t, r);
  return found;
}

}  // namespace lumen::cpu
