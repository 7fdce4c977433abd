// Builder: writes a loop IR kernel from top to bottom. Ops append to the innermost open loop or branch.
#pragma once
#include <functional>
#include <string>

#include "compiler/loops/loop_ir.h"

namespace lumen::loops {

class Builder {
 public:
  explicit Builder(std::string name);
  Kernel take() { return std::move(k_); }
  Kernel& kernel() { return k_; }

  int buffer(std::string name, BufferKind kind, int64_t bytes = 0);
  int table(std::vector<uint8_t> data);  // equal tables are one buffer
  Reg scalar(const std::string& name);  // an I64 argument; the same register when asked again
  Reg begin() const { return k_.begin; }
  Reg end() const { return k_.end; }

  Reg reg(Ty type, int lanes, std::string hint = "");  // an unassigned register: assign with `set`
  void set(Reg dst, Reg src) { emit(LOp::Mov, dst, {src}); }
  void set_op(Reg dst, LOp op, std::initializer_list<Reg> src, int64_t imm = 0) { emit(op, dst, src, imm); }

  Reg i64(int64_t v);
  Reg i32(int64_t v, int lanes);
  Reg f32(double v, int lanes);
  Reg op(LOp op, std::initializer_list<Reg> src, int64_t imm = 0);  // result type from the operands (see loop_ir.h's table)
  Reg add(Reg a, Reg b) { return op(LOp::Add, {a, b}); }
  Reg sub(Reg a, Reg b) { return op(LOp::Sub, {a, b}); }
  Reg mul(Reg a, Reg b) { return op(LOp::Mul, {a, b}); }
  Reg add_imm(Reg a, int64_t v);  // I64; folds v == 0
  Reg mul_imm(Reg a, int64_t v);  // I64; folds 0, 1 and powers of two
  Reg fma(Reg a, Reg b, Reg c) { return op(LOp::Fma, {a, b, c}); }
  Reg splat(Reg a, int lanes);
  Reg lut16(Reg a, std::vector<uint8_t> table);

  Reg load(Ty type, int lanes, DType mem, Address at, Reg count = {});
  Reg load_splat(Ty type, int lanes, DType mem, Address at);
  Reg load_pair(int lanes, DType mem, Address at);
  void store(Reg value, DType mem, Address at, Reg count = {});
  void prefetch(Address at);

  void for_(Reg lo, Reg hi, int64_t step, const std::function<void(Reg)>& body);
  void for_(int64_t lo, int64_t hi, int64_t step, const std::function<void(Reg)>& body) { for_(i64(lo), i64(hi), step, body); }
  void while_(Reg condition, const std::function<void()>& body);
  void if_(Reg condition, const std::function<void()>& then, const std::function<void()>& otherwise = {});
  void comment(std::string text);

  Ty type(Reg r) const { return k_.regs[r.id].type; }
  int lanes(Reg r) const { return k_.regs[r.id].lanes; }

 private:
  Stmt& emit(LOp op, Reg dst, std::initializer_list<Reg> src, int64_t imm = 0);
  Kernel k_;
  std::vector<std::vector<Stmt>*> open_;
};

}  // namespace lumen::loops
