// Printer and reader: what is printed reads back to the same text; damaged text gives an error with a line and never a crash.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "compiler/ir/test_support.h"

namespace lumen::ir {
namespace {
using namespace testing;

FormatRef find_format(const std::string& name) {
  static const std::vector<FormatRef> all = {nibbles_format(), two_level_format(), activation_format(32)};
  for (const FormatRef& f : all)
    if (f->name == name) return f;
  return nullptr;
}
std::string file(const std::string& name) {
  std::ifstream in(std::string(LUMEN_SOURCE_DIR) + "/tests/filetests/ir/" + name);
  EXPECT_TRUE(in.good()) << name;
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}
Function read_ok(const std::string& text) {
  auto r = read(text, find_format);
  EXPECT_TRUE(r.ok()) << (r ? "" : r.error().message) << "\n" << text;
  return r ? r.take() : Function{};
}
std::string error_of(const std::string& text) {
  auto r = read(text, find_format);
  return r ? "" : r.error().message;
}

TEST(Text, FilesReadAndRoundTrip) {
  for (const char* name : {"block.ir", "literals.ir"}) {
    std::string text = file(name);
    Function f = read_ok(text);
    EXPECT_EQ(verify(f), "") << name;
    // The files are written as print writes them, after their first comment line.
    EXPECT_EQ(print(f), text.substr(text.find('\n') + 1)) << name;
    EXPECT_EQ(print(read_ok(print(f))), print(f));
  }
}

TEST(Text, FilesRun) {
  Function f = read_ok(file("block.ir"));
  FormatRef fmt = find_format("nibbles");
  Tensor x = tensor(type_of(DType::F32, {3, 64}), random_floats(3 * 64, 1)), norm = tensor(type_of(DType::F32, {64}), random_floats(64, 2));
  Tensor wq = random_formatted(fmt, 64, 64, 3), pos = tensor(type_of(DType::I32, {3}), std::vector<int32_t>{0, 1, 2});
  Tensor k = make_tensor(type_of(DType::F16, {64, 2, 32}));
  Bindings b;
  b.params = {{"x", &x}, {"norm", &norm}, {"wq", &wq}, {"pos", &pos}, {"k", &k}};
  auto r = interpret(f, b);
  ASSERT_TRUE(r.ok()) << r.error().message;
  for (float v : to_floats((*r)[0])) EXPECT_TRUE(std::isfinite(v));

  f = read_ok(file("literals.ir"));
  std::vector<uint8_t> bytes = {0, 1, 2, 3, 5, 7, 9, 11, 13, 255, 254, 6, 12, 18, 24, 30};
  Tensor in = tensor(type_of(DType::U8, {16}), bytes);
  b = {};
  b.params = {{"bytes", &in}};
  r = interpret(f, b);
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(to_floats((*r)[0])[1], 0.5f);
  EXPECT_EQ(to_floats((*r)[0])[4], -6.0f);
  EXPECT_EQ(values_of<int64_t>((*r)[3])[3], std::numeric_limits<int64_t>::min());
  EXPECT_EQ(to_floats((*r)[4]), std::vector<float>{9});
}

// Random expressions of random functions.
class Generator {
 public:
  explicit Generator(unsigned seed) : g_(seed) {}

  Function function() {
    Function f;
    f.name = pick(2) ? "f" : "odd \"name\" \\ \n";
    if (pick(2)) f.bounds["T"] = pick(100);
    add_param(f, "a", type_of(DType::F32, {Dim("T"), 8}), Role::Input);
    add_param(f, "b", type_of(find_format("nibbles"), {4, 64}), Role::Weight);
    add_param(f, "n", type_of(DType::I32, {}), Role::None);
    add_param(f, "s", type_of(DType::U16, {3}), Role::State);
    for (int i = 0; i < 6; ++i) {
      f_ = &f;
      ops_ = pick(2) ? std::vector<int>{0, 1, 2, 3} : std::vector<int>{3, 1, 0, 2, 1};
      next_index_ = 2;
      scope_ = {0, 1};
      std::vector<std::string> axes = pick(3) ? std::vector<std::string>{"t", "n"} : std::vector<std::string>{};
      if (pick(4) == 0) axes = {"i1", "sum"};
      DType t = some_type();
      ExprPtr body = expr(t, 5);
      add_compute(f, type_of(t, {Dim("T"), pick(9)}), ops_, axes, body, pick(2) ? "y" : "");
    }
    ops_ = {3, 0, 1, 2};
    add_scatter(f, {Dim("T"), 2}, ops_, {"t", "n"}, {expr(DType::I32, 3)}, expr(DType::U16, 4));
    std::vector<uint8_t> data(static_cast<size_t>(pick(300)) * 4);
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(g_());
    add_const(f, type_of(pick(2) ? DType::F32 : DType::I32, {static_cast<int64_t>(data.size() / 4)}), data);
    add_reshape(f, 0, {Dim("T"), 2, 4});
    f.results = {4, 5};
    return f;
  }

 private:
  int pick(int n) { return static_cast<int>(g_() % static_cast<unsigned>(n)); }
  DType some_type() {
    constexpr DType types[] = {DType::F32, DType::I32, DType::U8, DType::U64, DType::I16, DType::F16, DType::BF16};
    return types[pick(7)];
  }
  int operand(int id) {  // a place in the list where %id stands
    for (;;) {
      int n = pick(static_cast<int>(ops_.size()));
      if (ops_[static_cast<size_t>(n)] == id) return n;
    }
  }
  ExprPtr leaf(DType t) {
    if (t == DType::I32 && pick(2))
      return pick(4) ? ix(scope_[static_cast<size_t>(pick(static_cast<int>(scope_.size())))]) : make_extent("T");
    if (t == DType::F32) return make_float(pick(5) ? (g_() % 2000 - 1000.0) / 7 : pick(2) ? INFINITY : 1e-42);
    if (is_float(t)) return make_cast(make_cast(ix(0), DType::F32), t);
    return make_int(static_cast<int64_t>(g_()) * (pick(2) ? 1 : -2147483659LL), t);
  }
  ExprPtr index() { return expr(DType::I32, 1); }
  ExprPtr reduce(DType t, int depth) {
    int var = next_index_++;
    ExprPtr lo = index(), hi = index();
    scope_.push_back(var);
    Reduction r = t == DType::F32 && pick(3) == 0 ? Reduction::SoftmaxSum : static_cast<Reduction>(pick(3));
    std::vector<ExprPtr> args = {lo, hi, expr(t, depth - 1)};
    if (r == Reduction::SoftmaxSum) args.push_back(expr(t, depth - 1));
    scope_.pop_back();
    if (r == Reduction::SoftmaxSum && pick(2)) args.push_back(expr(t, 1));
    return make_reduce(r, var, args);
  }
  ExprPtr load(DType t) {
    if (t == DType::F32 && pick(2)) return ld(operand(0), {index(), index()});
    if (t == DType::F32) return pick(2) ? ld(operand(1), {index(), index()}) : make_dot(operand(0), {index()}, operand(1), {index()});
    if (t == DType::I32) return ld(operand(2), {}, DType::I32);
    return t == DType::U16 ? ld(operand(3), {index()}, DType::U16) : leaf(t);
  }
  ExprPtr expr(DType t, int depth) {
    if (depth == 0) return leaf(t);
    switch (pick(9)) {
      case 0:
        return leaf(t);
      case 1:
        return load(t);
      case 2:
        return make_cast(expr(some_type(), depth - 1), t);
      case 3:
        return make_op(Op::Select, {make_op(Op::Le, {expr(t, depth - 1), leaf(t)}), expr(t, depth - 1), leaf(t)});
      case 4:
        return reduce(t, depth);
      case 5: {
        ExprPtr shared = expr(t, depth - 1);
        return make_op(Op::Mul, {make_op(Op::Add, {shared, leaf(t)}), shared});
      }
      case 6:
        if (t == DType::F32) return make_bitcast(expr(DType::I32, depth - 1), t);
        return t == DType::F16 || t == DType::BF16 ? leaf(t) : make_op(Op::Xor, {expr(t, depth - 1), leaf(t)});
      case 7: {
        std::vector<double> table;
        for (int i = 0; i < 3; ++i) table.push_back((g_() % 255) / (is_float(t) ? 10.0 : 1.0));
        return make_table(std::make_shared<const std::vector<double>>(table), t, expr(DType::I32, depth - 1));
      }
      default:
        return make_op(static_cast<Op>(pick(7)), {expr(t, depth - 1), expr(t, depth - 1)});
    }
  }

  std::mt19937 g_;
  const Function* f_ = nullptr;
  std::vector<int> ops_, scope_;
  int next_index_ = 2;
};

TEST(Text, RandomFunctionsRoundTrip) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    Function f = Generator(seed).function();
    std::string text = print(f);
    Function again = read_ok(text);
    ASSERT_EQ(print(again), text) << seed;
    ASSERT_EQ(again.values.size(), f.values.size());
    EXPECT_EQ(verify(again), verify(f));
    for (size_t i = 0; i < f.values.size(); ++i) {
      const Value &a = f.values[i], &b = again.values[i];
      ASSERT_TRUE(a.kind == b.kind && a.type == b.type && a.name == b.name && a.role == b.role && a.operands == b.operands &&
                  a.dims == b.dims && a.data == b.data)
          << text;
      if (a.body) {
        ASSERT_TRUE(equal(a.body, b.body)) << text;
      }
      for (size_t d = 0; d < a.dest.size(); ++d) ASSERT_TRUE(equal(a.dest[d], b.dest[d]));
    }
    ASSERT_EQ(f.bounds, again.bounds);
    ASSERT_EQ(f.results, again.results);
  }
}

// Bytes changed, dropped, doubled, swapped with pieces of elsewhere: an error that names a line, or a function that still prints.
TEST(Text, DamagedTextNeverCrashes) {
  std::mt19937 g(5);
  int read_anyway = 0, errors = 0;
  for (const char* name : {"block.ir", "literals.ir"}) {
    const std::string text = file(name);
    for (int round = 0; round < 4000; ++round) {
      std::string s = text;
      for (int edits = 1 + static_cast<int>(g() % 3); edits > 0 && !s.empty(); --edits) {
        size_t at = g() % s.size(), from = g() % s.size(), n = g() % 12;
        switch (g() % 4) {
          case 0:
            s[at] = static_cast<char>(g());
            break;
          case 1:
            s.erase(at, n);
            break;
          case 2:
            s.insert(at, s.substr(from, n));
            break;
          default:
            s.resize(at);
        }
      }
      auto r = read(s, find_format);
      if (!r) {
        ++errors;
        ASSERT_EQ(r.error().message.rfind("line ", 0), 0u) << r.error().message;
        continue;
      }
      ++read_anyway;
      verify(*r);
      std::string once = print(*r);
      auto again = read(once, find_format);
      ASSERT_TRUE(again.ok()) << again.error().message << "\n" << once;
      ASSERT_EQ(print(*again), once);
    }
  }
  EXPECT_GT(errors, 4000);
  EXPECT_GT(read_anyway, 50);
}

TEST(Text, ErrorsNameTheLine) {
  auto body = [](const std::string& e) {
    return "func \"f\" {\n  %0 \"x\": f32[4] = param\n  %1: f32[4] = compute(%0) [i] { " + e + " }\n  return %1\n}\n";
  };
  EXPECT_EQ(error_of(body("%0[i]")), "");
  EXPECT_EQ(error_of(body("add(%0[i], 1)")), "line 3: add needs equal types, not f32 and i32");
  EXPECT_EQ(error_of(body("%0[j]")), "line 3: \"j\" is not an axis, a let, or an index such as i2");
  EXPECT_EQ(error_of(body("%2[i]")), "line 3: %2 is not among the operands");
  EXPECT_EQ(error_of(body("frob(%0[i])")), "line 3: unknown operation \"frob\"");
  EXPECT_EQ(error_of(body("%0[i]") + "x"), "line 6: expected the end of the text");
  EXPECT_EQ(error_of(body("300:u8")), "line 3: 300 does not fit u8");
  EXPECT_EQ(error_of(body("f64(%0[i])")), "line 3: there is no f64 arithmetic");
  EXPECT_EQ(error_of("func \"f\" {\n %0 \"w\": q9[32] = param\n return %0\n}"), "line 2: unknown type or format \"q9\"");
  EXPECT_EQ(error_of("func \"f\" {\n %1: f32[] = param\n}"), "line 2: expected %0, found %1");
  EXPECT_EQ(error_of(""), "line 1: expected \"func\", found the end");
  std::string deep(100000, '(');
  EXPECT_NE(error_of(body(deep)), "");
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "abs(";
  EXPECT_EQ(error_of(body(nested)), "line 3: more than 256 parentheses are open");
  std::string lets = "let v0_ = abs(%0[i]); ";
  for (int i = 1; i < 5000; ++i) lets += "let v" + std::to_string(i) + "_ = abs(v" + std::to_string(i - 1) + "_); ";
  EXPECT_EQ(error_of(body(lets + "v4999_")), "line 3: the expression is nested deeper than 2000");
}

TEST(Text, SharedNodesBecomeLets) {
  Function f;
  int x = add_param(f, "x", type_of(DType::F32, {4}), Role::Input);
  ExprPtr e = ld(0, {ix(0)});
  for (int i = 0; i < 50; ++i) e = add(e, e);  // 2^50 terms when written out
  f.results = {add_compute(f, type_of(DType::F32, {4}), {x}, {"i"}, e)};
  EXPECT_LT(print(f).size(), 3000u);
  EXPECT_TRUE(equal(read_ok(print(f)).values[1].body, e));
  EXPECT_EQ(print(mul(ld(1, {ix(2)}), f32(field(0, DType::U8, i32(3))))), "mul($1[i2], f32(field<0, u8>[3]))");
}

}  // namespace
}  // namespace lumen::ir
