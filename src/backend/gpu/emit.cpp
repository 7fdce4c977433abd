// Walks a kernel and fills in the dialect's patterns. Registers assigned once are names for values: the verifier lets such a
// register be read only inside the block that assigns it. The others are variables of the whole kernel.
#include "backend/gpu/emit.h"

#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <set>
#include <utility>

#include "backend/gpu/alignment.h"

namespace lumen::gpu {
namespace {
using loops::BufferKind;
using loops::Kernel;
using loops::LOp;
using loops::Reg;
using loops::Stmt;
using loops::Ty;

using Values = std::initializer_list<std::pair<char, std::string>>;  // what stands for $c

// $w takes a digit, for which the letters A … D stand in `values`.
std::string fill(std::string_view pattern, Values values) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '$' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    char key = pattern[++i];
    if (key == 'w') key = static_cast<char>('A' + (pattern[++i] - '0'));
    for (const auto& [k, v] : values)
      if (k == key) out += v;
  }
  return out;
}

bool mentions(const std::string& text, const std::string& name) {
  for (size_t at = text.find(name + "("); at != std::string::npos; at = text.find(name + "(", at + 1)) {
    char before = at == 0 ? ' ' : text[at - 1];
    if (!std::isalnum(static_cast<unsigned char>(before)) && before != '_') return true;
  }
  return false;
}

// Those of `all` that `text` or one of them calls, in order; $b replaced by `buffer`.
std::string called(const std::vector<Helper>& all, const std::string& buffer, const std::string& text) {
  std::vector<std::string> names, texts;
  for (const Helper& h : all) {
    names.push_back(fill(h.name, {{'b', buffer}}));
    texts.push_back(fill(h.text, {{'b', buffer}}));
  }
  std::vector<bool> wanted(all.size(), false);
  for (size_t i = all.size(); i-- > 0;) {  // callees come first: one pass from the end is enough
    wanted[i] = mentions(text, names[i]);
    for (size_t j = i + 1; j < all.size(); ++j) wanted[i] = wanted[i] || (wanted[j] && mentions(texts[j], names[i]));
  }
  std::string out;
  for (size_t i = 0; i < all.size(); ++i)
    if (wanted[i]) out += texts[i];
  return out;
}

class Emitter {
 public:
  Emitter(const Kernel& k, const Dialect& d)
      : k_(k), d_(d), zeros_(low_zero_bits(k)), assigned_(k.regs.size(), 0), constant_(k.regs.size(), nullptr) {}

  Result<Shader> run() {
    if (std::string wrong = verify(k_); !wrong.empty()) return Error{wrong};
    for (const loops::RegInfo& r : k_.regs)
      if (r.lanes != 1)
        return Error{"kernel " + k_.name + " has vectors of " + std::to_string(r.lanes) + " lanes, " + std::string(d_.name) +
                     " takes scalar kernels"};
    place_buffers();
    for (Reg r : k_.scalar_regs) ++assigned_[index(r)];
    survey(k_.body);
    for (bool again = true; again;) again = keep_constants(k_.body);
    block(k_.body, 1);
    if (!error_.empty()) return Error{"kernel " + k_.name + " in " + std::string(d_.name) + ": " + error_};
    return finish();
  }

 private:
  static size_t index(Reg r) { return static_cast<size_t>(r.id); }
  static std::string number(int64_t v) { return std::to_string(v); }
  void fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }

  // --- before the walk ------------------------------------------------------------------------------------------------
  struct Buffer {
    std::string name;
    Flavour flavour = Flavour::Plain;
    int64_t at = 0;  // Scratch: place in the invocation's slice
  };

  void place_buffers() {
    for (const loops::BufferInfo& b : k_.buffers) {
      Buffer out;
      if (b.kind == BufferKind::Scratch) {
        out = {"scratch", Flavour::Scratch, scratch_};
        scratch_ += (b.bytes + 15) / 16 * 16;
      } else if (b.kind == BufferKind::Table) {
        out.name = "table" + number(static_cast<int64_t>(buffers_.size()));
      } else {
        out.name = "b" + number(given_++);
      }
      buffers_.push_back(out);
    }
  }

  void survey(const std::vector<Stmt>& body) {
    for (const Stmt& s : body) {
      if (s.dst) {
        ++assigned_[index(s.dst)];
        constant_[index(s.dst)] = s.kind == Stmt::OpStmt && s.op == LOp::Const && assigned_[index(s.dst)] == 1 ? &s : nullptr;
        if (s.kind == Stmt::For && assigned_[index(s.dst)] > 1) fail("a loop whose counter is assigned elsewhere, too");
      }
      if (s.kind == Stmt::OpStmt && s.op == LOp::Store) {
        Buffer& b = buffers_[static_cast<size_t>(s.at.buffer)];
        bool whole = size_of(s.mem) == 4 && alignment(s.at, zeros_) == 4;
        if (b.flavour == Flavour::Plain && !whole) b.flavour = Flavour::Shared;
      }
      survey(s.body);
      survey(s.otherwise);
    }
  }

  // An operation on literals alone would be folded by the language's compiler, which may refuse overflow: such constants are
  // named values instead.
  bool keep_constants(const std::vector<Stmt>& body) {
    bool changed = false;
    for (const Stmt& s : body) {
      int n = s.kind == Stmt::OpStmt ? operand_count(s.op) : 0;
      bool all = n > 0 && s.op != LOp::Mov && s.op != LOp::Store;
      for (int i = 0; i < n; ++i) all = all && constant_[index(s.src[i])];
      for (int i = 0; i < n && all; ++i) {
        constant_[index(s.src[i])] = nullptr;
        changed = true;
      }
      changed |= keep_constants(s.body);
      changed |= keep_constants(s.otherwise);
    }
    return changed;
  }

  // --- values ---------------------------------------------------------------------------------------------------------
  std::string integer(int64_t v, bool wraps) {
    if (wraps) v = static_cast<int32_t>(static_cast<uint32_t>(v));
    if (v < INT32_MIN || v > INT32_MAX) {
      fail("the constant " + number(v) + " does not fit 32 bits");
      return "0";
    }
    if (v == INT32_MIN) return std::string(d_.least_int);
    return v < 0 ? fill(d_.negative_literal, {{'n', number(-v)}}) : fill(d_.int_literal, {{'n', number(v)}});
  }
  std::string real(double x) {
    float f = static_cast<float>(x);
    if (std::isnan(f)) return std::string(d_.not_a_number);
    if (std::isinf(f)) return fill(d_.infinity, {{'n', f < 0 ? "-" : ""}});
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", std::fabs(f));
    if (!std::strpbrk(text, ".e")) std::strcat(text, ".0");
    std::string literal = fill(d_.float_literal, {{'n', text}});
    return std::signbit(f) ? "(-" + literal + ")" : literal;
  }
  std::string literal(const Stmt& s) {
    Ty t = k_.regs[index(s.dst)].type;
    return t == Ty::F32 ? real(s.fimm) : integer(s.imm, t == Ty::I32);
  }
  std::string name(Reg r) { return "r" + number(r.id); }
  std::string value(Reg r) {
    const Stmt* c = constant_[index(r)];
    return c ? literal(*c) : name(r);
  }

  std::string address(const loops::Address& at, int64_t extra = 0) {
    int64_t disp = at.disp + extra + buffers_[static_cast<size_t>(at.buffer)].at;
    std::string sum;
    for (Reg r : {at.offset, at.offset2})
      if (r) sum += (sum.empty() ? "" : " + ") + value(r);
    if (disp || sum.empty()) sum += (sum.empty() ? "" : " + ") + integer(disp, false);
    return fill(d_.address, {{'0', sum}});
  }

  // "b0_u16_2": the function that reads `bytes` at this address, or stores them.
  std::string access(const Stmt& s, int bytes, const char* what) {
    int known = std::min(alignment(s.at, zeros_), bytes);
    return buffers_[static_cast<size_t>(s.at.buffer)].name + what + "_u" + number(bytes * 8) + "_" + number(known);
  }
  const Conversion* conversion(Ty t, DType m) const {
    for (const Conversion& c : d_.conversions)
      if (c.type == t && c.memory == m) return &c;
    return nullptr;
  }

  std::string load(const Stmt& s) {
    if (s.op == LOp::LoadPair) {
      std::string bits = access(s, 2, "") + "(" + address(s.at) + ")";
      return fill(s.mem == DType::I8 ? d_.pair_i8 : d_.pair_u8, {{'x', bits}});
    }
    const Conversion* c = conversion(k_.regs[index(s.dst)].type, s.mem);
    if (!c) {
      fail("no spelling for a load of " + std::string(lumen::name(s.mem)));
      return "0";
    }
    return fill(c->load, {{'x', access(s, size_of(s.mem), "") + "(" + address(s.at) + ")"}});
  }

  std::string operation(const Stmt& s) {
    if (s.op == LOp::Const) return literal(s);
    if (s.op == LOp::Iota) return integer(s.imm, true);
    if (s.op == LOp::Load || s.op == LOp::LoadSplat || s.op == LOp::LoadPair) return load(s);
    Ty t = k_.regs[index(operand_count(s.op) ? s.src[0] : s.dst)].type;
    unsigned bit = t == Ty::I64 ? kI64 : t == Ty::I32 ? kI32 : kF32;
    bool shift = s.op == LOp::Shl || s.op == LOp::ShrS || s.op == LOp::ShrU;
    for (const OpSpelling& o : d_.ops) {
      if (o.op != s.op || !(o.types & bit) || (shift && s.imm > 31)) continue;
      std::string a[3], w[4];
      for (int i = 0; i < operand_count(s.op); ++i) a[i] = value(s.src[i]);
      for (size_t i = 0; i < s.table.size() && i < 16; ++i) {
        if (i % 4 == 0) {
          char text[16];
          std::snprintf(text, sizeof text, "0x%02x%02x%02x%02xu", s.table[i + 3], s.table[i + 2], s.table[i + 1], s.table[i]);
          w[i / 4] = text;
        }
      }
      return fill(o.text,
                  {{'0', a[0]}, {'1', a[1]}, {'2', a[2]}, {'i', number(s.imm)}, {'A', w[0]}, {'B', w[1]}, {'C', w[2]}, {'D', w[3]}});
    }
    fail("no spelling for: " + std::string(loops::name(s.op)) + (shift ? " by " + number(s.imm) : ""));
    return "0";
  }

  // --- statements -----------------------------------------------------------------------------------------------------
  void line(int depth, const std::string& text) { body_ += std::string(static_cast<size_t>(depth) * 2, ' ') + text + "\n"; }

  void block(const std::vector<Stmt>& body, int depth) {
    for (const Stmt& s : body) statement(s, depth);
  }

  void statement(const Stmt& s, int depth) {
    switch (s.kind) {
      case Stmt::Comment:
        line(depth, "// " + s.text);
        return;
      case Stmt::OpStmt:
        op(s, depth);
        return;
      case Stmt::For: {
        std::string hi = value(s.src[1]);
        if (!constant_[index(s.src[1])] && assigned_[index(s.src[1])] > 1) {  // the bound is read once
          hi = "end" + number(s.dst.id);
          line(depth, fill(d_.let, {{'t', std::string(d_.integer)}, {'0', hi}, {'1', value(s.src[1])}}));
        }
        line(depth, fill(d_.for_, {{'0', name(s.dst)}, {'1', value(s.src[0])}, {'2', hi}, {'i', number(s.imm)}}));
        block(s.body, depth + 1);
        break;
      }
      case Stmt::While:
        line(depth, fill(d_.while_, {{'0', value(s.src[0])}}));
        block(s.body, depth + 1);
        break;
      case Stmt::If:
        line(depth, fill(d_.if_, {{'0', value(s.src[0])}}));
        block(s.body, depth + 1);
        if (!s.otherwise.empty()) {
          line(depth, std::string(d_.else_));
          block(s.otherwise, depth + 1);
        }
        break;
    }
    line(depth, "}");
  }

  void op(const Stmt& s, int depth) {
    if (s.op == LOp::Prefetch) return;
    if (s.op == LOp::Store) {
      const Conversion* c = conversion(k_.regs[index(s.src[0])].type, s.mem);
      if (!c || c->store.empty()) return fail("no spelling for a store of " + std::string(lumen::name(s.mem)));
      std::string call = access(s, size_of(s.mem), "_put") + "(" + address(s.at) + ", " + fill(c->store, {{'0', value(s.src[0])}}) + ");";
      return guarded(s, depth, call);
    }
    if (constant_[index(s.dst)]) return;  // its literal stands where it is used
    if (s.count) {                        // no lane taking part: zero, and nothing is read
      variables_.insert(s.dst.id);
      bool real_type = k_.regs[index(s.dst)].type == Ty::F32;
      line(depth, fill(d_.assign, {{'0', name(s.dst)}, {'1', real_type ? real(0) : integer(0, false)}}));
      return guarded(s, depth, fill(d_.assign, {{'0', name(s.dst)}, {'1', operation(s)}}));
    }
    bool once = assigned_[index(s.dst)] == 1;
    if (!once) variables_.insert(s.dst.id);
    line(depth, fill(once ? d_.let : d_.assign, {{'t', type(s.dst)}, {'0', name(s.dst)}, {'1', operation(s)}}));
  }
  void guarded(const Stmt& s, int depth, const std::string& text) {
    if (!s.count) return line(depth, text);
    line(depth, fill(d_.if_, {{'0', value(s.count)}}));  // 0 <= count
    line(depth + 1, text);
    line(depth, "}");
  }
  std::string type(Reg r) const { return std::string(k_.regs[index(r)].type == Ty::F32 ? d_.real : d_.integer); }

  // --- the whole text -------------------------------------------------------------------------------------------------
  Shader finish() {
    Shader out;
    std::string declarations, helpers;
    const BufferSpelling* spellings[] = {&d_.plain, &d_.shared, &d_.scratch};
    int binding = 0;
    auto declare = [&](size_t i) {  // false: never touched
      const BufferSpelling& how = *spellings[static_cast<int>(buffers_[i].flavour)];
      std::string calls = called(how.helpers, buffers_[i].name, body_);
      if (!calls.empty()) declarations += fill(how.declare, {{'b', buffers_[i].name}, {'n', number(binding)}, {'c', k_.buffers[i].name}});
      helpers += calls;
      return !calls.empty();
    };
    for (size_t i = 0; i < buffers_.size(); ++i) {
      if (!k_.buffers[i].given()) continue;
      out.used.push_back(declare(i));
      ++binding;
    }
    for (size_t i = 0; i < buffers_.size(); ++i) {
      if (k_.buffers[i].kind != BufferKind::Table || !declare(i)) continue;
      out.tables.push_back(k_.buffers[i].data);
      ++binding;
    }
    std::string own = scratch_ ? called(d_.scratch.helpers, "scratch", body_) : "";
    if (own.empty()) scratch_ = 0;  // none, or never touched
    if (scratch_) {
      declarations +=
          fill(d_.scratch.declare, {{'b', "scratch"}, {'n', number(binding++)}, {'c', number(scratch_) + " bytes for each invocation"}});
      helpers += own;
    }
    declarations += d_.launch_open;
    for (size_t i = 0; i < k_.scalars.size(); ++i)
      declarations += fill(d_.launch_scalar, {{'n', number(static_cast<int64_t>(i))}, {'c', k_.scalars[i]}});
    declarations += fill(d_.launch_close, {{'n', number(binding)}});
    std::string text =
        "// kernel " + k_.name + "\n" + declarations + called(d_.prelude, "", body_ + helpers) + helpers + std::string(d_.main_open);
    if (scratch_) text += fill(d_.main_scratch, {{'b', "scratch"}, {'n', number(scratch_ / 4)}});
    text += fill(d_.main_items, {{'0', name(k_.begin)}, {'1', name(k_.end)}});
    for (size_t i = 0; i < k_.scalars.size(); ++i)
      text += fill(d_.main_scalar, {{'0', name(k_.scalar_regs[i])}, {'n', number(static_cast<int64_t>(i))}});
    for (int id : variables_) text += "  " + fill(d_.variable, {{'t', type(Reg{id})}, {'0', name(Reg{id})}}) + "\n";
    out.text = text + body_ + std::string(d_.main_close);
    out.scratch_bytes = scratch_;
    out.launch_bytes = (8 + 4 * static_cast<int64_t>(k_.scalars.size()) + 15) / 16 * 16;
    return out;
  }

  const Kernel& k_;
  const Dialect& d_;
  std::vector<int> zeros_;
  std::vector<int> assigned_;          // how often each register is
  std::vector<const Stmt*> constant_;  // registers that are literals
  std::vector<Buffer> buffers_;
  std::set<int> variables_;
  int given_ = 0;
  int64_t scratch_ = 0;
  std::string body_, error_;
};

}  // namespace

Result<Shader> emit(const Kernel& kernel, const Dialect& dialect) { return Emitter(kernel, dialect).run(); }

}  // namespace lumen::gpu
