// What an unrolled loop leaves: chains of assignments without branches between them, which simplify can see through once split.
#include "backend/cpu/split.h"

#include <map>

#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {
namespace {

using namespace loops;

struct Here {
  int defs = 0, reads = 0;
  bool fits = true;  // the first access is an assignment, and all assignments are by ops
};

class Splitter {
 public:
  explicit Splitter(Kernel& k) : k_(k), defs_(count_defs(k)), reads_(count_reads(k)) {}

  void block(std::vector<Stmt>& body) {
    std::map<int, Here> here;
    for (Stmt& s : body) {
      block(s.body);
      block(s.otherwise);
      for_each_read(s, [&](const Reg& r) {
        Here& h = here[r.id];
        ++h.reads;
        if (!h.defs) h.fits = false;
      });
      if (!s.dst) continue;
      Here& h = here[s.dst.id];
      ++h.defs;
      if (s.kind != Stmt::OpStmt) h.fits = false;
    }
    std::map<int, Reg> now;
    for (auto& [id, h] : here)
      if (h.fits && h.defs > 1 && h.defs == defs_[id] && h.reads == reads_[id]) now[id] = Reg{id};
    if (now.empty()) return;
    for (Stmt& s : body) {
      for_each_read(s, [&](Reg& r) {
        auto it = now.find(r.id);
        if (it != now.end()) r = it->second;
      });
      auto it = s.dst ? now.find(s.dst.id) : now.end();
      if (it == now.end()) continue;
      k_.regs.push_back(RegInfo(k_.regs[s.dst.id]));
      s.dst = it->second = Reg{static_cast<int>(k_.regs.size()) - 1};
    }
  }

 private:
  Kernel& k_;
  std::vector<int> defs_, reads_;  // of the registers there were at the start
};

}  // namespace

void split_registers(Kernel& k) { Splitter(k).block(k.body); }

}  // namespace lumen::cpu
