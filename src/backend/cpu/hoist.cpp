// Inner loops first, so that what leaves one may leave the next, too.
#include "backend/cpu/hoist.h"

#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {
namespace {

using namespace loops;

class Hoister {
 public:
  explicit Hoister(Kernel& k) : k_(k), defs_(count_defs(k)), constant_(k.regs.size()) {
    for_each_stmt(k.body, [&](const Stmt& s) {
      if (s.kind == Stmt::OpStmt && s.op == LOp::Const && defs_[s.dst.id] == 1) constant_[s.dst.id] = true;
    });
  }

  void block(std::vector<Stmt>& body) {
    std::vector<Stmt> out;
    for (Stmt& s : body) {
      block(s.body);
      block(s.otherwise);
      if (s.kind == Stmt::For || s.kind == Stmt::While) leave(s, out);
      out.push_back(std::move(s));
    }
    body = std::move(out);
  }

 private:
  // Moves invariant ops of the loop's own list to `before`.
  void leave(Stmt& loop, std::vector<Stmt>& before) {
    std::vector<bool> changes(k_.regs.size());
    if (loop.dst) changes[loop.dst.id] = true;
    for_each_stmt(loop.body, [&](const Stmt& s) {
      if (s.dst) changes[s.dst.id] = true;
    });
    std::vector<Stmt> stay;
    for (Stmt& s : loop.body) {
      bool invariant = is_pure(s) && defs_[s.dst.id] == 1 && !traps(s);
      for_each_read(s, [&](const Reg& r) { invariant = invariant && !changes[r.id]; });
      if (invariant) changes[s.dst.id] = false;
      (invariant ? before : stay).push_back(std::move(s));
    }
    loop.body = std::move(stay);
  }

  // Division by what is no constant: zero where the loop would not have run.
  bool traps(const Stmt& s) const {
    return (s.op == LOp::Div || s.op == LOp::Mod) && k_.regs[s.dst.id].type != Ty::F32 && !constant_[s.src[1].id];
  }

  Kernel& k_;
  std::vector<int> defs_;
  std::vector<bool> constant_;
};

}  // namespace

void hoist(Kernel& k) { Hoister(k).block(k.body); }

}  // namespace lumen::cpu
