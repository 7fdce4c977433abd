// The parser and the printer: standard files, file tests, hostile text, and the examples of docs/language.md.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "base/filetest.h"
#include "compiler/syntax/parser.h"

namespace lumen::syntax {
namespace {

SourcePtr source(std::string text, std::string path = "test.lum") {
  return std::make_shared<const Source>(Source{std::move(path), std::move(text)});
}
std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Parses, prints, parses and prints again; the trees and the texts must agree.
void round_trip(const std::string& text, const std::string& what) {
  SCOPED_TRACE(what);
  Parsed first = parse(source(text, what));
  ASSERT_TRUE(first.errors.empty()) << render(first.errors);
  std::string printed = print(first.file);
  Parsed second = parse(source(printed, "printed " + what));
  ASSERT_TRUE(second.errors.empty()) << printed << render(second.errors);
  EXPECT_EQ(print_tree(first.file), print_tree(second.file));
  EXPECT_EQ(printed, print(second.file));
}

// An expression's structure.
std::string tree(const std::string& expr) {
  Parsed p = parse(source("let it = " + expr + "\n"));
  if (!p.errors.empty()) return "error: " + p.errors[0].message;
  std::string text = print_tree(p.file);
  return text.substr(7, text.size() - 8);
}

TEST(Syntax, StandardFiles) {
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(std::filesystem::path(LUMEN_SOURCE_DIR) / "lum")) {
    if (entry.path().extension() != ".lum") continue;
    round_trip(read(entry.path()), entry.path().string());
    ++count;
  }
  EXPECT_GE(count, 10);
}

TEST(Syntax, Precedence) {
  EXPECT_EQ(tree("a + b * c ** -d ** e"), "(+ a (* b (** c (- (** d e)))))");
  EXPECT_EQ(tree("-a ** b * c"), "(* (- (** a b)) c)");
  EXPECT_EQ(tree("a - b - c"), "(- (- a b) c)");
  EXPECT_EQ(tree("a << 2 + b & c ^ d | e"), "(| (^ (& (<< a (+ 2 b)) c) d) e)");
  EXPECT_EQ(tree("not a == b or c and not d"), "(or (not (== a b)) (and c (not d)))");
  EXPECT_EQ(tree("x >> 4 > y"), "(> (>> x 4) y)");
  EXPECT_EQ(tree("if a then b else if c then d else e + 1"), "(if a b (if c d (+ e 1)))");
  EXPECT_EQ(tree("a < b < c"), "error: comparisons do not chain: join two with 'and', or use parentheses");
  EXPECT_EQ(tree("1 + if a then b else c"), "error: 'if' inside an operation needs parentheses around it");
  EXPECT_EQ(tree("a == not b"), "error: 'not' inside an operation needs parentheses around it");
}

TEST(Syntax, TypeArgumentsAgainstComparisons) {
  EXPECT_EQ(tree("linear<W>(x, w)"), "(call <W> linear x w)");
  EXPECT_EQ(tree("f<act_q8<32>, 4>(x)"), "(call <(act_q8 <32>) 4> f x)");
  EXPECT_EQ(tree("f<g<h<3>>>(x)"), "(call <(g <(h <3>)>)> f x)");
  EXPECT_EQ(tree("f<(a + 1)>(x)"), "(call <(+ a 1)> f x)");
  EXPECT_EQ(tree("f(a < b, c > (d))"), "(call f (< a b) (> c d))");
  EXPECT_EQ(tree("f(a<b, c > (d))"), "(call f (< a b) (> c d))");
  EXPECT_EQ(tree("a<b"), "(< a b)");
  EXPECT_EQ(tree("if a<b then c else d"), "(if (< a b) c d)");
}

// Random trees, printed: what comes back is the tree that went in.
class Trees {
 public:
  explicit Trees(unsigned seed) : random_(seed) {}
  ast::ExprPtr expr(int depth) {
    using ast::ExprKind;
    auto e = std::make_shared<ast::Expr>();
    auto sub = [&] { return expr(depth - 1); };
    switch (depth > 0 ? pick(12) : pick(4)) {
      case 0: *e = {ExprKind::Int}, e->ival = pick(100); break;
      case 1: *e = {ExprKind::Name}, e->text = name(); break;
      case 2: *e = {ExprKind::String}, e->text = std::string("a\n\t\"\\b").substr(static_cast<size_t>(pick(5))); break;
      case 3: *e = {ExprKind::Bool}, e->ival = pick(2); break;
      case 4: *e = {ExprKind::If}, e->args = {sub(), sub(), sub()}; break;
      case 5: *e = {ExprKind::Unary}, e->text = pick(2) ? "-" : "not", e->args = {sub()}; break;
      case 6: *e = {ExprKind::Index}, e->args = {sub(), sub()}; break;
      case 7: *e = {ExprKind::Field}, e->args = {sub()}, e->text = name(); break;
      case 8: call(*e, depth); break;
      case 9: reduce(*e, depth); break;
      case 10: *e = {ExprKind::List}, e->args = {sub(), range(depth)}; break;
      default: *e = {ExprKind::Binary}, e->text = op(), e->args = {sub(), sub()};
    }
    return e;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::string name() { return std::vector<std::string>{"x", "y", "sum", "gguf", "max", "table", "paged"}[static_cast<size_t>(pick(7))]; }
  std::string op() {
    static const std::vector<std::string> ops = {"+", "-", "*", "/", "%", "**", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">=", "and", "or"};
    return ops[static_cast<size_t>(pick(static_cast<int>(ops.size())))];
  }
  ast::ExprPtr range(int depth) {
    auto e = std::make_shared<ast::Expr>(ast::Expr{ast::ExprKind::Range});
    e->args = {expr(depth - 1), expr(depth - 1)};
    return e;
  }
  ast::ExprPtr named(const std::string& text) {
    auto e = std::make_shared<ast::Expr>(ast::Expr{ast::ExprKind::Name});
    e->text = text;
    return e;
  }
  void call(ast::Expr& e, int depth) {
    e = {ast::ExprKind::Call};
    e.args = {named(name()), expr(depth - 1)};
    if (pick(3) == 0) e.type_args = {named("W"), expr(depth - 1)};
    if (pick(3) == 0) e.named = {{"eps", expr(depth - 1)}};
  }
  void reduce(ast::Expr& e, int depth) {
    e = {ast::ExprKind::Reduce};
    e.text = "sum", e.args = {expr(depth - 1)}, e.binders = {{"i", expr(depth - 1), expr(depth - 1), {}}, {"j", nullptr, nullptr, {}}};
  }
  std::mt19937 random_;
};

TEST(Syntax, RandomTreesRoundTrip) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    ast::File file;
    Trees trees(seed);
    ast::ModelDecl m;
    m.name = "m";
    m.config.push_back({"c", std::nullopt, false, {{"gguf", trees.expr(4)}, {"", trees.expr(4)}}, {}});
    m.forward.push_back({ast::StmtKind::Assign, {}, "a", {}, trees.expr(5)});
    file.models.push_back(m);
    std::string text = print(file);
    Parsed p = parse(source(text));
    ASSERT_TRUE(p.errors.empty()) << "seed " << seed << "\n" << render(p.errors);
    ASSERT_EQ(print_tree(p.file), print_tree(file)) << "seed " << seed << "\n" << text;
  }
}

TEST(Syntax, Reductions) {
  EXPECT_EQ(tree("sum[k](x[t, k] * w[n, k])"), "(sum [k] (* (index x t k) (index w n k)))");
  EXPECT_EQ(tree("max[i, j in 0..n + 1](x[i, j])"), "(max [i] [j 0 (+ n 1)] (index x i j))");
  EXPECT_EQ(tree("sum[g]"), "(index sum g)");
  EXPECT_EQ(tree("max(a, b)"), "(call max a b)");
  EXPECT_EQ(tree("sum[k]"), "(index sum k)");
  EXPECT_EQ(tree("sum[k](a, b)"), "error: 'sum' over an index takes one expression: sum[k](x[k])");
}

TEST(Syntax, Numbers) {
  EXPECT_EQ(tree("0xFF_ff"), "65535");
  EXPECT_EQ(tree("1_000"), "1000");
  EXPECT_EQ(tree("[1.5e-3, 2e4, 0..n]"), "(list 1.5e-3 2e4 (range 0 n))");
  EXPECT_EQ(tree("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(tree("9223372036854775808"), "error: this number does not fit 64 bits");
  EXPECT_EQ(tree("1e999"), "error: this number is outside the range of a 64-bit float");
  EXPECT_EQ(tree("12abc"), "error: malformed number '12abc'");
  EXPECT_EQ(tree("0x"), "error: malformed number '0x'");
  EXPECT_EQ(tree("1e+"), "error: malformed number '1e+'");
}

TEST(Syntax, HostileNestingIsAnErrorNotACrash) {
  auto repeat = [](const std::string& s, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  const int n = 100000;
  for (const std::string& text :
       {repeat("(", n), repeat("[", n), repeat("-", n) + "1", repeat("not ", n) + "a", repeat("f(", n), repeat("a[", n), repeat("sum[k](", n),
        repeat("sum[", n), repeat("f<", n), repeat("if a then ", n), "a" + repeat("[0]", n), "a" + repeat(" + a", n), repeat("a ** ", n) + "a",
        repeat("(", n) + "a" + repeat(")", n), "a" + repeat(".b", n), repeat("[", n) + repeat(")", n)}) {
    SCOPED_TRACE(text.substr(0, 12));
    EXPECT_FALSE(parse(source("let it = " + text + "\n")).errors.empty());
  }
  for (const std::string& text : {repeat("for i in 0..1 {\n", n), repeat("if a {\n", n), repeat("if a { } else ", n)}) {
    SCOPED_TRACE(text.substr(0, 12));
    EXPECT_FALSE(parse(source("fn f() {\n" + text)).errors.empty());
  }
  EXPECT_FALSE(parse(source("model m { weights {\n" + repeat("layer[l in 0..1] {\n", n))).errors.empty());
  EXPECT_FALSE(parse(source("format f { block [1] { a: " + repeat("t<", n))).errors.empty());
  Parsed many = parse(source(repeat("fn\n", n)));
  EXPECT_EQ(many.errors.size(), 20u);
}

TEST(Syntax, TruncatedAnywhere) {
  std::string text = read(std::filesystem::path(LUMEN_SOURCE_DIR) / "lum" / "models" / "llama.lum");
  for (size_t i = 0; i < text.size(); i += 7) {
    Parsed p = parse(source(text.substr(0, i)));
    if (p.errors.empty()) print(p.file);
  }
}

std::string run_case(const filetest::Case& c) {
  Parsed p = parse(source(c.input, c.name));
  std::string out = render(p.errors);
  if (c.command == "errors") return out;
  if (!out.empty()) return out;
  if (c.command == "tree") return print_tree(p.file);
  if (c.command == "print") {
    round_trip(c.input, c.name);
    return print(p.file);
  }
  return "unknown command '" + c.command + "': expected print, tree or errors";
}

TEST(Syntax, ParseFiles) { filetest::run_filetests("parse", run_case); }
TEST(Syntax, ErrorFiles) { filetest::run_filetests("error", run_case); }

// Every ```lum block of the guide parses as it stands.
TEST(Syntax, GuideExamples) {
  std::istringstream guide(read(std::filesystem::path(LUMEN_SOURCE_DIR) / "docs" / "language.md"));
  std::string line, block;
  int count = 0, line_no = 0;
  bool inside = false;
  while (std::getline(guide, line)) {
    ++line_no;
    if (!inside && line.starts_with("```lum")) {
      inside = true;
      block.clear();
    } else if (inside && line == "```") {
      inside = false;
      round_trip(block, "docs/language.md, example ending at line " + std::to_string(line_no));
      ++count;
    } else if (inside) {
      block += line + "\n";
    }
  }
  EXPECT_FALSE(inside);
  EXPECT_GE(count, 5);
}

}  // namespace
}  // namespace lumen::syntax
