// Makes the requantised activations that integer dot products read, one encoding for all readers of a tensor.
#include <algorithm>
#include <map>

#include "compiler/formats/layout.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/rebuild.h"

namespace lumen::passes {
using ir::Ek;
using ir::ExprPtr;

// Elements that may share an activation scale: as many as the weight's float scales span where integer sub-scales stand under
// them (they stay integers then), else one run of the finest float scale, at least 32.
static int group_for(const ir::IntForm& form) {
  int finest = form.block, integer = 0;
  for (const auto* levels : {&form.scale, &form.offset})
    for (const ir::ScaleLevel& l : *levels) {
      if (l.integer) integer = 1; else finest = std::min(finest, l.extent);
    }
  return integer ? finest : std::max(32, std::min(finest, 32));
}

void use_integer_dots(ir::Function& f, const std::function<ir::FormatRef(int group)>& activation, bool fine_results) {
  Rebuild r(f);
  Tidier tidy;
  // A value of x's dimensions: the body that `make` gives, of the index of each of its elements.
  auto elementwise = [&](int x, std::vector<int> operands, ir::FormatRef format, const std::string& name,
                         const std::function<ExprPtr(const std::vector<ExprPtr>&)>& make) {
    ir::Type t = r.next().values[x].type;
    t.format = std::move(format);
    std::vector<ExprPtr> at;
    std::vector<std::string> axes;
    for (int i = 0; i < t.rank(); ++i) {
      at.push_back(ir::make_index(i));
      axes.push_back("a" + std::to_string(i));
    }
    return ir::add_compute(r.next(), t, std::move(operands), axes, make(at), name + r.next().values[x].name);
  };
  std::map<std::pair<int, int>, int> encoded;  // (new id of the tensor, group) -> id
  auto encode = [&](int x, int group, const ir::FormatRef& act) {
    auto [it, fresh] = encoded.emplace(std::make_pair(x, group), -1);
    if (fresh) it->second = elementwise(x, {x}, act, "requantise.", [](const auto& at) { return ir::make_load(0, DType::F32, at); });
    return it->second;
  };
  // What the encoding `codes` of x leaves out.
  auto rest_of = [&](int x, int codes) {
    return elementwise(x, {x, codes}, nullptr, "rest.", [](const auto& at) {
      return ir::make_op(ir::Op::Sub, {ir::make_load(0, DType::F32, at), ir::make_load(1, DType::F32, at)});
    });
  };
  // The layers of a model share their bodies: what became of one, and the encodings it reads, by operand and group.
  struct Read {
    int operand, group;
    ir::FormatRef act;
    bool rest;  // of what the encoding before it leaves out
  };
  struct Turned {
    ExprPtr body;
    std::vector<Read> reads;
  };
  std::map<std::pair<ExprPtr, std::vector<int64_t>>, Turned> known;
  for (const ir::Value& v : r.old().values) {
    ir::Value c = r.remapped(v);
    if (c.kind == ir::ValueKind::Compute) {
      bool fine = fine_results && std::count(r.old().results.begin(), r.old().results.end(), v.id) > 0;
      std::vector<int64_t> kind = signature(r.next(), c);
      kind.push_back(fine);
      auto [turned, fresh] = known.try_emplace({c.body, kind});
      int given = static_cast<int>(c.operands.size());
      if (fresh) turned->second.body = ir::rewrite(c.body, [&](const ExprPtr& e) -> ExprPtr {
        if (e->kind != Ek::Dot) return nullptr;
        const ir::Type wt = r.next().values[c.operands[e->operand2]].type;
        const ir::Type xt = r.next().values[c.operands[e->operand]].type;
        if (xt.format || !formats::has_integer_layout(wt)) return nullptr;
        int group = group_for(*wt.format->form);
        int64_t k = wt.dims.back().value;
        ir::FormatRef act = k % group == 0 ? activation(group) : nullptr;
        if (!act) return nullptr;
        auto dot = [&](bool rest) {
          turned->second.reads.push_back({e->operand, group, act, rest});
          size_t split = static_cast<size_t>(e->ival);
          return ir::make_dot(given + static_cast<int>(turned->second.reads.size()) - 1, {e->args.begin(), e->args.begin() + split}, e->operand2,
                              {e->args.begin() + split, e->args.end()});
        };
        ExprPtr first = dot(false);
        return fine ? ir::make_op(ir::Op::Add, {first, dot(true)}) : first;
      });
      for (const Read& read : turned->second.reads) {
        int x = c.operands[static_cast<size_t>(read.operand)];
        c.operands.push_back(encode(read.rest ? rest_of(x, c.operands.back()) : x, read.group, read.act));
      }
      c.body = turned->second.body;
      tidy(c);
    }
    r.replace(v.id, r.add(c));
  }
  r.finish();
}

}  // namespace lumen::passes
