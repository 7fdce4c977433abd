// Runs Programs. One Machine a thread; operands are shared between threads.
#pragma once
#include <string>
#include <vector>

#include "compiler/ir/interp/operand.h"
#include "compiler/ir/interp/program.h"

namespace lumen::ir::interp {

class Machine {
 public:
  Machine(const Program& p, const std::vector<Operand>* operands);

  // Format expressions: where fields are read.
  void set_format(const FormatType* f, int64_t row_k);
  const uint8_t* base = nullptr;   // the tensor, row or block at hand
  int64_t lane_base[kLanes] = {};  // bytes from base to each lane's block; [0] for uniform reads

  void run_level(int level, int n) { run_block(p_.levels[level], n); }
  void set_axis(int axis, int64_t v) { regs_[p_.axis_regs[axis]].i[0] = v; }
  void set_lanes(int64_t first, int n) {
    Vec& v = regs_[p_.axis_regs[p_.lane_axis]];
    for (int i = 0; i < n; ++i) v.i[i] = first + i;
  }
  Vec& axis_register(int axis) { return regs_[p_.axis_regs[axis]]; }
  const Vec& output(int i) const { return regs_[p_.outputs[i].reg]; }
  int output_step(int i) const { return p_.outputs[i].vec ? 1 : 0; }  // 0: lane 0 holds for all
  const std::string& error() const { return error_; }
  void clear_error() { error_.clear(); }

 private:
  void run_block(int block, int n);
  void run_load(const Instr& i, int n);
  void run_field(const Instr& i, int n);
  void run_table(const Instr& i, int n);
  void run_reduce(const Instr& i, int n);
  void run_softmax(const Instr& i, int n);
  void run_sum_product(const Instr& i, int n);
  void run_lane_loop(const Instr& i, int n);
  void run_dot(const Instr& i, int n);
  void dot_floats(const std::pair<Access, Access>& d, Vec& out, int n);
  void dot_codes(const std::pair<Access, Access>& d, Vec& out, int n);

  int64_t at(Src s, int lane) const { return regs_[s.reg].i[s.vec ? lane : 0]; }
  // Element number of the access's first `count` indices, checked; false and an error when out of range.
  bool offset(const Access& a, int count, int lane, int64_t& out);
  // k consecutive f32 values of a tensor row from element `first`; converts into `scratch` where they are stored otherwise.
  const float* floats(const Operand& o, int64_t first, int64_t k, std::vector<float>& scratch);
  bool row_start(const Access& a, int lane, int64_t k, int64_t& first);
  void fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

  const Program& p_;
  const std::vector<Operand>* operands_;
  const FormatType* format_ = nullptr;
  int64_t row_k_ = 0;
  std::vector<int64_t> plane_offsets_;
  std::vector<Vec> regs_;
  std::vector<float> scratch_[2];
  std::string error_;
};

// Elementwise instructions (vector.cpp). False: division by zero.
bool run_op(const Instr& i, Vec* regs, int n);
void run_cast(const Instr& i, Vec* regs, int n);
void run_bitcast(const Instr& i, Vec* regs, int n);

// Reads element `at` of an array of t into lane `lane`; writes it.
void read_element(DType t, const uint8_t* array, int64_t at, Vec& v, int lane);
void write_element(DType t, uint8_t* array, int64_t at, const Vec& v, int lane);

}  // namespace lumen::ir::interp
