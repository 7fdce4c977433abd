// Makers and folding, hashes and equality, walks; every operation of the table against straightforward C++.
#include "compiler/ir/expr.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "compiler/ir/test_support.h"

namespace lumen::ir {
namespace {
using namespace testing;

ExprPtr op2(Op op, ExprPtr a, ExprPtr b) { return make_op(op, {a, b}); }
int64_t folded(Op op, int64_t a, int64_t b, DType t = DType::I32) {
  ExprPtr e = op2(op, make_int(a, t), make_int(b, t));
  EXPECT_EQ(e->kind, Ek::Int) << name(op);
  return e->ival;
}
float folded_float(Op op, float a, float b) {
  ExprPtr e = arity(op) == 1 ? make_op(op, {make_float(a)}) : op2(op, make_float(a), make_float(b));
  EXPECT_EQ(e->kind, Ek::Float) << name(op);
  return static_cast<float>(e->fval);
}

TEST(Expr, IntegerConstantsFoldAndWrap) {
  EXPECT_EQ(folded(Op::Add, 2147483647, 1), -2147483648LL);
  EXPECT_EQ(folded(Op::Sub, 0, 1, DType::U8), 255);
  EXPECT_EQ(folded(Op::Mul, 200, 3, DType::U8), 88);
  for (int a : {-7, -6, -1, 0, 1, 6, 7})
    for (int b : {-3, -2, 2, 3}) {
      EXPECT_EQ(folded(Op::Div, a, b), static_cast<int>(std::floor(static_cast<double>(a) / b)));
      EXPECT_EQ(folded(Op::Mod, a, b), a - b * static_cast<int>(std::floor(static_cast<double>(a) / b)));
    }
  EXPECT_EQ(folded(Op::Div, -2147483648LL, -1), -2147483648LL);
  EXPECT_EQ(folded(Op::Div, std::numeric_limits<int64_t>::min(), -1, DType::I64), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(folded(Op::Shr, -8, 1), -4);
  EXPECT_EQ(folded(Op::Shr, 248, 1, DType::U8), 124);
  EXPECT_EQ(folded(Op::Shl, 1, 31), -2147483648LL);
  EXPECT_EQ(folded(Op::Shl, 1, 32), 0);
  EXPECT_EQ(folded(Op::Shr, -1, 99), -1);
  EXPECT_EQ(folded(Op::And, 12, 10), 8);
  EXPECT_EQ(folded(Op::Or, 12, 10), 14);
  EXPECT_EQ(folded(Op::Xor, 12, 10), 6);
  EXPECT_EQ(folded(Op::Min, -1, 3), -1);
  EXPECT_EQ(folded(Op::Max, -1, 3), 3);
  EXPECT_EQ(folded(Op::Lt, -1, 1, DType::U64), 0);  // 2^64 - 1 is not below 1
  EXPECT_EQ(folded(Op::Le, 3, 3), 1);
  EXPECT_EQ(op2(Op::Div, i32(1), i32(0))->kind, Ek::Op);  // left for the interpreter to report
  EXPECT_EQ(make_op(Op::Neg, {i32(5)})->ival, -5);
  EXPECT_EQ(make_op(Op::Not, {make_int(1, DType::Bool)})->ival, 0);
  EXPECT_EQ(make_op(Op::Not, {make_int(5, DType::U8)})->ival, 250);
  EXPECT_EQ(make_op(Op::Abs, {make_int(-128, DType::I8)})->ival, -128);
}

TEST(Expr, FloatConstantsFold) {
  EXPECT_EQ(folded_float(Op::Add, 0.1f, 0.2f), 0.1f + 0.2f);
  EXPECT_EQ(folded_float(Op::Mod, -7.5f, 2.0f), 0.5f);
  EXPECT_EQ(folded_float(Op::Round, 2.5f, 0), 2.0f);
  EXPECT_EQ(folded_float(Op::Round, -3.5f, 0), -4.0f);
  EXPECT_EQ(folded_float(Op::Floor, -0.5f, 0), -1.0f);
  EXPECT_EQ(folded_float(Op::Rsqrt, 4.0f, 0), 0.5f);
  EXPECT_EQ(folded_float(Op::Pow, 2.0f, 10.0f), 1024.0f);
  EXPECT_EQ(op2(Op::Lt, make_float(1), make_float(2))->ival, 1);
  EXPECT_EQ(make_float(0.1)->fval, static_cast<double>(0.1f));
}

TEST(Expr, IntegerIdentities) {
  ExprPtr x = ix(0);
  EXPECT_EQ(add(x, i32(0)), x);
  EXPECT_EQ(add(i32(0), x), x);
  EXPECT_EQ(sub(x, i32(0)), x);
  EXPECT_EQ(mul(x, i32(1)), x);
  EXPECT_EQ(mul(x, i32(0))->kind, Ek::Int);
  EXPECT_EQ(div(x, i32(1)), x);
  EXPECT_EQ(mod(x, i32(1))->kind, Ek::Int);
  EXPECT_TRUE(equal(add(add(x, i32(2)), i32(3)), add(x, i32(5))));
  EXPECT_TRUE(equal(add(i32(3), x), add(x, i32(3))));
  EXPECT_EQ(make_op(Op::Select, {make_int(1, DType::Bool), x, i32(4)}), x);
  EXPECT_EQ(make_cast(x, DType::I32), x);
  EXPECT_EQ(make_bitcast(x, DType::I32), x);
}

TEST(Expr, FloatsKeepTheirMeaning) {
  ExprPtr x = ld(0, {ix(0)});
  EXPECT_EQ(mul(x, make_float(0))->kind, Ek::Op);  // NaN, infinity, the sign of zero
  EXPECT_EQ(add(x, make_float(0))->kind, Ek::Op);  // -0 + 0 is 0
  EXPECT_EQ(add(add(x, make_float(1)), make_float(2))->args[0]->kind, Ek::Op);
}

TEST(Expr, Conversions) {
  EXPECT_EQ(make_cast(make_float(-2.9), DType::I32)->ival, -2);
  EXPECT_EQ(make_cast(make_float(300), DType::U8)->ival, 255);
  EXPECT_EQ(make_cast(make_float(-1), DType::U8)->ival, 0);
  EXPECT_EQ(make_cast(make_float(1e30), DType::I64)->ival, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(make_cast(make_float(NAN), DType::I32)->ival, 0);
  EXPECT_EQ(make_cast(i32(16777217), DType::F32)->fval, 16777216.0);
  EXPECT_EQ(make_cast(i32(-1), DType::U8)->ival, 255);
  EXPECT_EQ(make_bitcast(make_float(1), DType::U32)->ival, 0x3F800000);
  EXPECT_EQ(make_bitcast(i32(0x40000000), DType::F32)->fval, 2.0);
  EXPECT_EQ(make_bitcast(make_int(255, DType::U8), DType::I8)->ival, -1);
}

TEST(Expr, HashAndEquality) {
  auto build = [](int k, double c) { return sum(1, i32(0), i32(k), mul(ld(0, {ix(0), ix(1)}), make_float(c))); };
  EXPECT_TRUE(equal(build(8, 1.5), build(8, 1.5)));
  EXPECT_EQ(build(8, 1.5)->hash, build(8, 1.5)->hash);
  EXPECT_FALSE(equal(build(8, 1.5), build(9, 1.5)));
  EXPECT_FALSE(equal(build(8, 1.5), build(8, 1.25)));
  EXPECT_FALSE(equal(make_float(0.0), make_float(-0.0)));
  EXPECT_FALSE(equal(make_int(1, DType::U8), make_int(1)));
  EXPECT_FALSE(equal(ld(0, {ix(0)}), ld(1, {ix(0)})));
  auto table = [](double last) {
    return make_table(std::make_shared<const std::vector<double>>(std::vector<double>{1, last}), DType::F32, ix(0));
  };
  EXPECT_TRUE(equal(table(2), table(2)));
  EXPECT_FALSE(equal(table(2), table(3)));
  // Two DAGs of 2^60 paths each: equality and walks must go by nodes.
  ExprPtr a = ld(0, {ix(0)}), b = ld(0, {ix(0)});
  for (int i = 0; i < 60; ++i) a = add(a, a), b = add(b, b);
  EXPECT_TRUE(equal(a, b));
  int nodes = 0;
  visit(a, [&](const Expr&) { ++nodes; });
  EXPECT_EQ(nodes, 62);
  EXPECT_FALSE(uses_index(a, 1));
  EXPECT_TRUE(uses_index(substitute(a, 0, ix(1)), 1));
}

TEST(Expr, RewriteFoldsAgain) {
  ExprPtr e = add(mul(ix(0), i32(4)), ix(1));
  ExprPtr r = rewrite(e, [](const ExprPtr& n) { return n->kind == Ek::Index && n->ival == 0 ? i32(3) : nullptr; });
  EXPECT_TRUE(equal(r, add(ix(1), i32(12))));
  EXPECT_EQ(rewrite(e, [](const ExprPtr&) { return ExprPtr(); }), e);
}

TEST(Expr, SubstitutionRespectsScopes) {
  ExprPtr e = add(sum(1, ix(1), i32(9), ix(1)), ix(1));  // the lower bound and the last term are free
  ExprPtr r = substitute(e, 1, i32(5));
  EXPECT_TRUE(equal(r, add(sum(1, i32(5), i32(9), ix(1)), i32(5))));
  EXPECT_FALSE(uses_index(sum(1, i32(0), i32(9), ix(1)), 1));
  EXPECT_TRUE(uses_index(e, 1));
  EXPECT_EQ(first_free_index(e, 0), 2);
  int next = 7;
  EXPECT_TRUE(equal(rename_bound(e, next), add(sum(7, ix(1), i32(9), ix(7)), ix(1))));
  EXPECT_EQ(next, 8);
}

// Every operation through the interpreter, over lanes, equals the folded constant of the same arguments.
TEST(Expr, InterpreterAgreesWithFolding) {
  const std::vector<int64_t> ints = {-128, -7, -3, -1, 0, 1, 2, 3, 5, 7, 31, 64, 127};
  const std::vector<float> floats = {-3.5f, -1, -0.25f, 0.5f, 1, 2.5f, 3, 80, 1e-20f, 0.1f};
  for (int o = 0; o <= static_cast<int>(Op::Select); ++o) {
    Op op = static_cast<Op>(o);
    if (op == Op::Select) continue;
    for (DType t : {DType::I8, DType::U8, DType::I32, DType::U32, DType::I64, DType::U64, DType::F32}) {
      std::vector<DType> types(static_cast<size_t>(arity(op)), t);
      bool comparison = op == Op::Eq || op == Op::Ne || op == Op::Lt || op == Op::Le;
      bool float_only = op == Op::Pow || (op >= Op::Sqrt && op <= Op::Round);
      bool int_only = op == Op::And || op == Op::Or || op == Op::Xor || op == Op::Shl || op == Op::Shr || op == Op::Not;
      if (is_float(t) ? int_only : float_only) continue;
      int64_t n = is_float(t) ? static_cast<int64_t>(floats.size()) : static_cast<int64_t>(ints.size());
      for (int64_t second = 0; second < n; ++second) {
        ExprPtr b = is_float(t) ? make_float(floats[second]) : make_int(ints[second], t);
        if ((op == Op::Div || op == Op::Mod) && !is_float(t) && b->ival == 0) continue;
        std::vector<double> table;
        for (int64_t i = 0; i < n; ++i) table.push_back(is_float(t) ? floats[i] : static_cast<double>(ints[i]));
        // The first argument by lane: from i64, wrapped to the type, so that u64 has its high values.
        ExprPtr a = make_table(std::make_shared<const std::vector<double>>(table), is_float(t) ? t : DType::I64, ix(0));
        if (!is_float(t)) a = make_cast(a, t);
        Function f;
        ExprPtr body = arity(op) == 1 ? make_op(op, {a}) : make_op(op, {a, b});
        f.results = {add_compute(f, type_of(comparison ? DType::Bool : t, {n}), {}, {"i"}, body)};
        auto r = interpret(f, {});
        ASSERT_TRUE(r.ok()) << r.error().message;
        for (int64_t i = 0; i < n; ++i) {
          ExprPtr x = is_float(t) ? make_float(floats[i]) : make_int(ints[i], t);
          ExprPtr expect = arity(op) == 1 ? make_op(op, {x}) : make_op(op, {x, b});
          float got = to_floats((*r)[0])[static_cast<size_t>(i)];
          if (expect->kind == Ek::Float) {
            float e = static_cast<float>(expect->fval);
            ASSERT_TRUE(got == e || (std::isnan(got) && std::isnan(e))) << name(op) << " " << floats[i] << " " << floats[second];
          } else {
            uint64_t bits = 0;
            DType rt = comparison ? DType::Bool : t;
            std::memcpy(&bits, (*r)[0].bytes() + i * size_of(rt), static_cast<size_t>(size_of(rt)));
            int shift = 64 - 8 * size_of(rt);
            int64_t v = is_signed(rt) ? static_cast<int64_t>(bits << shift) >> shift : static_cast<int64_t>(bits);
            ASSERT_EQ(v, expect->ival) << name(op) << " " << lumen::name(t) << " " << ints[i] << " " << ints[second];
          }
        }
        if (arity(op) == 1) break;
      }
    }
  }
}

}  // namespace
}  // namespace lumen::ir
