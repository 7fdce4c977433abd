// A walk in program order with a table of available expressions, entries of which end with their statement list.
#include "backend/cpu/simplify.h"

#include <bit>
#include <map>
#include <optional>
#include <tuple>

#include "backend/cpu/ir_walk.h"

namespace lumen::cpu {
namespace {

using namespace loops;

struct Key {
  LOp op;
  Ty type;
  int lanes, a, b, c;
  int64_t imm;
  uint64_t fimm;
  std::vector<uint8_t> table;
  auto tied() const { return std::tie(op, type, lanes, a, b, c, imm, fimm, table); }
  bool operator<(const Key& o) const { return tied() < o.tied(); }
};

// base + offset; without base: a constant.
struct Linear {
  Reg base;
  int64_t offset = 0;
};

int64_t wrap_add(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
int64_t wrap_mul(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); }
int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// The value of an I64 op of constants; nothing where it must not be folded.
std::optional<int64_t> fold_long(const Stmt& s, int64_t a, int64_t b) {
  switch (s.op) {
    case LOp::Min: return a < b ? a : b;
    case LOp::Max: return a > b ? a : b;
    case LOp::And: return a & b;
    case LOp::Or: return a | b;
    case LOp::Xor: return a ^ b;
    case LOp::ShrU: return static_cast<int64_t>(static_cast<uint64_t>(a) >> s.imm);
    case LOp::ShrS: return a >> s.imm;
    case LOp::CmpEq: return a == b;
    case LOp::CmpLt: return a < b;
    case LOp::CmpLe: return a <= b;
    case LOp::Div: if (b > 0) return floor_div(a, b); break;
    case LOp::Mod: if (b > 0) return a % b + (a % b < 0 ? b : 0); break;
    default: break;
  }
  return std::nullopt;
}

class Simplifier {
 public:
  explicit Simplifier(Kernel& k) : k_(k), defs_(count_defs(k)) { grow(); }

  void run() {
    std::vector<Stmt> body = block(k_.body);
    k_.body = std::move(constants_);
    for (Stmt& s : body) k_.body.push_back(std::move(s));
  }

 private:
  bool single(Reg r) const { return defs_[r.id] == 1; }
  Ty type(Reg r) const { return k_.regs[r.id].type; }
  int lanes(Reg r) const { return k_.regs[r.id].lanes; }

  void grow() {
    size_t n = k_.regs.size();
    defs_.resize(n, 1);
    same_.resize(n);
    linear_.resize(n);
    def_.resize(n);
  }
  Reg fresh(Ty type, int lanes, std::string hint = "") {
    k_.regs.push_back({type, lanes, std::move(hint)});
    grow();
    return Reg{static_cast<int>(k_.regs.size()) - 1};
  }

  // The register that stands for `r` since its own assignment was dropped.
  Reg resolve(Reg r) const { return r && same_[r.id] ? same_[r.id] : r; }
  void forget(Reg r, Reg instead) { same_[r.id] = instead; }

  Linear linear(Reg r) const { return linear_[r.id] ? *linear_[r.id] : Linear{r, 0}; }
  bool is_const(Reg r) const { return linear_[r.id] && !linear_[r.id]->base; }

  Reg constant(int64_t v) {
    auto [it, made] = longs_.try_emplace(v);
    if (made) {
      it->second = fresh(Ty::I64, 1);
      Stmt s;
      s.dst = it->second;
      s.imm = v;
      constants_.push_back(s);
      linear_[it->second.id] = Linear{{}, v};
    }
    return it->second;
  }

  Key key(const Stmt& s, Ty type, int lanes) const {
    return {s.op, type, lanes, s.src[0].id, s.src[1].id, s.src[2].id, s.imm, std::bit_cast<uint64_t>(s.fimm), s.table};
  }

  // The register that holds the value of pure op `s`: one that has it already, or s.dst (a fresh one where absent) after
  // appending s to the list being built.
  Reg available(Stmt s, Ty type, int lanes) {
    for (Reg r : s.src)
      if (r && !single(r)) {
        if (!s.dst) s.dst = fresh(type, lanes);
        out_->push_back(s);
        return s.dst;
      }
    auto [it, made] = table_.try_emplace(key(s, type, lanes));
    if (made) {
      if (!s.dst) s.dst = fresh(type, lanes);
      it->second = s.dst;
      added_.push_back(it);
      def_[s.dst.id] = s;
      out_->push_back(std::move(s));
    }
    return it->second;
  }
  Reg available_long(LOp op, Reg a, Reg b, int64_t imm = 0) {
    if (b && (op == LOp::Add || op == LOp::Mul) && b.id < a.id) std::swap(a, b);
    Stmt s;
    s.op = op;
    s.src[0] = a;
    s.src[1] = b;
    s.imm = imm;
    return available(std::move(s), Ty::I64, 1);
  }

  std::vector<Stmt> block(const std::vector<Stmt>& body) {
    std::vector<Stmt> list;
    std::vector<Stmt>* outer = out_;
    out_ = &list;
    size_t mark = added_.size();
    for (const Stmt& s : body) statement(s);
    while (added_.size() > mark) {
      table_.erase(added_.back());
      added_.pop_back();
    }
    out_ = outer;
    return list;
  }

  void statement(Stmt s) {
    for_each_read(s, [&](Reg& r) { r = resolve(r); });
    if (s.kind == Stmt::If && is_const(s.src[0])) {  // entries of the branch may stay: it is always taken
      for (const Stmt& t : linear(s.src[0]).offset ? s.body : s.otherwise) statement(t);
      return;
    }
    if (s.kind == Stmt::For && is_const(s.src[0]) && is_const(s.src[1]) && linear(s.src[0]).offset >= linear(s.src[1]).offset) return;
    if (s.kind == Stmt::While && is_const(s.src[0]) && linear(s.src[0]).offset == 0) return;
    if (s.kind != Stmt::OpStmt) {
      s.body = block(s.body);
      s.otherwise = block(s.otherwise);
      out_->push_back(std::move(s));
      return;
    }
    if (!is_pure(s)) {
      shorten(s.at);
      out_->push_back(std::move(s));
      return;
    }
    if (!single(s.dst)) {
      out_->push_back(std::move(s));
      return;
    }
    if (s.op == LOp::Mov && single(s.src[0])) return forget(s.dst, s.src[0]);
    if (type(s.dst) == Ty::I64) return long_op(s);
    vector_op(std::move(s));
  }

  // Constants of the offsets go to the displacement; two offsets become one.
  void shorten(Address& at) {
    for (Reg* r : {&at.offset, &at.offset2}) {
      if (!*r || !single(*r)) continue;
      Linear l = linear(*r);
      at.disp = wrap_add(at.disp, l.offset);
      *r = l.base;
    }
    if (!at.offset) std::swap(at.offset, at.offset2);
    if (at.offset2 && single(at.offset) && single(at.offset2)) {  // a sum may be shared, leave loops and become a counter
      at.offset = available_long(LOp::Add, at.offset, at.offset2);
      at.offset2 = {};
    }
  }

  void define(const Stmt& s, Linear l) {
    if (!l.base) return forget(s.dst, constant(l.offset));
    if (l.offset == 0) return forget(s.dst, l.base);
    Reg r = available_long(LOp::Add, l.base, constant(l.offset));
    linear_[r.id] = l;
    forget(s.dst, r);
  }

  Linear times(Linear a, int64_t c) {
    if (c == 0) return {};
    Linear r{{}, wrap_mul(a.offset, c)};
    if (!a.base) return r;
    bool power = c > 0 && std::has_single_bit(static_cast<uint64_t>(c));
    if (c == 1) r.base = a.base;
    else if (power) r.base = available_long(LOp::Shl, a.base, {}, std::countr_zero(static_cast<uint64_t>(c)));
    else r.base = available_long(LOp::Mul, a.base, constant(c));
    return r;
  }

  void long_op(Stmt s) {
    if (s.op == LOp::Const) return define(s, {{}, s.imm});
    for (Reg r : s.src)
      if (r && (!single(r) || type(r) != Ty::I64)) return opaque(std::move(s));
    Linear a = s.src[0] ? linear(s.src[0]) : Linear{}, b = s.src[1] ? linear(s.src[1]) : Linear{};
    switch (s.op) {
      case LOp::Add:
        if (a.base && b.base) return define(s, {available_long(LOp::Add, a.base, b.base), wrap_add(a.offset, b.offset)});
        return define(s, {a.base ? a.base : b.base, wrap_add(a.offset, b.offset)});
      case LOp::Sub: {
        int64_t offset = wrap_add(a.offset, wrap_mul(b.offset, -1));
        if (a.base == b.base) return define(s, {{}, offset});
        if (!b.base) return define(s, {a.base, offset});
        if (a.base) return define(s, {available_long(LOp::Sub, a.base, b.base), offset});
        return opaque(std::move(s));
      }
      case LOp::Mul:
        if (!b.base) return define(s, times(a, b.offset));
        if (!a.base) return define(s, times(b, a.offset));
        return opaque(std::move(s));
      case LOp::Shl: return define(s, times(a, wrap_mul(1, static_cast<int64_t>(uint64_t{1} << s.imm))));
      case LOp::Select:
        if (!a.base) return forget(s.dst, s.src[a.offset ? 1 : 2]);
        return opaque(std::move(s));
      case LOp::Div:
        if (!b.base && b.offset == 1) return define(s, a);
        break;
      default: break;
    }
    if (!a.base && (!s.src[1] || !b.base))
      if (auto v = fold_long(s, a.offset, b.offset)) return define(s, {{}, *v});
    opaque(std::move(s));
  }

  void opaque(Stmt s) {
    Reg dst = s.dst;
    Reg r = available(std::move(s), type(dst), lanes(dst));
    if (!(r == dst)) forget(dst, r);
  }

  const Stmt* def(Reg r) const { return r && def_[r.id] ? &*def_[r.id] : nullptr; }

  void vector_op(Stmt s) {
    if (s.op == LOp::Splat) {
      const Stmt* d = def(s.src[0]);
      bool known = type(s.src[0]) == Ty::I64 && single(s.src[0]) && is_const(s.src[0]);
      if (known || (d && d->op == LOp::Const)) {
        s.imm = known ? linear(s.src[0]).offset : d->imm;
        s.fimm = known ? 0 : d->fimm;
        s.op = LOp::Const;
        s.src[0] = {};
      }
    }
    if (s.op == LOp::ToI32 && single(s.src[0]) && is_const(s.src[0])) {
      s.imm = linear(s.src[0]).offset;
      s.op = LOp::Const;
      s.src[0] = {};
    }
    if (s.op == LOp::Const) s.imm = static_cast<int32_t>(s.imm);
    if (s.op == LOp::Add || s.op == LOp::AddI16 || s.op == LOp::Or || s.op == LOp::Xor) {  // integer x + 0
      for (int i = 0; i < 2; ++i) {
        const Stmt* d = def(s.src[i]);
        if (type(s.dst) == Ty::I32 && d && d->op == LOp::Const && d->imm == 0 && single(s.src[1 - i])) return forget(s.dst, s.src[1 - i]);
      }
    }
    if (s.op == LOp::BitsF || s.op == LOp::BitsI) {
      const Stmt* d = def(s.src[0]);
      if (d && (d->op == LOp::BitsF || d->op == LOp::BitsI)) return forget(s.dst, d->src[0]);
    }
    opaque(std::move(s));
  }

  Kernel& k_;
  std::vector<int> defs_;
  std::vector<Reg> same_;
  std::vector<std::optional<Linear>> linear_;
  std::vector<std::optional<Stmt>> def_;  // of pure ops in the table
  std::map<int64_t, Reg> longs_;
  std::vector<Stmt> constants_;
  std::map<Key, Reg> table_;
  std::vector<std::map<Key, Reg>::iterator> added_;
  std::vector<Stmt>* out_ = nullptr;
};

}  // namespace

void simplify(Kernel& k) { Simplifier(k).run(); }

}  // namespace lumen::cpu
