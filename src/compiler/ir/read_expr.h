// The two layers below the function reader: tokens with errors, and expressions in the context of one value.
#pragma once
#include <map>
#include <string>

#include "compiler/ir/ir.h"
#include "compiler/ir/lex.h"

namespace lumen::ir {

// Everything returns false after the first error, which names the line.
struct ReaderBase {
  explicit ReaderBase(std::string_view text) : lex(text) {}
  bool fail(const std::string& message);
  bool expect(std::string_view punct_or_name);
  bool accept(std::string_view punct_or_name);
  bool name(std::string& out);
  bool string(std::string& out);
  bool integer(int64_t& out);
  bool float_number(float& out);
  static bool parse_integer(std::string_view s, int64_t& out);
  static int64_t wrap_to(int64_t v, DType t);

  Lexer lex;
  std::string error;
  int error_line = 0;
};

class ExprReader {
 public:
  ExprReader(ReaderBase& r, const Function& f, const Value& v);
  bool body(ExprPtr& out);  // with or without braces; its lets are forgotten after it

 private:
  struct Parsed {
    ExprPtr e;
    int depth = 1;  // of the DAG: lets may nest deeper than the text
  };
  bool expr(Parsed& out);
  bool number(Parsed& out);
  bool named(Parsed& out);
  bool variable(const std::string& name, Parsed& out);
  bool call(const std::string& name, Parsed& out);
  bool op_call(Op op, Parsed& out);
  bool conversion(DType to, bool bits, Parsed& out);
  bool bitcast(Parsed& out);
  bool table(Parsed& out);
  bool field(Parsed& out);
  bool reduce(Reduction r, Parsed& out);
  bool dot(Parsed& out);
  bool load(Parsed& out);
  bool operand(int& number);
  bool row(std::vector<ExprPtr>& out, int& depth);  // [expr, …], integers
  bool arguments(std::string_view end, std::vector<ExprPtr>& out, int& depth);
  bool type_argument(DType& t);
  bool finish(ExprPtr e, int depth, Parsed& out);

  ReaderBase& r_;
  const Function& f_;
  const Value& v_;
  std::map<std::string, int, std::less<>> axes_;
  std::map<std::string, Parsed, std::less<>> lets_;
  int nesting_ = 0;
};

}  // namespace lumen::ir
