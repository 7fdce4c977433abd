// Each rule of the verifier, broken alone.
#include <gtest/gtest.h>

#include "compiler/ir/test_support.h"

namespace lumen::ir {
namespace {
using namespace testing;

// x f32[T, 64], w nibbles[4, 64], s i32[8] state, n i32[]; then one compute over [T, 4].
struct Base {
  Function f;
  Base() {
    add_param(f, "x", type_of(DType::F32, {Dim("T"), 64}), Role::Input);
    add_param(f, "w", type_of(nibbles_format(), {4, 64}), Role::Weight);
    add_param(f, "s", type_of(DType::I32, {8}), Role::State);
    add_param(f, "n", type_of(DType::I32, {}), Role::Input);
  }
  std::string with(ExprPtr body, DType t = DType::F32) {
    Function g = f;
    add_compute(g, type_of(t, {Dim("T"), 4}), {0, 1, 2, 3}, {"t", "n"}, std::move(body), "y");
    return verify(g);
  }
};
void expect_error(const std::string& got, const std::string& part) { EXPECT_NE(got.find(part), std::string::npos) << got; }

TEST(Verify, Bodies) {
  Base b;
  EXPECT_EQ(b.with(ld(0, {ix(0), ix(1)})), "");
  EXPECT_EQ(b.with(make_dot(0, {ix(0)}, 1, {ix(1)})), "");
  expect_error(b.with(ld(0, {ix(0)})), "%4 \"y\": load from %0 has 1 indices, its rank is 2");
  expect_error(b.with(ld(1, {ix(0), ix(1)}, DType::I32), DType::I32), "its elements f32");
  expect_error(b.with(ld(7, {ix(0)})), "the body uses operand 7 of 4");
  expect_error(b.with(ld(0, {ix(0), ix(2)})), "index i2 is not bound");
  expect_error(b.with(i32(1)), "the body has type i32, expected f32");
  expect_error(b.with(sum(1, i32(0), i32(3), ld(0, {ix(0), ix(1)}))), "index i1 is bound twice");
  expect_error(b.with(add(sum(5, i32(0), i32(3), ld(0, {ix(0), ix(5)})), ld(0, {ix(0), ix(5)}))), "index i5 is not bound");
  expect_error(b.with(f32(field(0, DType::U8, ix(0)))), "a field can only be read in a format's rule");
  expect_error(b.with(make_dot(0, {}, 1, {ix(1)})), "dot has 1 row indices, expected 2");
  expect_error(b.with(make_dot(0, {ix(0)}, 2, {})), "dot of rows of 64 and 8 elements");
  expect_error(b.with(f32(make_extent("T*2"))), "the symbol \"T*2\" is not an identifier");
}

TEST(Verify, ValuesAndTypes) {
  Function f;
  add_param(f, "w", type_of(nibbles_format(), {4, 33}), Role::Weight);
  expect_error(verify(f), "%0 \"w\": rows of 33 elements do not hold whole blocks of 32 of nibbles");
  f = {};
  add_param(f, "w", type_of(nibbles_format(), {Dim("T")}), Role::Weight);
  expect_error(verify(f), "do not hold whole blocks");
  f = {};
  add_param(f, "a", type_of(DType::F32, {2}), Role::None);
  add_param(f, "a", type_of(DType::F32, {2}), Role::None);
  expect_error(verify(f), "two parameters have this name");
  f.values[1].name = "b";
  add_reshape(f, 0, {3});
  expect_error(verify(f), "%2: a reshape keeps the number of elements: f32[2] to f32[3]");
  f.values.pop_back();
  add_const(f, type_of(DType::F32, {2}), {1, 2, 3});
  expect_error(verify(f), "the constant has 3 bytes, expected 8");
  f.values.pop_back();
  add_compute(f, type_of(DType::F32, {2}), {2}, {"i"}, make_float(1));
  expect_error(verify(f), "operand %2 is not defined before it");
  f.values.pop_back();
  f.results = {9};
  expect_error(verify(f), "result %9 is not defined");
  f = {};
  add_param(f, "a", type_of(DType::F32, {int64_t{1} << 30, int64_t{1} << 30}), Role::None);
  expect_error(verify(f), "more than 2^40 elements");
}

TEST(Verify, StateIsUsedInOrder) {
  Function f;
  int s = add_param(f, "s", type_of(DType::I32, {8}), Role::State);
  int view = add_reshape(f, s, {2, 4});
  int after = add_scatter(f, {8}, {s}, {"i"}, {ix(0)}, ix(0));
  f.results = {after};
  EXPECT_EQ(verify(f), "");
  Function g = f;
  add_compute(g, type_of(DType::I32, {8}), {s}, {"i"}, ld(0, {ix(0)}, DType::I32));
  expect_error(verify(g), "%3: operand %0 was overwritten by a scatter; its result stands for it");
  g = f;
  add_compute(g, type_of(DType::I32, {8}), {view}, {"i"}, ld(0, {i32(0), i32(0)}, DType::I32));
  expect_error(verify(g), "operand %1 was overwritten");
  g = f;
  g.results = {s};
  expect_error(verify(g), "result %0 was overwritten by a scatter");
  g = f;
  g.values[2].dest.clear();
  expect_error(verify(g), "0 destination indices for rank 1");
}

}  // namespace
}  // namespace lumen::ir
