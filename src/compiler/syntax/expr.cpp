// Expressions: a Pratt parser. See parser_impl.h for the binding powers.
#include <charconv>
#include <cmath>

#include "compiler/syntax/parser_impl.h"

namespace lumen::syntax {

using ast::Expr;
using ast::ExprKind;
using ast::ExprPtr;

Power power_of(std::string_view op) {
  struct Row {
    std::string_view text;
    Power power;
  };
  constexpr Row kRows[] = {{"or", kOr},      {"and", kAnd},    {"==", kCompare}, {"!=", kCompare}, {"<", kCompare}, {"<=", kCompare},
                           {">", kCompare},  {">=", kCompare}, {"|", kBitOr},    {"^", kBitXor},   {"&", kBitAnd},  {"<<", kShift},
                           {">>", kShift},   {"+", kAdd},      {"-", kAdd},      {"*", kMul},      {"/", kMul},     {"%", kMul},
                           {"**", kPow}};
  for (const Row& r : kRows) {
    if (r.text == op) return r.power;
  }
  return kLoose;
}

bool is_reduction(std::string_view name) { return name == "sum" || name == "max" || name == "min" || name == "softmax_sum"; }
bool is_source(std::string_view name) { return name == "gguf" || name == "hf" || name == "mlx"; }

ExprPtr Parser::make(Expr e, const Token& from) {
  e.span = span(from);
  auto add = [&e](const ExprPtr& child) {
    if (child) e.height = std::max(e.height, child->height + 1);
  };
  for (const ExprPtr& a : e.args) add(a);
  for (const auto& n : e.named) add(n.second);
  for (const ExprPtr& a : e.type_args) add(a);
  for (const ast::Binder& b : e.binders) add(b.lo), add(b.hi);
  if (e.height > ast::kMaxHeight) {
    fail(from, "this expression is nested too deeply: at most " + std::to_string(ast::kMaxHeight) + " levels are allowed");
    e = Expr{ExprKind::Bool, e.span};
  }
  return std::make_shared<const Expr>(std::move(e));
}

// The binary operator under the cursor, `>>` joined; power kLoose where there is none.
Token Parser::binary_ahead(Power& power) const {
  Token t = peek();
  power = kLoose;
  if (t.kind != Tk::Punct && t.kind != Tk::Name) return t;
  const Token& second = peek(1);
  if (t.text == ">" && second.touches && (is(second, ">") || is(second, ">="))) {
    if (second.text == ">") t.text = ">>", t.end = second.end;
  }
  if (t.text == "|" && no_bit_or_) return t;
  power = power_of(t.text);
  return t;
}

ExprPtr Parser::expr(int min_power) {
  Token from = peek();
  if (!deeper(from)) return make({ExprKind::Bool}, from);
  ExprPtr left = prefix(min_power);
  while (!failed_) {
    Power power;
    Token op = binary_ahead(power);
    if (power == kLoose || power < min_power) break;
    next();
    if (op.text == ">>") next();
    skip_newlines();
    ExprPtr right = expr(power == kPow ? kMinus : power + 1);
    left = make({ExprKind::Binary, {}, std::string(op.text), 0, 0, {left, right}}, from);
    if (power == kCompare) {
      Power again;
      Token second = binary_ahead(again);
      if (again == kCompare) fail(second, "comparisons do not chain: join two with 'and', or use parentheses");
    }
  }
  shallower();
  return left;
}

ExprPtr Parser::prefix(int min_power) {
  Token from = peek();
  if (at("-")) {
    next();
    ExprPtr of = expr(kMinus);
    return make({ExprKind::Unary, {}, "-", 0, 0, {of}}, from);
  }
  if (at("not")) {
    if (min_power > kNot) fail(from, "'not' inside an operation needs parentheses around it");
    next();
    ExprPtr of = expr(kNot);
    return make({ExprKind::Unary, {}, "not", 0, 0, {of}}, from);
  }
  if (at("if")) {
    if (min_power > kLoose) fail(from, "'if' inside an operation needs parentheses around it");
    return if_expr();
  }
  return postfix(primary(), from);
}

ExprPtr Parser::if_expr() {
  Token from = next();
  ExprPtr cond = expr();
  skip_newlines();
  expect("then", "the condition of 'if'");
  skip_newlines();
  ExprPtr yes = expr();
  // A line may end before 'else'; anything else there is the next statement, and this 'if' lacks its else.
  size_t keep = at_;
  skip_newlines();
  if (!at("else")) {
    at_ = keep;
    expected("'else': an 'if' that is a value has both sides");
  }
  next();
  skip_newlines();
  ExprPtr no = expr();
  return make({ExprKind::If, {}, "", 0, 0, {cond, yes, no}}, from);
}

ExprPtr Parser::number() {
  Token t = next();
  Expr e{t.kind == Tk::Int ? ExprKind::Int : ExprKind::Float};
  e.text = std::string(t.text);
  std::string digits;
  for (char c : t.text) {
    if (c != '_') digits += c;
  }
  const char* begin = digits.data();
  const char* end = begin + digits.size();
  if (t.kind == Tk::Int) {
    bool hex = digits.size() > 1 && (digits[1] == 'x' || digits[1] == 'X');
    auto r = std::from_chars(begin + (hex ? 2 : 0), end, e.ival, hex ? 16 : 10);
    if (r.ec == std::errc::result_out_of_range) fail(t, "this number does not fit 64 bits");
  } else {
    auto r = std::from_chars(begin, end, e.fval);
    if (r.ec == std::errc::result_out_of_range) fail(t, "this number is outside the range of a 64-bit float");
  }
  return make(std::move(e), t);
}

ExprPtr Parser::primary() {
  Token t = peek();
  if (t.kind == Tk::Int || t.kind == Tk::Float) return number();
  if (t.kind == Tk::String) {
    next();
    Expr e{ExprKind::String};
    std::string error;
    if (!unescape(t.text, e.text, error)) fail(t, error);
    return make(std::move(e), t);
  }
  if (at("true") || at("false")) {
    next();
    Expr e{ExprKind::Bool};
    e.ival = t.text == "true";
    return make(std::move(e), t);
  }
  bool pipe = no_bit_or_;
  no_bit_or_ = false;
  ExprPtr result;
  if (at("(")) {
    next();
    result = expr();
    expect_close(")", t);
  } else if (at("[")) {
    next();
    Expr e{ExprKind::List};
    arguments(e, "]", false);
    expect_close("]", t);
    result = make(std::move(e), t);
  } else if (t.kind == Tk::Name && is_reduction(t.text) && is(peek(1), "[") && peek(1).match > 0 && is(tokens_[peek(1).match + 1], "(")) {
    result = reduce();
  } else if (t.kind == Tk::Name && !is_reserved(t.text)) {
    next();
    Expr e{ExprKind::Name};
    e.text = std::string(t.text);
    result = make(std::move(e), t);
  } else {
    expected("an expression");
    result = make({ExprKind::Bool}, t);
  }
  no_bit_or_ = pipe;
  return result;
}

// name[binders](args…)
ExprPtr Parser::reduce() {
  Token name = next();
  Expr e{ExprKind::Reduce};
  e.text = std::string(name.text);
  Token open = next();
  e.binders = binders();
  expect_close("]", open);
  open = next();
  arguments(e, ")", false);
  expect_close(")", open);
  bool softmax = e.text == "softmax_sum";
  size_t least = softmax ? 2 : 1, most = softmax ? 3 : 1;
  if (!failed_ && (e.args.size() < least || e.args.size() > most)) {
    fail(name, softmax ? "softmax_sum takes a score, a value and perhaps a sink: softmax_sum[j in lo..hi](score, value, sink)"
                       : "'" + e.text + "' over an index takes one expression: " + e.text + "[k](x[k])");
  }
  return make(std::move(e), name);
}

// k    j in lo..hi    several, separated by commas
std::vector<ast::Binder> Parser::binders() {
  std::vector<ast::Binder> out;
  do {
    Token from = peek();
    ast::Binder b;
    b.name = expect_name("the name of an index");
    if (accept("in")) {
      b.lo = expr();
      expect("..", "the lower bound");
      b.hi = expr();
    }
    b.span = span(from);
    out.push_back(std::move(b));
  } while (accept(","));
  return out;
}

ExprPtr Parser::range_or_expr() {
  Token from = peek();
  ExprPtr lo = expr();
  if (!accept("..")) return lo;
  ExprPtr hi = expr();
  return make({ExprKind::Range, {}, "", 0, 0, {lo, hi}}, from);
}

// What stands between brackets: expressions or ranges, then (calls only) name = expression. A comma may stand behind the last.
void Parser::arguments(Expr& e, std::string_view close, bool named) {
  while (!failed_ && !at(close)) {
    Token t = peek();
    if (named && t.kind == Tk::Name && is(peek(1), "=")) {
      std::string name = expect_name("an argument's name");
      next();
      for (const auto& other : e.named) {
        if (other.first == name) fail(t, "the argument '" + name + "' is given twice");
      }
      e.named.emplace_back(name, range_or_expr());
    } else {
      if (!e.named.empty()) fail(t, "arguments without a name stand before those with one");
      e.args.push_back(range_or_expr());
    }
    if (!accept(",")) break;
  }
}

// Calls, indices and fields behind a value.
ExprPtr Parser::postfix(ExprPtr left, const Token& from) {
  bool pipe = no_bit_or_;
  while (!failed_) {
    Token open = peek();
    Expr e{ExprKind::Call};
    e.args.push_back(left);
    no_bit_or_ = false;
    if (at("(") || (left->kind == ExprKind::Name && at("<") && type_args_ahead())) {
      if (left->kind != ExprKind::Name) fail(open, "only a name can be called");
      if (at("<")) e.type_args = type_args();
      open = next();
      arguments(e, ")", true);
      expect_close(")", open);
    } else if (at("[")) {
      next();
      e.kind = ExprKind::Index;
      arguments(e, "]", false);
      if (e.args.size() == 1) expected("an index");
      expect_close("]", open);
    } else if (at(".")) {
      next();
      e.kind = ExprKind::Field;
      e.text = expect_name("a field's name");
    } else {
      break;
    }
    no_bit_or_ = pipe;
    left = make(std::move(e), from);
  }
  no_bit_or_ = pipe;
  return left;
}

// `<` opens type arguments where it touches the name before it, only names, numbers, commas, parentheses (whatever is in them) and
// such lists stand up to its '>', and that '>' touches a '('. Everything else is a comparison. Looks at most kReach tokens ahead.
bool Parser::type_args_ahead() const {
  constexpr size_t kReach = 64;
  if (!peek().touches) return false;
  int angle = 0;
  size_t i = at_;
  for (size_t seen = 0; seen < kReach; ++seen, ++i) {
    const Token& t = tokens_[i];
    if (is(t, "(")) {
      if (t.match < 0) return false;
      i = static_cast<size_t>(t.match);
    } else if (is(t, "<")) {
      if (!t.touches) return false;
      ++angle;
    } else if (is(t, ">")) {
      if (--angle == 0) return is(tokens_[i + 1], "(") && tokens_[i + 1].touches;
    } else if (t.kind == Tk::Name ? is_reserved(t.text) : t.kind != Tk::Int && t.kind != Tk::Float && !is(t, ",")) {
      return false;
    }
  }
  return false;
}

std::vector<ExprPtr> Parser::type_args() {
  Token open = next();
  std::vector<ExprPtr> out;
  do {
    out.push_back(type_arg());
  } while (accept(","));
  expect_close(">", open);
  return out;
}

// name    name<…>    32    1.5    (any expression)
ExprPtr Parser::type_arg() {
  Token from = peek();
  if (!deeper(from)) return make({ExprKind::Bool}, from);
  ExprPtr result;
  if (from.kind == Tk::Name) {
    Expr e{ExprKind::Name};
    e.text = expect_name("a type argument");
    if (at("<")) e.type_args = type_args();
    result = make(std::move(e), from);
  } else if (from.kind == Tk::Int || from.kind == Tk::Float || at("(")) {
    result = primary();
  } else {
    expected("a type argument: a name, a number, or an expression in parentheses");
    result = make({ExprKind::Bool}, from);
  }
  shallower();
  return result;
}

}  // namespace lumen::syntax
