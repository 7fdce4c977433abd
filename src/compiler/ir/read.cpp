// Reads the text form of functions (grammar: print.cpp). Everything the makers assert is checked here first, so that no text can
// stop the program; what is left to the verifier is the rules between values.
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "compiler/ir/read_expr.h"
#include "compiler/ir/text.h"

namespace lumen::ir {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 40;

class Reader : ReaderBase {
 public:
  Reader(const std::string& text, const FindFormat& find) : ReaderBase(text), find_(find) {}

  Result<Function> run() {
    if (function()) return std::move(f_);
    return Error{"line " + std::to_string(error_line) + ": " + error};
  }

 private:
  bool function() {
    if (!expect("func") || !string(f_.name)) return false;
    if (lex.is("bounds") && !bounds()) return false;
    if (!expect("{")) return false;
    while (lex.peek().kind == Tok::Value)
      if (!value()) return false;
    if (!expect("return")) return false;
    if (lex.peek().kind == Tok::Value && !id_list(f_.results)) return false;
    if (!expect("}")) return false;
    return lex.peek().kind == Tok::End || fail("expected the end of the text");
  }

  bool bounds() {
    lex.next();
    if (!expect("(")) return false;
    do {
      std::string symbol;
      int64_t bound = 0;
      if (!name(symbol) || !expect("<=") || !integer(bound)) return false;
      if (!f_.bounds.emplace(symbol, bound).second) return fail("the symbol " + symbol + " is bounded twice");
    } while (accept(","));
    return expect(")");
  }

  bool value_id(int& id) {
    if (lex.peek().kind != Tok::Value) return fail("expected a value such as %0");
    int64_t v = 0;
    if (!parse_integer(lex.peek().text, v) || v >= static_cast<int64_t>(f_.values.size()))
      return fail("%" + std::string(lex.peek().text) + " is not defined");
    id = static_cast<int>(v);
    lex.next();
    return true;
  }
  bool id_list(std::vector<int>& out) {
    do {
      int id = 0;
      if (!value_id(id)) return false;
      out.push_back(id);
    } while (accept(","));
    return true;
  }
  bool operand_list(std::vector<int>& out) {
    if (!expect("(")) return false;
    if (lex.peek().kind == Tok::Value && !id_list(out)) return false;
    return expect(")");
  }

  bool dims(std::vector<Dim>& out) {
    if (!expect("[")) return false;
    if (accept("]")) return true;
    do {
      if (lex.peek().kind == Tok::Name) {
        out.emplace_back(std::string(lex.peek().text));
        lex.next();
        continue;
      }
      int64_t v = 0;
      if (!integer(v)) return false;
      if (v < 0 || v > kMaxDim) return fail("dimension " + std::to_string(v) + " is out of range");
      out.emplace_back(v);
    } while (accept(","));
    return expect("]");
  }

  bool type(Type& t) {
    std::string text(lex.type_name());
    if (text.empty()) return fail("expected a type such as f32[T, 64]");
    bool format = text[0] == '@';
    if (format) text.erase(0, 1);
    std::optional<DType> scalar = dtype_named(text);
    if (scalar && !format) {
      t.scalar = *scalar;
    } else {
      t.format = find_ ? find_(text) : nullptr;
      if (!t.format) return fail("unknown type or format " + quote(text));
    }
    return dims(t.dims);
  }

  bool value() {
    int64_t number = 0;
    if (!parse_integer(lex.peek().text, number) || number != static_cast<int64_t>(f_.values.size()))
      return fail("expected %" + std::to_string(f_.values.size()) + ", found %" + std::string(lex.peek().text));
    lex.next();
    Value v;
    v.id = static_cast<int>(number);
    if (lex.peek().kind == Tok::String && !string(v.name)) return false;
    if (!expect(":") || !type(v.type) || !expect("=") || !operation(v)) return false;
    for (Role r : {Role::Input, Role::Weight, Role::State})
      if (lex.is(ir::name(r))) {
        v.role = r;
        lex.next();
        break;
      }
    f_.values.push_back(std::move(v));
    return true;
  }

  bool operation(Value& v) {
    std::string what;
    if (!name(what)) return false;
    if (what == "param") return true;
    if (what == "const") {
      v.kind = ValueKind::Const;
      return constant(v);
    }
    if (what == "reshape") {
      v.kind = ValueKind::Reshape;
      if (!operand_list(v.operands)) return false;
      return v.operands.size() == 1 || fail("a reshape takes one operand");
    }
    if (what != "compute" && what != "scatter") return fail("unknown operation " + quote(what));
    v.kind = what == "compute" ? ValueKind::Compute : ValueKind::Scatter;
    if (!operand_list(v.operands) || !axes(v)) return false;
    ExprReader exprs(*this, f_, v);
    if (v.kind == ValueKind::Compute) {
      v.dims = v.type.dims;
      return exprs.body(v.body);
    }
    if (!expect("over") || !dims(v.dims) || !expect("at") || !expect("(")) return false;
    if (!lex.is(")")) {
      do {
        ExprPtr e;
        if (!exprs.body(e)) return false;
        v.dest.push_back(std::move(e));
      } while (accept(","));
    }
    return expect(")") && exprs.body(v.body);
  }

  bool axes(Value& v) {
    if (!expect("[")) return false;
    if (accept("]")) return true;
    do {
      std::string a;
      if (!name(a)) return false;
      v.axes.push_back(std::move(a));
    } while (accept(","));
    return expect("]");
  }

  bool constant(Value& v) {
    if (lex.peek().kind == Tok::Bytes) {
      std::string_view hex = lex.peek().text;
      if (hex.size() % 2) return fail("an odd number of hex digits");
      for (size_t i = 0; i < hex.size(); i += 2) {
        unsigned b = 0;
        std::from_chars(hex.data() + i, hex.data() + i + 2, b, 16);
        v.data.push_back(static_cast<uint8_t>(b));
      }
      lex.next();
      return true;
    }
    DType t = v.type.scalar;
    if (v.type.format || (is_float(t) && t != DType::F32)) return fail("a constant of this type is written as bytes, 0x…");
    if (!expect("[")) return false;
    if (accept("]")) return true;
    do {
      uint64_t bits = 0;
      if (t == DType::F32) {
        float x = 0;
        if (!float_number(x)) return false;
        uint32_t b;
        std::memcpy(&b, &x, 4);
        bits = b;
      } else if (!element_bits(t, bits)) {
        return false;
      }
      for (int i = 0; i < size_of(t); ++i) v.data.push_back(static_cast<uint8_t>(bits >> (8 * i)));
    } while (accept(","));
    return expect("]");
  }
  bool element_bits(DType t, uint64_t& bits) {
    int64_t v = 0;
    if (t == DType::U64) {
      std::string_view s = lex.peek().text;
      if (lex.peek().kind != Tok::Number || std::from_chars(s.data(), s.data() + s.size(), bits).ptr != s.data() + s.size())
        return fail("expected a number of type u64");
      lex.next();
      return true;
    }
    if (!integer(v)) return false;
    if (wrap_to(v, t) != v) return fail(std::to_string(v) + " does not fit " + std::string(lumen::name(t)));
    bits = static_cast<uint64_t>(v);
    return true;
  }

  const FindFormat& find_;
  Function f_;
};

}  // namespace

Result<Function> read(const std::string& text, const FindFormat& find_format) { return Reader(text, find_format).run(); }

}  // namespace lumen::ir
