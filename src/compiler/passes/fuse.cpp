// Moves producers into their only reader.
#include <algorithm>

#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {
using ir::Ek;
using ir::ExprPtr;

namespace {

struct Content {
  bool dot = false, reduce = false, softmax = false;
};
Content content(const ExprPtr& body) {
  Content c;
  ir::visit(body, [&](const ir::Expr& e) {
    c.dot |= e.kind == Ek::Dot;
    if (e.kind == Ek::Reduce) (e.reduction == ir::Reduction::SoftmaxSum ? c.softmax : c.reduce) = true;
  });
  return c;
}

// Where reader v reads operand `slot`: only by loads outside reductions, each element once at its own place?
struct Reads {
  bool identity = true, in_reduce = false, other = false;
  int loads = 0;
};
void find_reads(const ExprPtr& e, int slot, bool inside, Reads& r) {
  if (e->kind == Ek::Dot && (e->operand == slot || e->operand2 == slot)) r.other = true;
  if (e->kind == Ek::Load && e->operand == slot) {
    ++r.loads;
    r.in_reduce |= inside;
    for (size_t i = 0; i < e->args.size(); ++i) r.identity &= e->args[i]->kind == Ek::Index && e->args[i]->ival == static_cast<int64_t>(i);
  }
  for (const ExprPtr& a : e->args) find_reads(a, slot, inside || e->kind == Ek::Reduce, r);
}

bool wanted(const ir::Value& producer, const ir::Value& reader, int slot) {
  if (producer.kind != ir::ValueKind::Compute || producer.type.format || producer.type.scalar != DType::F32) return false;
  if (reader.kind == ir::ValueKind::Scatter && slot == 0) return false;
  Reads reads;
  find_reads(reader.body, slot, false, reads);
  for (const ExprPtr& d : reader.dest) find_reads(d, slot, true, reads);
  if (reads.other || reads.in_reduce || reads.loads == 0) return false;
  Content p = content(producer.body), r = content(reader.body);
  if (p.softmax || r.softmax) return false;
  bool same_domain = producer.dims == reader.dims;
  if (p.dot) {
    if (!reads.identity || !same_domain || r.reduce || reader.kind != ir::ValueKind::Compute || reader.type.format) return false;
    // one accumulator tile is shared by all dots of a body: same number of rows, and not too many of them
    int dots = 0;
    for (const ExprPtr* b : {&producer.body, &reader.body})
      ir::visit(*b, [&](const ir::Expr& e) { dots += e.kind == Ek::Dot; });
    return dots <= 2;
  }
  if (p.reduce) return reads.identity && same_domain && !r.dot;
  return reads.loads == 1 || reads.identity;
}

// reader.body with loads of `slot` replaced by the producer's body at the load's indices.
void inline_into(ir::Value& reader, int slot, const ir::Value& producer) {
  int first = static_cast<int>(reader.operands.size());
  for (int o : producer.operands) reader.operands.push_back(o);
  auto shift = [&](const ExprPtr& e) {
    return ir::rewrite(e, [&](const ExprPtr& x) -> ExprPtr {
      if (x->kind == Ek::Load) return ir::make_load(x->operand + first, x->type, x->args);
      if (x->kind == Ek::Dot)
        return ir::make_dot(x->operand + first, {x->args.begin(), x->args.begin() + x->ival}, x->operand2 + first,
                            {x->args.begin() + x->ival, x->args.end()});
      return nullptr;
    });
  };
  // Reduced indices of the producer move out of the reader's way; so do its axes, before they become the load's indices.
  constexpr int kAxis = 1 << 25;
  ExprPtr moved = canonical(shift(producer.body), 1 << 20);
  for (size_t i = 0; i < producer.dims.size(); ++i) moved = ir::substitute(moved, static_cast<int>(i), ir::make_index(kAxis + static_cast<int>(i)));
  reader.body = ir::rewrite(reader.body, [&](const ExprPtr& x) -> ExprPtr {
    if (x->kind != Ek::Load || x->operand != slot) return nullptr;
    ExprPtr here = moved;
    for (size_t i = 0; i < x->args.size(); ++i) here = ir::substitute(here, kAxis + static_cast<int>(i), x->args[i]);
    return here;
  });
  tidy_operands(reader);
}

// inline_into with a memory: the layers of a model share their bodies.
class Fuser {
 public:
  void operator()(ir::Value& reader, int slot, const ir::Value& producer) {
    std::vector<int> all = reader.operands;
    all.insert(all.end(), producer.operands.begin(), producer.operands.end());
    auto [it, fresh] = known_.try_emplace({reader.kind, bodies(reader), producer.body, slot, pattern(all), producer.dims.size()});
    if (fresh) {
      ir::Value numbered = reader, source = producer;
      const std::vector<int>& numbers = std::get<4>(it->first);
      numbered.operands.assign(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(reader.operands.size()));
      source.operands.assign(numbers.begin() + static_cast<std::ptrdiff_t>(reader.operands.size()), numbers.end());
      inline_into(numbered, slot, source);
      it->second = {bodies(numbered), numbered.operands};
    }
    set_bodies(reader, it->second.first);
    reader.operands.clear();
    for (int i : it->second.second) reader.operands.push_back(all[static_cast<size_t>(i)]);
  }

 private:
  std::map<std::tuple<ir::ValueKind, Bodies, ExprPtr, int, std::vector<int>, size_t>, std::pair<Bodies, std::vector<int>>> known_;
};

}  // namespace

void fuse(ir::Function& f) {
  std::vector<int> uses = use_counts(f);
  Fuser inline_producer;
  Sharer share;
  for (ir::Value& v : f.values) {
    if (v.kind != ir::ValueKind::Compute && v.kind != ir::ValueKind::Scatter) continue;
    share(v);
    bool changed = true;
    while (changed) {
      changed = false;
      for (size_t slot = 0; slot < v.operands.size() && !changed; ++slot) {
        const ir::Value& p = f.values[v.operands[slot]];
        if (uses[p.id] != 1 || std::count(v.operands.begin(), v.operands.end(), p.id) != 1 || !wanted(p, v, static_cast<int>(slot))) continue;
        if (p.kind != ir::ValueKind::Compute) continue;
        // The producer's operands gain this reader; the producer itself dies.
        for (int o : p.operands) ++uses[o];
        --uses[p.id];
        ir::Value producer = p;
        inline_producer(v, static_cast<int>(slot), producer);
        for (int o : producer.operands) --uses[o];
        changed = true;
      }
    }
  }
  eliminate_dead(f);
}

}  // namespace lumen::passes
