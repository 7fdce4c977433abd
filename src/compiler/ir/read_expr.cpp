// Expressions of the IR's text form, by recursive descent with bounded nesting.
#include "compiler/ir/read_expr.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "compiler/ir/fold.h"
#include "compiler/ir/scalar.h"
#include "compiler/ir/text.h"

namespace lumen::ir {

namespace {
constexpr int kMaxNesting = 256;  // of the text
constexpr int kMaxDepth = 2000;   // of an expression through its lets: walks over it recurse
}  // namespace

bool ReaderBase::fail(const std::string& message) {
  if (error.empty()) {
    error = message;
    error_line = lex.peek().line;
  }
  lex.stop();
  return false;
}

bool ReaderBase::expect(std::string_view what) {
  if (accept(what)) return true;
  std::string found = lex.peek().kind == Tok::End ? "the end" : quote(std::string(lex.peek().text.substr(0, 40)));
  return fail("expected " + quote(std::string(what)) + ", found " + found);
}
bool ReaderBase::accept(std::string_view what) {
  if (!lex.is(what)) return false;
  lex.next();
  return true;
}
bool ReaderBase::name(std::string& out) {
  if (lex.peek().kind != Tok::Name) return fail("expected a name");
  out = lex.peek().text;
  lex.next();
  return true;
}

bool ReaderBase::string(std::string& out) {
  std::string_view s = lex.peek().text;
  if (lex.peek().kind != Tok::String || s.size() < 2 || s.back() != '"') return fail("expected a string in quotes");
  s = s.substr(1, s.size() - 2);
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    unsigned code = 0;
    if (i + 1 < s.size() && (s[i + 1] == '"' || s[i + 1] == '\\')) {
      out += s[++i];
    } else if (i + 3 < s.size() && s[i + 1] == 'x' &&
               std::from_chars(s.data() + i + 2, s.data() + i + 4, code, 16).ptr == s.data() + i + 4) {
      out += static_cast<char>(code);
      i += 3;
    } else {
      return fail("a string has an unknown escape");
    }
  }
  lex.next();
  return true;
}

bool ReaderBase::parse_integer(std::string_view s, int64_t& out) {
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
  return !s.empty() && ec == std::errc() && end == s.data() + s.size();
}
int64_t ReaderBase::wrap_to(int64_t v, DType t) { return wrap(v, t); }

bool ReaderBase::integer(int64_t& out) {
  if (lex.peek().kind != Tok::Number || !parse_integer(lex.peek().text, out)) return fail("expected an integer");
  lex.next();
  return true;
}
bool ReaderBase::float_number(float& out) {
  std::string_view s = lex.peek().text;
  if (lex.peek().kind != Tok::Number && s != "inf" && s != "nan") return fail("expected a number");
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
  if (ec != std::errc() || end != s.data() + s.size()) return fail(quote(std::string(s)) + " is not a number of type f32");
  lex.next();
  return true;
}

ExprReader::ExprReader(ReaderBase& r, const Function& f, const Value& v) : r_(r), f_(f), v_(v) {
  for (size_t i = 0; i < v.axes.size(); ++i) axes_.emplace(v.axes[i], static_cast<int>(i));
}

bool ExprReader::finish(ExprPtr e, int depth, Parsed& out) {
  out.e = std::move(e);
  out.depth = depth + 1;
  return out.depth <= kMaxDepth || r_.fail("the expression is nested deeper than " + std::to_string(kMaxDepth));
}

bool ExprReader::body(ExprPtr& out) {
  bool braces = r_.accept("{");
  lets_.clear();
  while (braces && r_.lex.is("let")) {
    r_.lex.next();
    std::string name;
    Parsed p;
    if (!r_.name(name) || !r_.expect("=") || !expr(p) || !r_.expect(";")) return false;
    if (!lets_.emplace(name, std::move(p)).second) return r_.fail("the name " + name + " is used for two lets");
  }
  Parsed p;
  if (!expr(p)) return false;
  out = std::move(p.e);
  return !braces || r_.expect("}");
}

bool ExprReader::expr(Parsed& out) {
  if (++nesting_ > kMaxNesting) return r_.fail("more than " + std::to_string(kMaxNesting) + " parentheses are open");
  const Token& t = r_.lex.peek();
  bool ok = t.kind == Tok::Number  ? number(out)
            : t.kind == Tok::Value ? load(out)
            : t.kind == Tok::Name  ? named(out)
                                   : r_.fail("expected an expression");
  --nesting_;
  return ok;
}

bool ExprReader::number(Parsed& out) {
  std::string_view s = r_.lex.peek().text;
  if (s.find_first_not_of("-0123456789") != std::string_view::npos) {
    float v = 0;
    return r_.float_number(v) && finish(make_float(v), 0, out);
  }
  int64_t v = 0;
  if (!r_.integer(v)) return false;
  DType t = DType::I32;
  if (r_.accept(":")) {
    std::string name;
    if (!r_.name(name)) return false;
    std::optional<DType> named = dtype_named(name);
    if (!named || is_float(*named)) return r_.fail(quote(name) + " is not an integer type");
    t = *named;
  }
  if (wrap(v, t) != v) return r_.fail(std::to_string(v) + " does not fit " + std::string(lumen::name(t)));
  return finish(make_int(v, t), 0, out);
}

bool ExprReader::named(Parsed& out) {
  std::string name;
  if (!r_.name(name)) return false;
  if (r_.lex.is("(") || r_.lex.is("<")) return call(name, out);
  if (r_.accept("'")) return finish(make_extent(name), 0, out);
  return variable(name, out);
}

bool ExprReader::variable(const std::string& name, Parsed& out) {
  if (auto axis = axes_.find(name); axis != axes_.end()) return finish(make_index(axis->second), 0, out);
  if (auto let = lets_.find(name); let != lets_.end()) {
    out = let->second;
    return true;
  }
  if (name == "inf") return finish(make_float(std::numeric_limits<double>::infinity()), 0, out);
  if (name == "nan") return finish(make_float(std::numeric_limits<double>::quiet_NaN()), 0, out);
  int64_t number = 0;
  if (is_index_name(name) && r_.parse_integer(std::string_view(name).substr(1), number))
    return finish(make_index(static_cast<int>(number)), 0, out);
  return r_.fail(quote(name) + " is not an axis, a let, or an index such as i2");
}

bool ExprReader::call(const std::string& name, Parsed& out) {
  if (name == "table") return table(out);
  if (name == "field") return field(out);
  if (name == "bitcast") return bitcast(out);
  if (name == "dot") return dot(out);
  for (Reduction r : {Reduction::Sum, Reduction::Max, Reduction::Min, Reduction::SoftmaxSum}) {
    if (name != ir::name(r)) continue;
    // max and min are operations as well: max(a, b) against max(i2: …)
    return r == Reduction::Sum || r == Reduction::SoftmaxSum ? reduce(r, out) : op_call(r == Reduction::Max ? Op::Max : Op::Min, out);
  }
  if (std::optional<DType> t = dtype_named(name)) return conversion(*t, false, out);
  for (int i = 0; i <= static_cast<int>(Op::Select); ++i)
    if (name == ir::name(static_cast<Op>(i))) return op_call(static_cast<Op>(i), out);
  return r_.fail("unknown operation " + quote(name));
}

bool ExprReader::arguments(std::string_view end, std::vector<ExprPtr>& out, int& depth) {
  if (r_.accept(end)) return true;
  do {
    Parsed p;
    if (!expr(p)) return false;
    depth = std::max(depth, p.depth);
    out.push_back(std::move(p.e));
  } while (r_.accept(","));
  return r_.expect(end);
}

bool ExprReader::op_call(Op op, Parsed& out) {
  if (!r_.expect("(")) return false;
  std::vector<ExprPtr> args;
  int depth = 0;
  if (op == Op::Max || op == Op::Min) {
    // The variable of a reduction and the first argument both begin with a name: the colon decides.
    if (r_.lex.peek().kind == Tok::Name && is_index_name(std::string(r_.lex.peek().text))) {
      Lexer before = r_.lex;
      r_.lex.next();
      bool reduction = r_.lex.is(":");
      r_.lex = before;
      if (reduction) return reduce(op == Op::Max ? Reduction::Max : Reduction::Min, out);
    }
  }
  if (!arguments(")", args, depth)) return false;
  std::vector<DType> types;
  for (const ExprPtr& a : args) types.push_back(a->type);
  std::string error = op_error(op, types);
  return error.empty() ? finish(make_op(op, std::move(args)), depth, out) : r_.fail(error);
}

bool ExprReader::conversion(DType to, bool bits, Parsed& out) {
  Parsed p;
  if (!r_.expect("(") || !expr(p) || !r_.expect(")")) return false;
  DType from = p.e->type;
  if (to == DType::F64 || from == DType::F64) return r_.fail("there is no f64 arithmetic");
  if (!bits) return finish(make_cast(std::move(p.e), to), p.depth, out);
  if (size_of(from) != size_of(to) || from == DType::Bool || to == DType::Bool)
    return r_.fail("bitcast from " + std::string(lumen::name(from)) + " to " + std::string(lumen::name(to)));
  return finish(make_bitcast(std::move(p.e), to), p.depth, out);
}

bool ExprReader::type_argument(DType& t) {
  std::string name;
  if (!r_.name(name)) return false;
  std::optional<DType> named = dtype_named(name);
  if (!named || *named == DType::F64) return r_.fail(quote(name) + " is not a type of the IR's arithmetic");
  t = *named;
  return r_.expect(">");
}

bool ExprReader::bitcast(Parsed& out) {
  DType t{};
  return r_.expect("<") && type_argument(t) && conversion(t, true, out);
}

bool ExprReader::field(Parsed& out) {
  int64_t number = 0;
  DType t{};
  std::vector<ExprPtr> index;
  int depth = 0;
  if (!r_.expect("<") || !r_.integer(number) || !r_.expect(",") || !type_argument(t) || !row(index, depth)) return false;
  if (number < 0 || number > 1000 || index.size() != 1) return r_.fail("a field has a number and one index");
  return finish(make_field(static_cast<int>(number), t, std::move(index[0])), depth, out);
}

bool ExprReader::table(Parsed& out) {
  DType t{};
  if (!r_.expect("<") || !type_argument(t) || !r_.expect("[")) return false;
  auto values = std::make_shared<std::vector<double>>();
  if (!r_.accept("]")) {
    do {
      std::string_view s = r_.lex.peek().text;
      double v = 0;
      auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
      if (s.empty() || ec != std::errc() || end != s.data() + s.size()) return r_.fail("expected a number");
      if (!is_float(t) && !(std::fabs(v) < 0x1p63)) return r_.fail("a table of integers holds " + std::string(s));
      values->push_back(v);
      r_.lex.next();
    } while (r_.accept(","));
    if (!r_.expect("]")) return false;
  }
  Parsed p;
  if (!r_.expect("(") || !expr(p) || !r_.expect(")")) return false;
  if (!is_integer(p.e->type)) return r_.fail("a table's index must be an integer");
  return finish(make_table(std::move(values), t, std::move(p.e)), p.depth, out);
}

bool ExprReader::reduce(Reduction r, Parsed& out) {
  if (r == Reduction::Sum || r == Reduction::SoftmaxSum)
    if (!r_.expect("(")) return false;
  std::string variable;
  if (!r_.name(variable) || !r_.expect(":")) return false;
  int64_t number = 0;
  if (!is_index_name(variable) || !r_.parse_integer(std::string_view(variable).substr(1), number))
    return r_.fail("the variable of a reduction is written i2, i3, …, not " + quote(variable));
  std::vector<ExprPtr> args;
  int depth = 0;
  if (!arguments(")", args, depth)) return false;
  bool softmax = r == Reduction::SoftmaxSum;
  std::string what(ir::name(r));
  if (softmax ? args.size() != 4 && args.size() != 5 : args.size() != 3)
    return r_.fail(what + " has " + std::to_string(args.size()) + " arguments");
  if (!is_integer(args[0]->type) || args[0]->type != args[1]->type)
    return r_.fail("the bounds of " + what + " must be integers of one type");
  DType t = args[2]->type;
  if (t == DType::Bool || t == DType::F64) return r_.fail(what + " of " + std::string(lumen::name(t)));
  for (size_t i = 2; softmax && i < args.size(); ++i)
    if (args[i]->type != DType::F32) return r_.fail(what + " needs f32, not " + std::string(lumen::name(args[i]->type)));
  return finish(make_reduce(r, static_cast<int>(number), std::move(args)), depth, out);
}

bool ExprReader::operand(int& number) {
  int64_t id = 0;
  if (r_.lex.peek().kind != Tok::Value || !r_.parse_integer(r_.lex.peek().text, id)) return r_.fail("expected an operand such as %0");
  std::string text(r_.lex.peek().text);
  r_.lex.next();
  const std::vector<int>& ops = v_.operands;
  if (r_.accept("'")) {
    int64_t place = 0;
    if (!r_.integer(place)) return false;
    if (place < 0 || place >= static_cast<int64_t>(ops.size()) || ops[static_cast<size_t>(place)] != id)
      return r_.fail("operand " + std::to_string(place) + " is not %" + text);
    number = static_cast<int>(place);
    return true;
  }
  auto it = std::find(ops.begin(), ops.end(), id);
  if (it == ops.end()) return r_.fail("%" + text + " is not among the operands");
  number = static_cast<int>(it - ops.begin());
  return true;
}

bool ExprReader::row(std::vector<ExprPtr>& out, int& depth) {
  if (!r_.expect("[") || !arguments("]", out, depth)) return false;
  for (const ExprPtr& e : out)
    if (!is_integer(e->type)) return r_.fail("an index has type " + std::string(lumen::name(e->type)));
  return true;
}

bool ExprReader::load(Parsed& out) {
  int number = 0, depth = 0;
  std::vector<ExprPtr> index;
  if (!operand(number) || !row(index, depth)) return false;
  const Type& t = f_.values[static_cast<size_t>(v_.operands[static_cast<size_t>(number)])].type;
  return finish(make_load(number, t.format ? DType::F32 : t.scalar, std::move(index)), depth, out);
}

bool ExprReader::dot(Parsed& out) {
  int x = 0, w = 0, depth = 0;
  std::vector<ExprPtr> x_row, w_row;
  if (!r_.expect("(") || !operand(x) || !row(x_row, depth) || !r_.expect(",") || !operand(w) || !row(w_row, depth) || !r_.expect(")"))
    return false;
  return finish(make_dot(x, std::move(x_row), w, std::move(w_row)), depth, out);
}

}  // namespace lumen::ir
