// Random kernels: nested loops, branches, registers assigned again and again, more values than registers, loads and stores to
// shared memory; compiled code against the evaluator. A failure prints the kernel and its seed.
#include <gtest/gtest.h>

#include <cstdlib>

#include "backend/cpu/kernel_check.h"

namespace lumen::cpu {
namespace {

using namespace loops;

constexpr int kBytes = 4096;  // of each buffer

class Writer {
 public:
  Writer(uint32_t seed, int lanes) : rng_(seed), lanes_(lanes), b_("random") {}

  CheckRun make() {
    in_ = b_.buffer("in", BufferKind::Input);
    io_ = b_.buffer("io", BufferKind::InOut);
    tmp_ = b_.buffer("tmp", BufferKind::Scratch, kBytes);
    Reg n = b_.scalar("n");
    // Scratch memory starts with known contents.
    b_.for_(0, kBytes, 4, [&](Reg i) { b_.store(b_.i32(0x3F800000, 1), DType::I32, {tmp_, i}); });
    int pressure = rng_() % 3 ? 6 : 26;
    for (int i = 0; i < pressure; ++i) {
      ints_.push_back(b_.i32(static_cast<int32_t>(rng_()), lanes_));
      floats_.push_back(b_.f32(static_cast<double>(rng_() % 1000) / 64, lanes_));
    }
    for (int i = 0; i < 3; ++i) {
      ones_.push_back(b_.f32(static_cast<double>(rng_() % 100) / 16, 1));
      longs_.push_back(b_.i64(rng_() % 64));
    }
    longs_.push_back(n);
    for (int i = 0; i < pressure; ++i) {  // variables: assigned in many places
      int_vars_.push_back(variable(any(ints_)));
      float_vars_.push_back(variable(any(floats_)));
    }
    for (int i = 0; i < 4; ++i) long_vars_.push_back(variable(any(longs_)));
    block(30, 3);
    for (size_t i = 0; i < float_vars_.size(); ++i) b_.store(float_vars_[i], DType::F32, {io_, {}, {}, static_cast<int64_t>(i % 16) * 64});
    for (size_t i = 0; i < int_vars_.size(); ++i)
      b_.store(int_vars_[i], DType::I32, {io_, {}, {}, 1024 + static_cast<int64_t>(i % 16) * 64});
    for (size_t i = 0; i < long_vars_.size(); ++i) b_.store(long_vars_[i], DType::I64, {io_, {}, {}, 2048 + static_cast<int64_t>(i) * 8});
    CheckRun run{
        b_.take(), {random_floats(rng_, kBytes / 4, false), random_floats(rng_, kBytes / 4, false)}, {static_cast<int64_t>(rng_() % 7)}, 1};
    run.ulps = 0.1;
    return run;
  }

 private:
  Reg any(const std::vector<Reg>& from) { return from[rng_() % from.size()]; }
  Reg variable(Reg value) {
    Reg r = b_.reg(b_.type(value), b_.lanes(value));
    b_.set(r, value);
    return r;
  }
  Reg an_int() { return any(rng_() % 2 ? ints_ : int_vars_); }
  Reg a_float() { return any(rng_() % 2 ? floats_ : float_vars_); }
  Reg a_long() { return any(rng_() % 2 ? longs_ : long_vars_); }

  Address place(int bytes, bool writable) {
    Address a;
    a.buffer = writable ? (rng_() % 2 ? io_ : tmp_) : rng_() % 3 == 0 ? in_ : rng_() % 2 ? io_ : tmp_;
    int64_t room = kBytes - 1024 - bytes;
    a.disp = rng_() % static_cast<uint64_t>(room);
    if (rng_() % 2) a.offset = b_.op(LOp::And, {a_long(), b_.i64(511)});
    if (rng_() % 3 == 0) a.offset2 = b_.mul_imm(b_.op(LOp::And, {a_long(), b_.i64(63)}), 8);
    return a;
  }

  void block(int statements, int depth) {
    auto ints = ints_, floats = floats_, longs = longs_, ones = ones_;  // what is defined inside is not seen outside
    for (int i = 0; i < statements; ++i) statement(depth);
    ints_ = ints;
    floats_ = floats;
    longs_ = longs;
    ones_ = ones;
  }

  void statement(int depth) {
    switch (rng_() % 16) {
      case 0: case 1: ints_.push_back(int_op()); break;
      case 2: case 3: case 4: floats_.push_back(float_op()); break;
      case 5: longs_.push_back(long_op()); break;
      case 6: b_.set(any(int_vars_), rng_() % 2 ? int_op() : an_int()); break;
      case 7: case 8: b_.set(any(float_vars_), rng_() % 4 ? float_op() : a_float()); break;
      case 9: b_.set(any(long_vars_), rng_() % 2 ? long_op() : a_long()); break;
      case 10: load(); break;
      case 11: store(); break;
      case 12: ones_.push_back(one_op()); break;
      default:
        if (depth) nest(depth);
        break;
    }
  }

  void nest(int depth) {
    int size = static_cast<int>(rng_() % 10) + 2;
    if (rng_() % 2) {
      Reg hi = rng_() % 2 ? b_.i64(rng_() % 6) : b_.op(LOp::And, {a_long(), b_.i64(7)});
      b_.for_(b_.i64(rng_() % 3), hi, 1 + rng_() % 2, [&](Reg i) {
        auto longs = longs_;
        longs_.push_back(i);
        block(size, depth - 1);
        longs_ = longs;
      });
      return;
    }
    Reg condition = rng_() % 4 ? b_.op(rng_() % 2 ? LOp::CmpLt : LOp::CmpEq, {a_long(), a_long()}) : a_long();
    if (rng_() % 2) b_.if_(condition, [&] { block(size, depth - 1); });
    else b_.if_(condition, [&] { block(size, depth - 1); }, [&] { block(size, depth - 1); });
  }

  Reg int_op() {
    static const LOp kTwo[] = {LOp::Add,    LOp::Sub,    LOp::Mul,     LOp::Min,    LOp::Max,   LOp::And,   LOp::Or,   LOp::Xor,
                               LOp::AndNot, LOp::AddI16, LOp::MaddUBS, LOp::MaddWD, LOp::CmpLt, LOp::CmpLe, LOp::CmpEq};
    switch (rng_() % 7) {
      case 0: return b_.op(LOp::Shl, {an_int()}, rng_() % 32);
      case 1: return b_.op(LOp::Dot4, {an_int(), an_int(), an_int()});
      case 2: return b_.op(LOp::Select, {b_.op(LOp::CmpLt, {an_int(), an_int()}), an_int(), an_int()});
      case 3: return b_.splat(a_long(), lanes_);
      case 4:
        return b_.lut16(b_.op(LOp::And, {an_int(), b_.i32(0x0F0F0F0F, lanes_)}), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 200});
      default: return b_.op(kTwo[rng_() % std::size(kTwo)], {an_int(), an_int()});
    }
  }

  Reg float_op() {
    static const LOp kTwo[] = {LOp::Add, LOp::Sub, LOp::Mul, LOp::Min, LOp::Max};
    switch (rng_() % 8) {
      case 0: return b_.op(LOp::Neg, {a_float()});
      case 1: return b_.op(LOp::Abs, {a_float()});
      case 2: return b_.splat(any(ones_), lanes_);
      case 3: return b_.op(LOp::Select, {b_.op(LOp::CmpLt, {a_float(), a_float()}), a_float(), a_float()});
      case 4: case 5: return b_.fma(a_float(), a_float(), a_float());
      case 6: return b_.op(LOp::CvtF, {an_int()});
      default: return b_.op(kTwo[rng_() % std::size(kTwo)], {a_float(), a_float()});
    }
  }

  Reg one_op() {
    switch (rng_() % 4) {
      case 0: return b_.op(LOp::HMax, {b_.op(LOp::CvtF, {an_int()})});
      case 1: return b_.op(LOp::Lane, {a_float()}, rng_() % static_cast<uint64_t>(lanes_));
      case 2: return b_.load(Ty::F32, 1, DType::F32, place(4, false));
      default: return b_.fma(any(ones_), any(ones_), any(ones_));
    }
  }

  Reg long_op() {
    static const LOp kTwo[] = {LOp::Add, LOp::Sub, LOp::Mul, LOp::Min, LOp::Max, LOp::And, LOp::Or, LOp::Xor, LOp::CmpLt, LOp::CmpLe};
    switch (rng_() % 6) {
      case 0: return b_.op(LOp::Shl, {a_long()}, rng_() % 5);
      case 1: return b_.op(LOp::Select, {a_long(), a_long(), a_long()});
      case 2: return b_.op(rng_() % 2 ? LOp::Div : LOp::Mod, {a_long(), b_.i64(1 + static_cast<int64_t>(rng_() % 40))});
      case 3: return b_.mul_imm(a_long(), static_cast<int64_t>(rng_() % 200));
      default: return b_.op(kTwo[rng_() % std::size(kTwo)], {a_long(), a_long()});
    }
  }

  void load() {
    switch (rng_() % 5) {
      case 0: ints_.push_back(b_.load(Ty::I32, lanes_, rng_() % 2 ? DType::I8 : DType::U16, place(4 * lanes_, false))); break;
      case 1: ints_.push_back(b_.load_splat(Ty::I32, lanes_, DType::I32, place(4, false))); break;
      case 2: floats_.push_back(b_.load_splat(Ty::F32, lanes_, DType::F32, place(4, false))); break;
      case 3:
        ints_.push_back(
            b_.load(Ty::I32, lanes_, DType::I32, place(4 * lanes_, false), rng_() % 2 ? b_.op(LOp::And, {a_long(), b_.i64(15)}) : Reg{}));
        break;
      default: floats_.push_back(b_.load(Ty::F32, lanes_, DType::F32, place(4 * lanes_, false))); break;
    }
  }

  void store() {
    if (rng_() % 2) b_.store(a_float(), DType::F32, place(4 * lanes_, true));
    else
      b_.store(an_int(), rng_() % 2 ? DType::I32 : DType::I16, place(4 * lanes_, true),
               rng_() % 3 ? Reg{} : b_.op(LOp::And, {a_long(), b_.i64(15)}));
  }

  std::mt19937 rng_;
  int lanes_;
  Builder b_;
  int in_ = 0, io_ = 0, tmp_ = 0;
  std::vector<Reg> ints_, floats_, ones_, longs_, int_vars_, float_vars_, long_vars_;
};

void hint_all(std::vector<Stmt>& body) {
  for (Stmt& s : body) {
    s.unroll_hint = s.kind == Stmt::For;
    hint_all(s.body);
    hint_all(s.otherwise);
  }
}

TEST(Random, Kernels) {
  const char* asked = std::getenv("LUMEN_SEED");  // one seed; or as many as LUMEN_ROUNDS says
  const char* rounds = std::getenv("LUMEN_ROUNDS");
  uint32_t first = asked ? static_cast<uint32_t>(std::atoi(asked)) : 0, last = asked    ? first + 1
                                                                               : rounds ? static_cast<uint32_t>(std::atoi(rounds))
                                                                                        : 150;
  for (uint32_t seed = first; seed < last; ++seed)
    for (const std::string& level : levels()) {
      int lanes = seed % 5 == 4 ? 4 : seed % 7 == 6 ? 8 : target(level).machine().lanes;
      CheckRun run = Writer(seed, lanes).make();
      if (seed % 2) hint_all(run.kernel.body);
      std::string why = check(run, level);
      ASSERT_EQ(why, "") << "seed " << seed;
    }
}

}  // namespace
}  // namespace lumen::cpu
