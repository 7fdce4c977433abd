// Rebuilding a function value by value: what every pass that adds or removes values is written with.
#pragma once
#include <map>
#include <tuple>
#include <vector>

#include "compiler/ir/ir.h"

namespace lumen::passes {

class Rebuild {
 public:
  explicit Rebuild(ir::Function& f) : old_(f), map_(f.values.size(), -1) {
    next_.name = f.name;
    next_.bounds = f.bounds;
  }
  const ir::Function& old() const { return old_; }
  ir::Function& next() { return next_; }
  int mapped(int id) const { return map_[id]; }
  void replace(int old_id, int new_id) { map_[old_id] = new_id; }
  // The value with its operands mapped, not yet added.
  ir::Value remapped(const ir::Value& v) const {
    ir::Value c = v;
    for (int& o : c.operands) o = map_[o];
    return c;
  }
  int add(ir::Value v) {
    v.id = static_cast<int>(next_.values.size());
    next_.values.push_back(std::move(v));
    return next_.values.back().id;
  }
  void copy(const ir::Value& v) { map_[v.id] = add(remapped(v)); }
  void finish() {
    for (int r : old_.results) next_.results.push_back(map_[r]);
    old_ = std::move(next_);
  }

 private:
  ir::Function& old_;
  ir::Function next_;
  std::vector<int> map_;
};

// Reads of each value: operands of others, and results.
std::vector<int> use_counts(const ir::Function& f);
// The body with its reduced indices numbered by depth, from `rank` on: equal bodies become equal trees.
ir::ExprPtr canonical(const ir::ExprPtr& e, int rank);
// Drops operands the body does not read, and merges equal ones; renumbers the body.
void tidy_operands(ir::Value& v);
// Which operands are equal: for each the place of the first one like it.
std::vector<int> pattern(const std::vector<int>& operands);

// What a pass may ask about an operation apart from its body and which values its operands are: types and roles of the operands and
// which of them are equal. Operations of equal bodies and signatures can share what a pass makes of them.
std::vector<int64_t> signature(const ir::Function& f, const ir::Value& v);

// An operation's body and, of a scatter, its destination.
using Bodies = std::vector<ir::ExprPtr>;
Bodies bodies(const ir::Value& v);
void set_bodies(ir::Value& v, const Bodies& b);

// Makes equal bodies one object: the layers of a model have equal ones, and what is known of an object need not be found out again.
class Sharer {
 public:
  void operator()(ir::Value& v);

 private:
  ir::ExprPtr one_of_equals(const ir::ExprPtr& body);
  std::map<uint64_t, std::vector<ir::ExprPtr>> bodies_;  // by hash
};

// tidy_operands with a memory.
class Tidier {
 public:
  void operator()(ir::Value& v);

 private:
  Sharer share_;
  std::map<std::tuple<ir::ValueKind, Bodies, std::vector<int>, size_t>, std::pair<Bodies, std::vector<int>>> known_;
};

}  // namespace lumen::passes
