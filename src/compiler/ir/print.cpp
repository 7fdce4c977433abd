// The text form of functions. Grammar (read.cpp reads exactly this; `#` starts a comment to the end of the line):
//   function  = "func" string ["bounds" "(" symbol "<=" int, … ")"] "{" value… "return" "%id", … "}"
//   value     = "%id" [string] ":" type "=" operation [role]
//   type      = f32[T, 576] | nibbles<32>[49152, 576] (a format's name) | @f16[4] (a format with the name of a scalar type)
//   operation = "param" | "compute" operands axes body | "scatter" operands axes "over" dims "at" "(" body, … ")" body
//             | "reshape" "(%id)" | "const" ("[" numbers "]" | "0x…")
//   body      = expr | "{" ("let" name "=" expr ";")… expr "}"
//   expr      = 3 | 3:u8 | 1.5 | axis or i4 | T' (extent) | op(expr, …) | f32(expr) | bitcast<i32>(expr) | %1[expr, …]
//             | table<i8>[1, 2](expr) | sum(i2: lo, hi, body) | softmax_sum(i2: lo, hi, score, value, sink)
//             | dot(%1[…], %2[…]) | a let's name
// A let names an expression, not a value: it may use any index, bound or not where it stands. An operand that stands twice in
// a list is written with its place: %1'0, %1'1.
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>
#include <unordered_map>

#include "compiler/ir/text.h"

namespace lumen::ir {

std::string quote(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    unsigned char b = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (b < 0x20 || b == 0x7F) {
      constexpr char hex[] = "0123456789abcdef";
      out += "\\x";
      out += hex[b >> 4];
      out += hex[b & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

bool is_index_name(const std::string& s) {  // i0, i12
  if (s.size() < 2 || s.size() > 9 || s[0] != 'i' || (s[1] == '0' && s.size() > 2)) return false;
  for (size_t i = 1; i < s.size(); ++i)
    if (s[i] < '0' || s[i] > '9') return false;
  return true;
}

bool is_identifier(const std::string& s) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (s.empty() || !letter(s[0])) return false;
  for (char c : s)
    if (!letter(c) && (c < '0' || c > '9')) return false;
  return true;
}

std::vector<std::string> axis_spellings(const std::vector<std::string>& axes) {
  std::vector<std::string> out;
  std::set<std::string> taken;
  for (size_t i = 0; i < axes.size(); ++i) {
    std::string own = "i" + std::to_string(i);
    bool let = axes[i].size() > 1 && axes[i].front() == 'v' && axes[i].back() == '_';
    bool other = let || axes[i] == "inf" || axes[i] == "nan" || (is_index_name(axes[i]) && axes[i] != own);
    bool good = is_identifier(axes[i]) && !other && taken.insert(axes[i]).second;
    out.push_back(good ? axes[i] : own);
  }
  return out;
}

namespace {

template <class T>
std::string shortest(T v) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  return std::string(buffer, end);
}
std::string float_text(float v) {
  if (std::isnan(v)) return "nan";
  std::string s = shortest(v);
  return s.find_first_not_of("-0123456789") == std::string::npos ? s + ".0" : s;  // 3 would be an integer; inf and nan stand
}

// Prints the expressions of one value; nodes that stand in several places become lets.
class ExprPrinter {
 public:
  explicit ExprPrinter(const Value* v) : v_(v) {
    if (v) axes_ = axis_spellings(v->axes);
  }

  // The lets that `e` needs, as lines, and then the expression.
  std::string body(const ExprPtr& e, bool always_braces = true) {
    count(*e);
    std::string lets = name_shared(*e), last = text(*e);
    if (!lets.empty()) return "{\n" + lets + "    " + last + "\n  }";
    return always_braces ? "{ " + last + " }" : last;
  }

 private:
  std::string text(const Expr& e) {
    auto it = names_.find(&e);
    return it != names_.end() ? it->second : node(e);
  }
  static bool worth_a_name(const Expr& e) {
    return e.kind != Ek::Int && e.kind != Ek::Float && e.kind != Ek::Index && e.kind != Ek::Extent && e.kind != Ek::Field;
  }
  void count(const Expr& e) {
    if (++uses_[&e] > 1) return;
    for (const ExprPtr& a : e.args) count(*a);
  }
  // Lets in the order in which they must stand: arguments first.
  std::string name_shared(const Expr& e) {
    if (!walked_.insert(&e).second) return "";
    std::string out;
    for (const ExprPtr& a : e.args) out += name_shared(*a);
    if (uses_[&e] > 1 && worth_a_name(e)) {
      std::string n = "v" + std::to_string(names_.size()) + "_";
      out += "    let " + n + " = " + node(e) + ";\n";
      names_[&e] = n;
    }
    return out;
  }

  std::string list(const std::vector<ExprPtr>& args, size_t from, size_t to) {
    std::string s;
    for (size_t i = from; i < to; ++i) s += (i > from ? ", " : "") + text(*args[i]);
    return s;
  }
  std::string index(int64_t n) { return n < static_cast<int64_t>(axes_.size()) ? axes_[static_cast<size_t>(n)] : "i" + std::to_string(n); }
  std::string operand(int n) {
    if (!v_ || n < 0 || n >= static_cast<int>(v_->operands.size())) return "$" + std::to_string(n);
    int id = v_->operands[static_cast<size_t>(n)], same = 0;
    for (int o : v_->operands) same += o == id;
    return "%" + std::to_string(id) + (same > 1 ? "'" + std::to_string(n) : "");
  }
  static std::string table_text(const Expr& e) {
    std::string s = "table<" + std::string(name(e.type)) + ">[";
    for (size_t i = 0; i < e.table->size(); ++i) s += (i ? ", " : "") + (std::isnan((*e.table)[i]) ? "nan" : shortest((*e.table)[i]));
    return s + "]";
  }

  std::string node(const Expr& e) {
    std::string type(name(e.type));
    size_t n = e.args.size();
    switch (e.kind) {
      case Ek::Int:
        return std::to_string(e.ival) + (e.type == DType::I32 ? "" : ":" + type);
      case Ek::Float:
        return float_text(static_cast<float>(e.fval));
      case Ek::Index:
        return index(e.ival);
      case Ek::Extent:
        return e.symbol + "'";
      case Ek::Op:
        return std::string(name(e.op)) + "(" + list(e.args, 0, n) + ")";
      case Ek::Cast:
        return type + "(" + text(*e.args[0]) + ")";
      case Ek::Bitcast:
        return "bitcast<" + type + ">(" + text(*e.args[0]) + ")";
      case Ek::Load:
        return operand(e.operand) + "[" + list(e.args, 0, n) + "]";
      case Ek::Field:
        return "field<" + std::to_string(e.ival) + ", " + type + ">[" + text(*e.args[0]) + "]";
      case Ek::Table:
        return table_text(e) + "(" + text(*e.args[0]) + ")";
      case Ek::Reduce:
        return std::string(name(e.reduction)) + "(i" + std::to_string(e.ival) + ": " + list(e.args, 0, n) + ")";
      case Ek::Dot: {
        size_t split = static_cast<size_t>(e.ival);
        return "dot(" + operand(e.operand) + "[" + list(e.args, 0, split) + "], " + operand(e.operand2) + "[" + list(e.args, split, n) +
               "])";
      }
    }
    return "";
  }

  const Value* v_;  // null: an expression by itself
  std::vector<std::string> axes_;
  std::unordered_map<const Expr*, int> uses_;
  std::unordered_map<const Expr*, std::string> names_;
  std::set<const Expr*> walked_;
};

std::string join(const std::vector<std::string>& parts) {
  std::string s;
  for (size_t i = 0; i < parts.size(); ++i) s += (i ? ", " : "") + parts[i];
  return s;
}
std::string ids(const std::vector<int>& operands) {
  std::vector<std::string> parts;
  for (int o : operands) parts.push_back("%" + std::to_string(o));
  return join(parts);
}

constexpr size_t kListedElements = 64;  // a longer constant is printed as bytes

// Elements as numbers where that keeps every bit, else bytes.
std::string const_text(const Value& v) {
  DType t = v.type.scalar;
  size_t size = static_cast<size_t>(size_of(t)), count = v.data.size() / size;
  bool listed = !v.type.format && count <= kListedElements && count * size == v.data.size() && (!is_float(t) || t == DType::F32);
  std::vector<std::string> parts;
  for (size_t i = 0; listed && i < count; ++i) {
    const uint8_t* p = v.data.data() + i * size;
    if (t == DType::F32) {
      float x;
      std::memcpy(&x, p, 4);
      if (std::isnan(x)) listed = false;  // a NaN's payload would be lost
      parts.push_back(float_text(x));
    } else {
      uint64_t bits = 0;
      std::memcpy(&bits, p, size);
      int shift = 64 - 8 * static_cast<int>(size);
      if (t == DType::Bool && bits > 1) listed = false;
      parts.push_back(is_signed(t) ? std::to_string(static_cast<int64_t>(bits << shift) >> shift) : std::to_string(bits));
    }
  }
  if (listed) return "const [" + join(parts) + "]";
  std::string s = "const 0x";
  constexpr char hex[] = "0123456789abcdef";
  for (uint8_t b : v.data) (s += hex[b >> 4]) += hex[b & 15];
  return s;
}

std::string compute_text(const Value& v) {
  return "compute(" + ids(v.operands) + ") [" + join(axis_spellings(v.axes)) + "] " + ExprPrinter(&v).body(v.body);
}

std::string scatter_text(const Value& v) {
  std::vector<std::string> dims, dest;
  for (const Dim& d : v.dims) dims.push_back(to_string(d));
  for (const ExprPtr& d : v.dest) dest.push_back(ExprPrinter(&v).body(d, false));
  return "scatter(" + ids(v.operands) + ") [" + join(axis_spellings(v.axes)) + "] over [" + join(dims) + "] at (" + join(dest) + ") " +
         ExprPrinter(&v).body(v.body);
}

std::string operation_text(const Value& v) {
  switch (v.kind) {
    case ValueKind::Param:
      return "param";
    case ValueKind::Compute:
      return compute_text(v);
    case ValueKind::Scatter:
      return scatter_text(v);
    case ValueKind::Reshape:
      return "reshape(" + ids(v.operands) + ")";
    case ValueKind::Const:
      return const_text(v);
  }
  return "";
}

}  // namespace

std::string_view name(Role r) {
  constexpr std::string_view names[] = {"", "input", "weight", "state"};
  return names[static_cast<int>(r)];
}

std::string print(const Function& f) {
  std::string s = "func " + quote(f.name);
  if (!f.bounds.empty()) {
    std::vector<std::string> parts;
    for (const auto& [symbol, bound] : f.bounds) parts.push_back(symbol + " <= " + std::to_string(bound));
    s += " bounds(" + join(parts) + ")";
  }
  s += " {\n";
  for (const Value& v : f.values) {
    s += "  %" + std::to_string(v.id) + (v.name.empty() ? "" : " " + quote(v.name)) + ": " + to_string(v.type) + " = " + operation_text(v);
    if (v.role != Role::None) s += " " + std::string(name(v.role));
    s += "\n";
  }
  return s + "  return " + ids(f.results) + "\n}\n";
}

std::string print(const ExprPtr& e) { return ExprPrinter(nullptr).body(e, false); }

}  // namespace lumen::ir
