// Finds I64 ops of a loop's own list that are affine in its counter, and replaces those that others read.
#include "backend/cpu/strengthen.h"

#include <map>
#include <set>

#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {
namespace {

using namespace loops;

constexpr size_t kMostCounters = 4;  // a loop's new registers: general registers are few

int64_t add(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
int64_t times(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); }

class Strengthener {
 public:
  explicit Strengthener(Kernel& k) : k_(k), defs_(count_defs(k)) {
    for_each_stmt(k.body, [&](const Stmt& s) {
      if (s.kind == Stmt::OpStmt && s.op == LOp::Const && k.regs[s.dst.id].type == Ty::I64 && defs_[s.dst.id] == 1)
        longs_[s.dst.id] = s.imm;
    });
  }

  void block(std::vector<Stmt>& body) {
    std::vector<Stmt> out;
    for (Stmt& s : body) {
      bool innermost = s.kind == Stmt::For;
      for_each_stmt(s.body, [&](const Stmt& t) { innermost &= t.kind != Stmt::For && t.kind != Stmt::While; });
      if (innermost) loop(s, out);
      block(s.body);
      block(s.otherwise);
      out.push_back(std::move(s));
    }
    body = std::move(out);
  }

 private:
  const Stmt* affine_def(Reg r) const {
    auto it = affine_.find(r.id);
    return it == affine_.end() ? nullptr : it->second;
  }

  // Fills affine_ and step_: registers of the loop's list that grow by a constant from turn to turn.
  void analyse(const Stmt& loop) {
    affine_.clear();
    step_ = {{loop.dst.id, loop.imm}};
    std::set<int> changes;
    for_each_stmt(loop.body, [&](const Stmt& s) {
      if (s.dst) changes.insert(s.dst.id);
    });
    for (const Stmt& s : loop.body) {
      if (!is_pure(s) || k_.regs[s.dst.id].type != Ty::I64 || defs_[s.dst.id] != 1) continue;
      int64_t step[2] = {};
      bool fits = true, varies = false;
      for (int i = 0; i < operand_count(s.op) && i < 2; ++i) {
        auto it = step_.find(s.src[i].id);
        if (it != step_.end()) step[i] = it->second, varies = true;
        else fits &= !changes.count(s.src[i].id);
      }
      if (!fits || !varies) continue;
      auto constant = [&](int i) {
        auto it = longs_.find(s.src[i].id);
        return it == longs_.end() ? nullptr : &it->second;
      };
      int64_t grows = 0;
      if (s.op == LOp::Add) grows = add(step[0], step[1]);
      else if (s.op == LOp::Sub) grows = add(step[0], times(step[1], -1));
      else if (s.op == LOp::Shl) grows = times(step[0], static_cast<int64_t>(uint64_t{1} << s.imm));
      else if (s.op == LOp::Mul && constant(1)) grows = times(step[0], *constant(1));
      else if (s.op == LOp::Mul && constant(0)) grows = times(step[1], *constant(0));
      else continue;
      step_[s.dst.id] = grows;
      affine_[s.dst.id] = &s;
    }
  }

  void loop(Stmt& loop, std::vector<Stmt>& before) {
    analyse(loop);
    std::vector<int> leaves;  // affine registers that something else reads, in the order of their readers
    std::set<int> seen, by_value;
    for_each_stmt(loop.body, [&](const Stmt& s) {
      if (s.dst && affine_def(s.dst) == &s) return;
      for_each_read(s, [&](const Reg& r) {
        if (affine_def(r) && seen.insert(r.id).second) leaves.push_back(r.id);
      });
      for (Reg r : {s.src[0], s.src[1], s.src[2], s.count})
        if (r) by_value.insert(r.id);
    });
    std::erase_if(leaves, [&](int id) {
      const Stmt& s = *affine_[id];
      return s.op == LOp::Shl && s.imm <= 3 && s.src[0] == loop.dst && !by_value.count(id);
    });
    if (leaves.size() > kMostCounters) leaves.resize(kMostCounters);
    std::map<int, Reg> counter;
    std::vector<Stmt> ends;
    for (int id : leaves) {
      Reg p = fresh(id);
      before.push_back(make(LOp::Mov, p, {start(Reg{id}, loop, before)}));
      Reg step = fresh(id);
      Stmt c = make(LOp::Const, step, {});
      c.imm = step_[id];
      before.push_back(c);
      ends.push_back(make(LOp::Add, p, {p, step}));
      counter[id] = p;
    }
    for_each_stmt(loop.body, [&](Stmt& s) {
      for_each_read(s, [&](Reg& r) {
        auto it = counter.find(r.id);
        if (it != counter.end()) r = it->second;
      });
    });
    for (Stmt& s : ends) loop.body.push_back(std::move(s));
  }

  // The value of an affine register in the loop's first turn.
  Reg start(Reg r, const Stmt& loop, std::vector<Stmt>& before) {
    if (r == loop.dst) return loop.src[0];
    const Stmt* d = affine_def(r);
    if (!d) return r;
    Stmt s = *d;
    for (int i = 0; i < operand_count(s.op); ++i) s.src[i] = start(s.src[i], loop, before);
    s.dst = fresh(r.id);
    before.push_back(s);
    return s.dst;
  }

  Reg fresh(int like) {
    k_.regs.push_back(RegInfo(k_.regs[like]));
    return Reg{static_cast<int>(k_.regs.size()) - 1};
  }
  static Stmt make(LOp op, Reg dst, std::initializer_list<Reg> src) {
    Stmt s;
    s.op = op;
    s.dst = dst;
    int n = 0;
    for (Reg r : src) s.src[n++] = r;
    return s;
  }

  Kernel& k_;
  std::vector<int> defs_;
  std::map<int, int64_t> longs_;
  std::map<int, const Stmt*> affine_;
  std::map<int, int64_t> step_;
};

}  // namespace

void strengthen(Kernel& k) { Strengthener(k).block(k.body); }

}  // namespace lumen::cpu
