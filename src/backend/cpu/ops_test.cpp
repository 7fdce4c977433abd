// Every op of the table, at every width and level, against the evaluator, over random and edge values.
#include <gtest/gtest.h>

#include "backend/cpu/kernel_check.h"

namespace lumen::cpu {
namespace {

using namespace loops;

constexpr int kItems = 200;

int bytes_in(Ty t, int lanes) { return t == Ty::I64 ? 8 : 4 * lanes; }
DType stored(Ty t) { return t == Ty::I64 ? DType::I64 : t == Ty::I32 ? DType::I32 : DType::F32; }

struct Operand {
  Ty type;
  int lanes;
};

// One op over kItems items: operands loaded from a buffer each, the result stored.
using Make = std::function<Reg(Builder&, const std::vector<Reg>&)>;
Kernel around(const std::vector<Operand>& operands, const Make& make) {
  Builder b("one_op");
  std::vector<int> in;
  for (size_t i = 0; i < operands.size(); ++i) in.push_back(b.buffer("in" + std::to_string(i), BufferKind::Input));
  int out = b.buffer("out", BufferKind::Output);
  b.kernel().items = {{kItems, "", 1}};
  b.kernel().grain = 16;
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    std::vector<Reg> regs;
    for (size_t o = 0; o < operands.size(); ++o)
      regs.push_back(b.load(operands[o].type, operands[o].lanes, stored(operands[o].type),
                            {in[o], b.mul_imm(i, bytes_in(operands[o].type, operands[o].lanes))}));
    Reg r = make(b, regs);
    b.store(r, stored(b.type(r)), {out, b.mul_imm(i, bytes_in(b.type(r), b.lanes(r)))});
  });
  return b.take();
}

struct Options {
  double ulps = 0;
  bool edges = true;
  std::function<void(size_t, Bytes&)> adjust;  // of an operand's values
};

void test_op(const std::string& what, const std::vector<Operand>& operands, const Make& make, const Options& options = {}) {
  std::mt19937 rng(7);
  CheckRun run;
  run.kernel = around(operands, make);
  run.items = kItems;
  run.ulps = options.ulps;
  for (size_t o = 0; o < operands.size(); ++o) {
    size_t n = static_cast<size_t>(kItems * bytes_in(operands[o].type, operands[o].lanes));
    Bytes b = operands[o].type == Ty::F32 ? random_floats(rng, n / 4, options.edges) : random_bytes(rng, n);
    if (options.adjust) options.adjust(o, b);
    run.buffers.push_back(std::move(b));
  }
  run.buffers.emplace_back(static_cast<size_t>(kItems * 64));
  for (const std::string& level : levels()) {
    bool fits = true;
    for (const Operand& o : operands) fits &= o.lanes <= target(level).machine().lanes;
    for (const RegInfo& r : run.kernel.regs) fits &= r.lanes <= target(level).machine().lanes;
    if (fits) {
      EXPECT_EQ(check(run, level), "") << what;
    }
  }
}

const int kWidths[] = {1, 4, 8, 16};

TEST(Ops, FloatBinary) {
  for (int l : kWidths)
    for (LOp op : {LOp::Add, LOp::Sub, LOp::Mul, LOp::Div, LOp::Min, LOp::Max})
      // Which NaN comes out is left open, so NaNs are compared as equal.
      test_op(std::string(name(op)), {{Ty::F32, l}, {Ty::F32, l}},
              [op](Builder& b, auto& r) {
                return b.op(op, {r[0], r[1]});
              },
              {.ulps = 0.1});
}

TEST(Ops, FloatUnary) {
  for (int l : kWidths)
    for (LOp op : {LOp::Neg, LOp::Abs, LOp::Sqrt, LOp::Floor, LOp::Round, LOp::Rcp, LOp::CvtI, LOp::TruncI, LOp::BitsI})
      test_op(std::string(name(op)), {{Ty::F32, l}}, [op](Builder& b, auto& r) { return b.op(op, {r[0]}); },
              {.ulps = op == LOp::CvtI || op == LOp::TruncI || op == LOp::BitsI ? 0 : 0.1});
}

TEST(Ops, FloatCompareSelectFma) {
  for (int l : kWidths) {
    for (LOp op : {LOp::CmpEq, LOp::CmpLt, LOp::CmpLe}) {
      test_op(std::string(name(op)), {{Ty::F32, l}, {Ty::F32, l}}, [op](Builder& b, auto& r) { return b.op(op, {r[0], r[1]}); });
      test_op("select", {{Ty::F32, l}, {Ty::F32, l}, {Ty::F32, l}},
              [op](Builder& b, auto& r) { return b.op(LOp::Select, {b.op(op, {r[0], r[1]}), r[2], r[0]}); }, {.ulps = 0.1});
    }
    test_op("fma", {{Ty::F32, l}, {Ty::F32, l}, {Ty::F32, l}}, [](Builder& b, auto& r) { return b.fma(r[0], r[1], r[2]); }, {.ulps = 0.1});
  }
}

TEST(Ops, FmaForms) {  // every operand dying or not, in memory or not
  for (int l : kWidths)
    for (int kept = 0; kept < 8; ++kept)
      test_op("fma keeping " + std::to_string(kept), {{Ty::F32, l}, {Ty::F32, l}, {Ty::F32, l}}, [kept](Builder& b, auto& r) {
        std::vector<Reg> x;
        for (int i = 0; i < 3; ++i) x.push_back(kept & (1 << i) ? b.op(LOp::Neg, {r[static_cast<size_t>(i)]}) : r[static_cast<size_t>(i)]);
        Reg y = b.fma(x[0], x[1], x[2]);
        for (int i = 0; i < 3; ++i)
          if (kept & (1 << i)) y = b.op(LOp::Max, {y, x[static_cast<size_t>(i)]});
        return b.fma(y, y, b.fma(y, x[1], y));
      }, {.ulps = 0.1, .edges = false});
}

TEST(Ops, IntBinary) {
  for (int l : kWidths)
    for (LOp op : {LOp::Add, LOp::Sub, LOp::Mul, LOp::Min, LOp::Max, LOp::And, LOp::Or, LOp::Xor, LOp::AndNot, LOp::CmpEq, LOp::CmpLt,
                   LOp::CmpLe, LOp::AddI16, LOp::MaddUBS, LOp::MaddWD}) {
      test_op(std::string(name(op)), {{Ty::I32, l}, {Ty::I32, l}}, [op](Builder& b, auto& r) { return b.op(op, {r[0], r[1]}); });
      test_op(std::string(name(op)) + " of itself", {{Ty::I32, l}}, [op](Builder& b, auto& r) { return b.op(op, {r[0], r[0]}); });
    }
}

TEST(Ops, IntUnary) {
  for (int l : kWidths) {
    for (LOp op : {LOp::Neg, LOp::Abs, LOp::CvtF, LOp::BitsF, LOp::DupLo16, LOp::DupHi16})
      test_op(std::string(name(op)), {{Ty::I32, l}}, [op](Builder& b, auto& r) { return b.op(op, {r[0]}); },
              {.ulps = op == LOp::BitsF ? 0.1 : 0});
    for (LOp op : {LOp::Shl, LOp::ShrU, LOp::ShrS})
      for (int n : {0, 1, 4, 15, 31})
        test_op(std::string(name(op)), {{Ty::I32, l}}, [op, n](Builder& b, auto& r) { return b.op(op, {r[0]}, n); });
    for (LOp op : {LOp::ShlV, LOp::ShrUV, LOp::ShrSV})
      test_op(std::string(name(op)), {{Ty::I32, l}, {Ty::I32, l}}, [op](Builder& b, auto& r) { return b.op(op, {r[0], r[1]}); },
              {.adjust = [](size_t o, Bytes& v) {
                 if (o == 1)
                   for (size_t i = 0; i < v.size(); ++i) v[i] = i % 4 ? 0 : v[i] & 31;
               }});
    test_op("lut16", {{Ty::I32, l}},
            [](Builder& b, auto& r) {
              return b.lut16(r[0], {0, 255, 3, 7, 128, 5, 77, 200, 9, 10, 11, 12, 13, 14, 15, 16});
            },
            {.adjust = [](size_t, Bytes& v) {
              for (uint8_t& x : v) x &= 15;
            }});
  }
}

TEST(Ops, IntThree) {
  for (int l : kWidths) {
    std::vector<Operand> three = {{Ty::I32, l}, {Ty::I32, l}, {Ty::I32, l}};
    test_op("dot4", three, [](Builder& b, auto& r) { return b.op(LOp::Dot4, {r[0], r[1], r[2]}); });
    test_op("dot4 of one register", {{Ty::I32, l}}, [](Builder& b, auto& r) { return b.op(LOp::Dot4, {r[0], r[0], r[0]}); });
    test_op("dot4 twice", three, [](Builder& b, auto& r) { return b.op(LOp::Dot4, {b.op(LOp::Dot4, {r[0], r[1], r[2]}), r[2], r[0]}); });
    test_op("select", three, [](Builder& b, auto& r) { return b.op(LOp::Select, {b.op(LOp::CmpLt, {r[0], r[1]}), r[2], r[0]}); });
  }
}

TEST(Ops, AcrossLanes) {
  for (int l : kWidths) {
    test_op("hadd", {{Ty::I32, l}}, [](Builder& b, auto& r) { return b.op(LOp::HAdd, {r[0]}); });
    test_op("hmax", {{Ty::I32, l}}, [](Builder& b, auto& r) { return b.op(LOp::HMax, {r[0]}); });
    test_op("hmax", {{Ty::F32, l}}, [](Builder& b, auto& r) { return b.op(LOp::HMax, {r[0]}); }, {.ulps = 0.1, .edges = false});
    test_op("hadd", {{Ty::F32, l}}, [](Builder& b, auto& r) { return b.op(LOp::HAdd, {r[0]}); }, {.edges = false});
    for (int lane = 0; lane < l; ++lane)
      for (Ty t : {Ty::I32, Ty::F32})
        test_op("lane", {{t, l}}, [lane](Builder& b, auto& r) { return b.op(LOp::Lane, {r[0]}, lane); }, {.ulps = t == Ty::F32 ? 0.1 : 0});
    for (Ty t : {Ty::I32, Ty::F32, Ty::I64})
      test_op("splat", {{t, 1}}, [l](Builder& b, auto& r) { return b.splat(r[0], l); }, {.ulps = t == Ty::F32 ? 0.1 : 0});
  }
}

TEST(Ops, Constants) {
  for (int l : kWidths) {
    test_op("iota", {{Ty::I32, l}}, [l](Builder& b, auto& r) {
      Reg i = b.reg(Ty::I32, l);
      b.set_op(i, LOp::Iota, {}, 5);
      return b.add(r[0], i);
    });
    for (int64_t v : {0, 1, -1, 123456}) test_op("const", {{Ty::I32, l}}, [l, v](Builder& b, auto& r) { return b.add(r[0], b.i32(v, l)); });
    for (double v : {0.0, -0.0, 1.5})
      test_op("const", {{Ty::F32, l}}, [l, v](Builder& b, auto& r) { return b.mul(r[0], b.f32(v, l)); }, {.ulps = 0.1});
    test_op("assigned twice", {{Ty::I32, l}}, [l](Builder& b, auto& r) {
      Reg acc = b.reg(Ty::I32, l);
      b.set(acc, b.i32(0, l));
      b.set(acc, b.add(acc, r[0]));
      b.set_op(acc, LOp::Const, {}, 7);
      b.set(acc, b.add(acc, r[0]));
      return acc;
    });
  }
}

TEST(Ops, ConstantsOfOneLaneAndFour) {
  test_op("one lane, then four", {{Ty::F32, 1}, {Ty::F32, 4}}, [](Builder& b, auto& r) {
    Reg x = b.add(r[0], b.f32(1.5, 1));
    return b.add(b.mul(r[1], b.f32(1.5, 4)), b.splat(x, 4));
  }, {.ulps = 0.1});
}

TEST(Ops, Long) {
  for (LOp op : {LOp::Add, LOp::Sub, LOp::Mul, LOp::Min, LOp::Max, LOp::And, LOp::Or, LOp::Xor, LOp::CmpEq, LOp::CmpLt, LOp::CmpLe}) {
    test_op(std::string(name(op)), {{Ty::I64, 1}, {Ty::I64, 1}}, [op](Builder& b, auto& r) { return b.op(op, {r[0], r[1]}); });
    for (int64_t v : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{3}, int64_t{9}, int64_t{64}, int64_t{144}, int64_t{-7}, int64_t{1} << 40,
                      INT64_MIN, int64_t{INT32_MIN}}) {
      test_op(std::string(name(op)) + " const", {{Ty::I64, 1}}, [op, v](Builder& b, auto& r) { return b.op(op, {r[0], b.i64(v)}); });
      test_op("const " + std::string(name(op)), {{Ty::I64, 1}}, [op, v](Builder& b, auto& r) { return b.op(op, {b.i64(v), r[0]}); });
    }
  }
  for (LOp op : {LOp::Shl, LOp::ShrU, LOp::ShrS})
    for (int n : {0, 1, 31, 32, 63})
      test_op(std::string(name(op)), {{Ty::I64, 1}}, [op, n](Builder& b, auto& r) { return b.op(op, {r[0]}, n); });
  test_op("select", {{Ty::I64, 1}, {Ty::I64, 1}}, [](Builder& b, auto& r) {
    return b.op(LOp::Select, {b.op(LOp::CmpLt, {r[0], r[1]}), r[0], r[1]});
  });
  test_op("to_i32", {{Ty::I64, 1}}, [](Builder& b, auto& r) { return b.op(LOp::ToI32, {r[0]}); });
  test_op("to_i64", {{Ty::I32, 1}}, [](Builder& b, auto& r) { return b.op(LOp::ToI64, {r[0]}); });
}

TEST(Ops, Division) {
  auto positive = [](int bytes) {
    return [bytes](size_t o, Bytes& v) {
      if (o == 0) return;
      for (size_t i = 0; i < v.size(); i += static_cast<size_t>(bytes)) {
        v[i] |= 1;
        v[i + static_cast<size_t>(bytes) - 1] = i % 3 ? 0 : v[i + static_cast<size_t>(bytes) - 1] & 0x7F;
      }
    };
  };
  for (LOp op : {LOp::Div, LOp::Mod}) {
    test_op(std::string(name(op)), {{Ty::I64, 1}, {Ty::I64, 1}},
            [op](Builder& b, auto& r) {
              return b.op(op, {r[0], r[1]});
            },
            {.adjust = positive(8)});
    test_op(std::string(name(op)), {{Ty::I32, 1}, {Ty::I32, 1}},
            [op](Builder& b, auto& r) {
              return b.op(op, {r[0], r[1]});
            },
            {.adjust = positive(4)});
    for (int64_t v : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{7}, int64_t{64}, int64_t{576}, int64_t{1} << 40})
      test_op(std::string(name(op)), {{Ty::I64, 1}}, [op, v](Builder& b, auto& r) { return b.op(op, {r[0], b.i64(v)}); });
  }
}

}  // namespace
}  // namespace lumen::cpu
