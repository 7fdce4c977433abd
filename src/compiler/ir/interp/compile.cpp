// Compiles expressions into a Program: places every node at the outermost loop level it may stand at, and chooses which loop
// runs over lanes. A reduction that does not depend on the lanes' axis runs over lanes itself; one that does is a scalar loop.
// A node that can fail (loads, divisions, tables) never leaves the reduction it stands in further than to just before it, where
// it runs only if the range is not empty.
#include <algorithm>
#include <unordered_map>

#include "base/assert.h"
#include "compiler/ir/interp/program.h"
#include "compiler/ir/scalar.h"

namespace lumen::ir::interp {
namespace {

constexpr int kBlockVar = -1;  // stands for "the block at hand" among the free variables of an expression

struct ByStructure {
  size_t operator()(const ExprPtr& e) const { return e->hash; }
  bool operator()(const ExprPtr& a, const ExprPtr& b) const { return equal(a, b); }
};

struct Facts {
  std::vector<int> free;  // sorted
  bool can_fail = false;
};

struct Frame {
  std::vector<std::pair<int, int>> vars;  // variable -> register
  bool lane = false;
  bool barrier = false;
  int block = -1;
  std::unordered_map<ExprPtr, Src, ByStructure, ByStructure> done;
};

class Compiler {
 public:
  Compiler(const CompileInput& in, std::string& error) : in_(in), error_(error) {}

  Program run(const std::vector<ExprPtr>& outputs) {
    push({}, false, false);
    p_.levels.push_back(frames_[0].block);
    for (int a = 0; a < in_.rank; ++a) {
      int reg = new_reg();
      bool lane = in_.lanes && a + 1 == in_.rank;
      p_.axis_regs.push_back(reg);
      push({{a, reg}}, lane, false);
      p_.levels.push_back(frames_.back().block);
      def_block_[reg] = frames_.back().block;
    }
    if (in_.lanes) p_.lane_axis = in_.rank - 1;
    if (in_.fields_per_lane) {  // what follows from the lanes' numbers alone need not be done again for other blocks
      push({{kBlockVar, p_.axis_regs.back()}}, true, false);
      p_.levels.push_back(frames_.back().block);
    }
    top_ = static_cast<int>(frames_.size());
    for (const ExprPtr& e : outputs) p_.outputs.push_back(compile(e));
    return std::move(p_);
  }

 private:
  int new_reg() { return p_.registers++; }
  int new_block() {
    p_.blocks.emplace_back();
    return static_cast<int>(p_.blocks.size()) - 1;
  }
  void push(std::vector<std::pair<int, int>> vars, bool lane, bool barrier) {
    frames_.emplace_back();
    frames_.back().vars = std::move(vars);
    frames_.back().lane = lane;
    frames_.back().barrier = barrier;
    frames_.back().block = new_block();
    top_ = static_cast<int>(frames_.size());
  }
  void pop(int count) {
    for (int i = 0; i < count; ++i) frames_.pop_back();
    top_ = static_cast<int>(frames_.size());
  }

  const Facts& facts(const ExprPtr& e) {
    auto it = facts_.find(e.get());
    if (it != facts_.end()) return it->second;
    Facts f;
    if (e->kind == Ek::Index) f.free = {static_cast<int>(e->ival)};
    if (e->kind == Ek::Field && in_.fields_per_lane) f.free = {kBlockVar};
    f.can_fail = e->kind == Ek::Load || e->kind == Ek::Field || e->kind == Ek::Table || e->kind == Ek::Dot ||
                 (e->kind == Ek::Op && (e->op == Op::Div || e->op == Op::Mod) && !is_float(e->type));
    for (size_t i = 0; i < e->args.size(); ++i) {
      const Facts& a = facts(e->args[i]);
      f.can_fail |= a.can_fail;
      for (int v : a.free) {
        bool bound = e->kind == Ek::Reduce && v == e->ival && (i == 2 || i == 3);
        if (!bound && std::find(f.free.begin(), f.free.end(), v) == f.free.end()) f.free.push_back(v);
      }
    }
    return facts_.emplace(e.get(), std::move(f)).first->second;
  }

  // The innermost frame below top_ that binds v, or -1.
  int binder(int v) const {
    for (int i = top_ - 1; i >= 0; --i)
      for (const auto& [var, reg] : frames_[i].vars)
        if (var == v) return i;
    return -1;
  }
  // The lane frame that e's value varies over, or -1.
  int lane_frame(const ExprPtr& e) {
    for (int v : facts(e).free) {
      int f = binder(v);
      if (f >= 0 && frames_[f].lane) return f;
    }
    return -1;
  }

  int emit(const Frame& frame, Instr i) {
    i.dst = new_reg();
    def_block_[i.dst] = frame.block;
    p_.blocks[frame.block].push_back(i);
    return i.dst;
  }

  Src constant(DType type, int64_t iv, float fv) {
    for (const Program::Constant& c : p_.constants)
      if (c.type == type && c.i == iv && std::bit_cast<uint32_t>(c.f) == std::bit_cast<uint32_t>(fv)) return {c.reg, false};
    int reg = new_reg();
    p_.constants.push_back({reg, type, iv, fv});
    return {reg, false};
  }

  Src compile(const ExprPtr& e) {
    switch (e->kind) {
      case Ek::Int:
        return constant(e->type, e->ival, 0);
      case Ek::Float:
        return constant(DType::F32, 0, static_cast<float>(e->fval));
      case Ek::Extent: {
        for (const auto& [symbol, value] : in_.symbols)
          if (symbol == e->symbol) return constant(DType::I32, wrap(value, DType::I32), 0);
        if (error_.empty()) error_ = "no value for the symbol " + e->symbol;
        return constant(DType::I32, 0, 0);
      }
      case Ek::Index: {
        int f = binder(static_cast<int>(e->ival));
        LUMEN_ASSERT(f >= 0);
        for (const auto& [var, reg] : frames_[f].vars)
          if (var == e->ival) return {reg, frames_[f].lane};
        return {};
      }
      default:
        return place(e);
    }
  }

  // Finds the frame for e, compiles it there.
  Src place(const ExprPtr& e) {
    const Facts& f = facts(e);
    int outer = 0;
    for (int v : f.free) {
      int b = binder(v);
      LUMEN_ASSERT(b >= 0);
      outer = std::max(outer, b);
    }
    int at = outer;
    if (f.can_fail)
      for (int i = outer + 1; i < top_; ++i)
        if (frames_[i].barrier) at = i;
    for (int i = outer; i <= at; ++i) {
      auto it = frames_[i].done.find(e);
      if (it != frames_[i].done.end()) return it->second;
    }
    // Frames above `at` are set aside: what is compiled now must not see their variables, and they must survive.
    std::vector<Frame> aside(std::make_move_iterator(frames_.begin() + at + 1), std::make_move_iterator(frames_.end()));
    int old_top = top_;
    frames_.resize(at + 1);
    top_ = at + 1;
    Src s = build(e);
    LUMEN_ASSERT(static_cast<int>(frames_.size()) == at + 1);
    frames_[at].done.emplace(e, s);
    for (Frame& fr : aside) frames_.push_back(std::move(fr));
    top_ = old_top;
    return s;
  }

  // The register of s as a value a lane.
  int splat(Src s, DType type) {
    if (s.vec) return s.reg;
    auto def = def_block_.find(s.reg);
    if (def == def_block_.end()) return s.reg;  // a constant
    auto it = splats_.find(s.reg);
    if (it != splats_.end()) return it->second;
    Instr i;
    i.kind = Ik::Splat;
    i.type = i.from = type;
    i.src[0] = s.reg;
    i.dst = new_reg();
    p_.blocks[def->second].push_back(i);
    splats_[s.reg] = i.dst;
    return i.dst;
  }

  Src build(const ExprPtr& e) {
    Instr i;
    i.type = e->type;
    i.vec = lane_frame(e) >= 0;
    switch (e->kind) {
      case Ek::Op:
      case Ek::Cast:
      case Ek::Bitcast: {
        i.kind = e->kind == Ek::Op ? Ik::Op : e->kind == Ek::Cast ? Ik::Cast : Ik::Bitcast;
        i.op = e->op;
        i.from = e->kind == Ek::Op && e->op == Op::Select ? e->type : e->args[0]->type;
        for (size_t k = 0; k < e->args.size(); ++k) {
          Src s = compile(e->args[k]);
          i.src[k] = i.vec ? splat(s, e->args[k]->type) : s.reg;
        }
        return {emit(frames_.back(), i), i.vec};
      }
      case Ek::Load: {
        i.kind = Ik::Load;
        p_.loads.push_back(access(e->operand, e->args));
        i.aux = static_cast<int>(p_.loads.size()) - 1;
        return {emit(frames_.back(), i), i.vec};
      }
      case Ek::Field: {
        i.kind = Ik::Field;
        int blocks = binder(kBlockVar);
        FieldRead r{static_cast<int>(e->ival), compile(e->args[0]), blocks >= 0 && frames_[blocks].lane};
        p_.fields.push_back(r);
        i.aux = static_cast<int>(p_.fields.size()) - 1;
        return {emit(frames_.back(), i), i.vec};
      }
      case Ek::Table: {
        i.kind = Ik::Table;
        TableRead r{e->table, compile(e->args[0])};
        p_.tables.push_back(r);
        i.aux = static_cast<int>(p_.tables.size()) - 1;
        return {emit(frames_.back(), i), i.vec};
      }
      case Ek::Dot: {
        i.kind = Ik::Dot;
        std::vector<ExprPtr> x(e->args.begin(), e->args.begin() + e->ival), w(e->args.begin() + e->ival, e->args.end());
        Access a = access(e->operand, x), b = access(e->operand2, w);
        p_.dots.emplace_back(std::move(a), std::move(b));
        i.aux = static_cast<int>(p_.dots.size()) - 1;
        return {emit(frames_.back(), i), i.vec};
      }
      case Ek::Reduce:
        return build_reduce(e, i);
      default:
        LUMEN_ASSERT(!"leaves are handled before");
        return {};
    }
  }

  Access access(int operand, const std::vector<ExprPtr>& index) {
    Access a;
    a.operand = operand;
    bool outer_uniform = true;
    for (size_t k = 0; k < index.size(); ++k) {
      a.index.push_back(compile(index[k]));
      if (k + 1 < index.size()) outer_uniform &= !a.index.back().vec;
    }
    a.contiguous = outer_uniform && !index.empty() && counts_up(index.back());
    return a;
  }
  // The lanes' variable itself, or it plus something uniform.
  bool counts_up(const ExprPtr& e) {
    if (e->kind == Ek::Index) return lane_frame(e) >= 0;
    if (e->kind != Ek::Op || e->op != Op::Add) return false;
    bool left = lane_frame(e->args[0]) >= 0, right = lane_frame(e->args[1]) >= 0;
    return left != right && counts_up(left ? e->args[0] : e->args[1]);
  }

  Src build_reduce(const ExprPtr& e, Instr i) {
    int lane = lane_frame(e);
    bool softmax = e->reduction == Reduction::SoftmaxSum;
    if (i.vec) {
      bool per_lane = lane_frame(e->args[0]) >= 0 || lane_frame(e->args[1]) >= 0;
      // The score varies over the lanes' axis: lanes are taken one after the other.
      if (softmax) per_lane |= lane_frame(e->args[2]) >= 0 || (e->args.size() > 4 && lane_frame(e->args[4]) >= 0);
      if (per_lane) return build_lane_loop(e, i, lane);
    }
    Loop l;
    l.reduction = e->reduction;
    l.lo = compile(e->args[0]);
    l.hi = compile(e->args[1]);
    int var = static_cast<int>(e->ival);
    if (softmax) {
      i.kind = Ik::Softmax;
      l.lanes = !i.vec;
      if (e->args.size() > 4) l.sink = compile(e->args[4]);
      l.value = loop_body(e->args[2], var, true, l.pre, l.body, l.var);
      l.weighted = loop_body(e->args[3], var, !i.vec, l.value_pre, l.value_body, l.value_var);
    } else if (is_sum_product(*e)) {
      i.kind = Ik::SumProduct;
      push({}, false, true);
      l.pre = frames_.back().block;
      l.a = row_access(e->args[2]->args[0], var, e->args[0]);
      l.b = row_access(e->args[2]->args[1], var, e->args[0]);
      pop(1);
    } else {
      i.kind = Ik::Reduce;
      l.lanes = !i.vec;
      l.value = loop_body(e->args[2], var, l.lanes, l.pre, l.body, l.var);
    }
    p_.loops.push_back(std::move(l));
    i.aux = static_cast<int>(p_.loops.size()) - 1;
    return {emit(frames_.back(), i), i.vec};
  }

  Src loop_body(const ExprPtr& body, int var, bool lanes, int& pre, int& block, int& reg) {
    push({}, false, true);
    pre = frames_.back().block;
    reg = new_reg();
    push({{var, reg}}, lanes, false);
    block = frames_.back().block;
    def_block_[reg] = block;
    Src s = compile(body);
    pop(2);
    return s;
  }

  Src build_lane_loop(const ExprPtr& e, Instr i, int lane) {
    i.kind = Ik::LaneLoop;
    Loop l;
    l.lane_var = frames_[lane].vars[0].second;
    l.var = new_reg();
    std::vector<std::pair<int, int>> vars = frames_[lane].vars;
    bool axis = lane == in_.rank || lane == in_.rank + 1;
    if (in_.fields_per_lane && axis) vars = {{in_.rank - 1, 0}, {kBlockVar, 0}};
    for (auto& v : vars) v.second = l.var;
    push(std::move(vars), false, false);
    l.body = frames_.back().block;
    def_block_[l.var] = l.body;
    l.value = compile(e);
    LUMEN_ASSERT(!l.value.vec);
    pop(1);
    p_.loops.push_back(std::move(l));
    i.aux = static_cast<int>(p_.loops.size()) - 1;
    return {emit(frames_.back(), i), true};
  }

  // sum over r of load[…, r + …] * load[…, r + …], both f32, nothing else depending on r.
  bool is_sum_product(const Expr& e) {
    const Expr& m = *e.args[2];
    if (e.reduction != Reduction::Sum || m.kind != Ek::Op || m.op != Op::Mul || m.type != DType::F32) return false;
    auto row = [&](const ExprPtr& a) {
      if (a->kind != Ek::Load || a->args.empty()) return false;
      int var = static_cast<int>(e.ival);
      for (size_t k = 0; k + 1 < a->args.size(); ++k)
        if (uses_index(a->args[k], var)) return false;
      const Expr& last = *a->args.back();
      auto is_var = [&](const Expr& x) { return x.kind == Ek::Index && x.ival == var; };
      if (is_var(last)) return true;
      if (last.kind != Ek::Op || last.op != Op::Add) return false;
      return (is_var(*last.args[0]) && !uses_index(last.args[1], var)) || (is_var(*last.args[1]) && !uses_index(last.args[0], var));
    };
    return row(m.args[0]) && row(m.args[1]);
  }
  Access row_access(const ExprPtr& load, int var, const ExprPtr& lo) {
    std::vector<ExprPtr> index = load->args;
    index.back() = substitute(index.back(), var, lo);
    kept_.push_back(index.back());
    return access(load->operand, index);
  }

  const CompileInput& in_;
  std::string& error_;
  Program p_;
  std::vector<Frame> frames_;
  int top_ = 0;
  std::unordered_map<const Expr*, Facts> facts_;
  std::vector<ExprPtr> kept_;  // made here, named in facts_ by address
  std::unordered_map<int, int> def_block_, splats_;
};

}  // namespace

Program compile(const std::vector<ExprPtr>& outputs, const CompileInput& in, std::string& error) {
  return Compiler(in, error).run(outputs);
}

}  // namespace lumen::ir::interp
