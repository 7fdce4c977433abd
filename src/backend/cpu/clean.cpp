// Dead code, splats of loads, moves.
#include "backend/cpu/clean.h"

#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {

using namespace loops;

namespace {

// True where something was removed.
bool remove_unread(std::vector<Stmt>& body, std::vector<int>& reads) {
  bool changed = false;
  std::vector<Stmt> keep;
  for (size_t i = body.size(); i-- > 0;) {  // readers before what they read
    Stmt& s = body[i];
    changed |= remove_unread(s.body, reads);
    changed |= remove_unread(s.otherwise, reads);
    bool op = s.kind == Stmt::OpStmt && s.dst && reads[s.dst.id] == 0;
    bool empty = (s.kind == Stmt::For || s.kind == Stmt::If) && s.body.empty() && s.otherwise.empty();
    if (op || empty) {
      for_each_read(s, [&](const Reg& r) { --reads[r.id]; });
      changed = true;
      continue;
    }
    keep.push_back(std::move(s));
  }
  body.assign(std::make_move_iterator(keep.rbegin()), std::make_move_iterator(keep.rend()));
  return changed;
}

}  // namespace

void remove_dead(Kernel& k) {
  std::vector<int> reads = count_reads(k);
  while (remove_unread(k.body, reads)) {
  }
}

void merge_splats(Kernel& k) {
  std::vector<int> reads = count_reads(k), defs = count_defs(k);
  std::vector<Stmt*> load(k.regs.size());
  for_each_stmt(k.body, [&](Stmt& s) {
    bool scalar = s.kind == Stmt::OpStmt && (s.op == LOp::Load || s.op == LOp::LoadSplat) && !s.count && k.regs[s.dst.id].lanes == 1;
    if (scalar && k.regs[s.dst.id].type != Ty::I64 && defs[s.dst.id] == 1 && reads[s.dst.id] == 1) load[s.dst.id] = &s;
    if (s.kind != Stmt::OpStmt || s.op != LOp::Splat || defs[s.dst.id] != 1 || !load[s.src[0].id]) return;
    Stmt& l = *load[s.src[0].id];
    l.op = LOp::LoadSplat;
    l.dst = s.dst;
    s = Stmt();
    s.kind = Stmt::Comment;  // taken out below
  });
  auto empty = [](const Stmt& s) { return s.kind == Stmt::Comment && s.text.empty(); };
  std::erase_if(k.body, empty);
  for_each_stmt(k.body, [&](Stmt& s) {
    std::erase_if(s.body, empty);
    std::erase_if(s.otherwise, empty);
  });
}

namespace {

void coalesce(std::vector<Stmt>& body, const std::vector<int>& reads, const std::vector<int>& defs) {
  for (size_t i = 0; i < body.size(); ++i) {
    Stmt& s = body[i];
    coalesce(s.body, reads, defs);
    coalesce(s.otherwise, reads, defs);
    if (s.kind != Stmt::OpStmt || s.op != LOp::Mov || s.src[0] == s.dst) continue;
    Reg from = s.src[0], to = s.dst;
    if (defs[from.id] != 1 || reads[from.id] != 1) continue;
    size_t j = i;  // where `from` is assigned; in between nothing may look at `to`
    bool found = false;
    while (j-- > 0) {
      if (body[j].dst == from && body[j].kind == Stmt::OpStmt) found = true;
      if (found || touches(body[j], to)) break;
    }
    if (!found || body[j].op == LOp::Const) continue;
    body[j].dst = to;
    body.erase(body.begin() + static_cast<std::ptrdiff_t>(i--));
  }
}

}  // namespace

void coalesce_moves(Kernel& k) { coalesce(k.body, count_reads(k), count_defs(k)); }

}  // namespace lumen::cpu
