// Copies of a body get registers of their own for all that is assigned in the body alone; what is assigned elsewhere, too, is
// carried from copy to copy.
#include "backend/cpu/unroll.h"

#include <map>

#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {
namespace {

using namespace loops;

constexpr int64_t kMostTrips = 16;
constexpr size_t kMostStatements = 6000;  // of one unrolled loop

size_t size_of_body(const std::vector<Stmt>& body) {
  size_t n = 0;
  for_each_stmt(body, [&](const Stmt&) { ++n; });
  return n;
}

class Unroller {
 public:
  explicit Unroller(Kernel& k) : k_(k), defs_(count_defs(k)) {
    for_each_stmt(k.body, [&](const Stmt& s) {
      if (s.kind == Stmt::OpStmt && s.op == LOp::Const && k.regs[s.dst.id].type == Ty::I64 && defs_[s.dst.id] == 1)
        longs_[s.dst.id] = s.imm;
    });
  }
  void run() { block(k_.body); }

 private:
  void block(std::vector<Stmt>& body) {
    std::vector<Stmt> out;
    for (Stmt& s : body) {
      block(s.body);
      block(s.otherwise);
      if (!copies(s, out)) out.push_back(std::move(s));
    }
    body = std::move(out);
  }

  bool copies(const Stmt& s, std::vector<Stmt>& out) {
    if (s.kind != Stmt::For || !s.unroll_hint) return false;
    auto lo = longs_.find(s.src[0].id), hi = longs_.find(s.src[1].id);
    if (lo == longs_.end() || hi == longs_.end() || hi->second <= lo->second) return false;
    int64_t trips = (hi->second - lo->second + s.imm - 1) / s.imm;
    if (trips > kMostTrips || size_of_body(s.body) * static_cast<size_t>(trips) > kMostStatements) return false;
    std::map<int, int> inside;  // assignments in the body, by register
    for_each_stmt(s.body, [&](const Stmt& t) {
      if (t.dst) ++inside[t.dst.id];
    });
    for (auto [id, n] : inside)
      if (n != defs_[id]) defs_[id] += n * static_cast<int>(trips - 1);
    int64_t first = lo->second;
    for (int64_t t = 0; t < trips; ++t) {
      std::map<int, Reg> renamed;
      for (auto [id, n] : inside)
        if (n == defs_[id]) renamed[id] = fresh(Reg{id}, n);
      Stmt counter;
      counter.dst = renamed[s.dst.id] = fresh(s.dst, 1);
      counter.imm = first + t * s.imm;
      longs_[counter.dst.id] = counter.imm;
      out.push_back(counter);
      for (const Stmt& b : s.body) {
        out.push_back(b);
        rename(out.back(), renamed);
      }
    }
    return true;
  }

  Reg fresh(Reg like, int defs) {
    k_.regs.push_back(RegInfo(k_.regs[like.id]));
    defs_.push_back(defs);
    return Reg{static_cast<int>(k_.regs.size()) - 1};
  }

  void rename(Stmt& s, const std::map<int, Reg>& renamed) {
    auto change = [&](Reg& r) {
      auto it = renamed.find(r.id);
      if (it != renamed.end()) r = it->second;
    };
    if (s.dst) change(s.dst);
    for_each_read(s, change);
    if (s.kind == Stmt::OpStmt && s.op == LOp::Const && longs_.count(s.dst.id) == 0 && k_.regs[s.dst.id].type == Ty::I64 &&
        defs_[s.dst.id] == 1)
      longs_[s.dst.id] = s.imm;
    for (Stmt& t : s.body) rename(t, renamed);
    for (Stmt& t : s.otherwise) rename(t, renamed);
  }

  Kernel& k_;
  std::vector<int> defs_;
  std::map<int, int64_t> longs_;  // registers that are constants
};

}  // namespace

void unroll(Kernel& k) { Unroller(k).run(); }

}  // namespace lumen::cpu
