// The verifier: what every function must satisfy before anything is done with it. The first broken rule is reported.
#include <algorithm>
#include <set>
#include <unordered_map>

#include "compiler/ir/fold.h"
#include "compiler/ir/ir.h"
#include "compiler/ir/text.h"

namespace lumen::ir {
namespace {

std::string type_name(DType t) { return std::string(name(t)); }

// Checks one body or destination.
class BodyCheck {
 public:
  BodyCheck(const Function& f, const Value& v) : f_(f), v_(v) {
    for (size_t a = 0; a < v.dims.size(); ++a) bound_.insert(static_cast<int>(a));
  }
  std::string run(const ExprPtr& e) {
    check(e);
    return error_;
  }

 private:
  void fail(std::string m) {
    if (error_.empty()) error_ = std::move(m);
  }
  const Type* operand(int n) {
    if (n >= 0 && n < static_cast<int>(v_.operands.size()))
      return &f_.values[static_cast<size_t>(v_.operands[static_cast<size_t>(n)])].type;
    fail("the body uses operand " + std::to_string(n) + " of " + std::to_string(v_.operands.size()));
    return nullptr;
  }
  void index(const ExprPtr& e) {
    if (!is_integer(e->type)) fail("an index has type " + type_name(e->type) + ", expected an integer");
  }

  void check(const ExprPtr& e) {
    if (!error_.empty()) return;
    if (!e) return fail("an expression is missing");
    // A node is checked once for each set of variables in scope.
    if (!seen_[e.get()].insert(scope_).second) return;
    if (e->kind == Ek::Reduce) return reduce(*e);
    for (const ExprPtr& a : e->args) check(a);
    if (!error_.empty()) return;
    node(*e);
  }

  void node(const Expr& e) {
    switch (e.kind) {
      case Ek::Int:
        if (is_float(e.type)) fail("an integer literal has type " + type_name(e.type));
        break;
      case Ek::Float:
        if (e.type != DType::F32) fail("a float literal has type " + type_name(e.type));
        break;
      case Ek::Index:
        if (!bound_.count(static_cast<int>(e.ival))) fail("index i" + std::to_string(e.ival) + " is not bound");
        break;
      case Ek::Extent:
        if (!is_identifier(e.symbol)) fail("the symbol " + quote(e.symbol) + " is not an identifier");
        break;
      case Ek::Op:
        op(e);
        break;
      case Ek::Cast:
      case Ek::Bitcast:
        if (e.args.size() != 1 || e.type == DType::F64 || e.args[0]->type == DType::F64) return fail("there is no f64 arithmetic");
        if (e.kind == Ek::Bitcast && size_of(e.type) != size_of(e.args[0]->type)) fail("bitcast between different sizes");
        break;
      case Ek::Load:
        load(e);
        break;
      case Ek::Field:
        fail("a field can only be read in a format's rule");
        break;
      case Ek::Table:
        if (!e.table || e.args.size() != 1) return fail("a table needs one index");
        index(e.args[0]);
        break;
      case Ek::Dot:
        dot(e);
        break;
      case Ek::Reduce:
        break;
    }
  }

  void op(const Expr& e) {
    std::vector<DType> types;
    for (const ExprPtr& a : e.args) types.push_back(a->type);
    fail_if(op_error(e.op, types));
  }
  void fail_if(std::string m) {
    if (!m.empty()) fail(std::move(m));
  }

  void load(const Expr& e) {
    const Type* t = operand(e.operand);
    if (!t) return;
    std::string id = "%" + std::to_string(v_.operands[static_cast<size_t>(e.operand)]);
    if (static_cast<int>(e.args.size()) != t->rank())
      return fail("load from " + id + " has " + std::to_string(e.args.size()) + " indices, its rank is " + std::to_string(t->rank()));
    DType yields = t->format ? DType::F32 : t->scalar;
    if (e.type != yields) return fail("load from " + id + " has type " + type_name(e.type) + ", its elements " + type_name(yields));
    if (e.type == DType::F64) return fail("load from " + id + ": there is no f64 arithmetic");
    for (const ExprPtr& a : e.args) index(a);
  }

  void dot(const Expr& e) {
    const Type *x = operand(e.operand), *w = operand(e.operand2);
    if (!x || !w) return;
    if (x->rank() < 1 || w->rank() < 1) return fail("dot needs rows: operands of rank 1 or more");
    if (static_cast<int>(e.args.size()) != x->rank() + w->rank() - 2 || e.ival != x->rank() - 1)
      return fail("dot has " + std::to_string(e.args.size()) + " row indices, expected " + std::to_string(x->rank() + w->rank() - 2));
    for (const ExprPtr& a : e.args) index(a);
    if (!(x->dims.back() == w->dims.back()))
      return fail("dot of rows of " + to_string(x->dims.back()) + " and " + to_string(w->dims.back()) + " elements");
    if (x->scalar == DType::F64 || w->scalar == DType::F64 || x->scalar == DType::Bool || w->scalar == DType::Bool)
      return fail("dot of f64 or bool");
    if (!x->format || !x->format->row_planes) return;
    const FormatType& q = *x->format;
    if (q.code_field < 0 || q.scale_field < 0 || q.fields[static_cast<size_t>(q.code_field)].type != DType::I8)
      return fail("dot: the format " + q.name + " has no i8 codes with scales");
    if (!w->format || !w->format->form) return fail("dot of quantised activations with " + to_string(*w) + ", which has no integer form");
    const IntForm& form = *w->format->form;
    int group = q.fields[static_cast<size_t>(q.scale_field)].per;
    if (group <= 0 || (form.block % group != 0 && group % form.block != 0))
      fail("dot: groups of " + std::to_string(group) + " against blocks of " + std::to_string(form.block));
  }

  void reduce(const Expr& e) {
    size_t n = e.args.size();
    bool softmax = e.reduction == Reduction::SoftmaxSum;
    if (softmax ? n != 4 && n != 5 : n != 3) return fail(std::string(name(e.reduction)) + " has " + std::to_string(n) + " arguments");
    int var = static_cast<int>(e.ival);
    check(e.args[0]);
    check(e.args[1]);
    if (n == 5) check(e.args[4]);
    if (!error_.empty()) return;
    index(e.args[0]);
    index(e.args[1]);
    if (bound_.count(var)) return fail("index i" + std::to_string(var) + " is bound twice");
    uint64_t outer = scope_;
    scope_ = next_scope_++;
    bound_.insert(var);
    for (size_t i = 2; i < n && i < 4; ++i) check(e.args[i]);
    bound_.erase(var);
    scope_ = outer;
    if (!error_.empty()) return;
    if (e.type == DType::Bool || e.type != e.args[2]->type)
      return fail(std::string(name(e.reduction)) + " of " + type_name(e.args[2]->type));
    for (size_t i = 2; softmax && i < n; ++i)
      if (e.args[i]->type != DType::F32) return fail("softmax_sum needs f32, not " + type_name(e.args[i]->type));
  }

  const Function& f_;
  const Value& v_;
  std::string error_;
  std::set<int> bound_;
  uint64_t scope_ = 0, next_scope_ = 1;
  std::unordered_map<const Expr*, std::set<uint64_t>> seen_;
};

constexpr int64_t kMaxDim = int64_t{1} << 40;

std::string check_type(const Type& t) {
  double elements = 1;
  for (const Dim& d : t.dims) {
    if (!d.is_const() && !is_identifier(d.symbol)) return "the symbol " + quote(d.symbol) + " is not an identifier";
    if (d.is_const() && (d.value < 0 || d.value > kMaxDim)) return "dimension " + std::to_string(d.value) + " is out of range";
    elements *= d.is_const() ? static_cast<double>(d.value) : 1;
  }
  if (elements > static_cast<double>(kMaxDim)) return to_string(t) + " has more than 2^40 elements";
  if (!t.format) return "";
  if (t.scalar != DType::F32) return "a formatted tensor yields f32";
  if (t.rank() == 0) return "a formatted tensor needs an axis";
  const Dim& k = t.dims.back();
  bool whole = k.is_const() ? k.value % t.format->block == 0 && k.value > 0 : t.format->block == 1 && !t.format->row_planes;
  return whole ? ""
               : "rows of " + to_string(k) + " elements do not hold whole blocks of " + std::to_string(t.format->block) + " of " +
                     t.format->name;
}

// Constant part of the element count, and its symbols.
std::pair<int64_t, std::multiset<std::string>> elements(const std::vector<Dim>& dims) {
  std::pair<int64_t, std::multiset<std::string>> r{1, {}};
  for (const Dim& d : dims) {
    if (d.is_const())
      r.first *= d.value;
    else
      r.second.insert(d.symbol);
  }
  return r;
}

class FunctionCheck {
 public:
  explicit FunctionCheck(const Function& f) : f_(f), storage_(f.values.size()), stale_(f.values.size(), false) {}

  std::string run() {
    for (size_t i = 0; i < f_.values.size(); ++i) {
      const Value& v = f_.values[i];
      std::string m = v.id == static_cast<int>(i) ? value(v) : "its id is " + std::to_string(v.id);
      if (!m.empty()) return "%" + std::to_string(i) + (v.name.empty() ? "" : " \"" + v.name + "\"") + ": " + m;
    }
    for (int r : f_.results) {
      if (r < 0 || r >= static_cast<int>(f_.values.size())) return "result %" + std::to_string(r) + " is not defined";
      if (stale_[static_cast<size_t>(r)]) return "result %" + std::to_string(r) + " was overwritten by a scatter";
    }
    return "";
  }

 private:
  std::string value(const Value& v) {
    size_t id = static_cast<size_t>(v.id);
    storage_[id] = v.id;
    for (int o : v.operands) {
      if (o < 0 || o >= v.id) return "operand %" + std::to_string(o) + " is not defined before it";
      if (stale_[static_cast<size_t>(o)])
        return "operand %" + std::to_string(o) + " was overwritten by a scatter; its result stands for it";
    }
    if (v.type.scalar == DType::F64 && v.kind != ValueKind::Param && v.kind != ValueKind::Const) return "there is no f64 arithmetic";
    std::string m = check_type(v.type);
    if (!m.empty()) return m;
    switch (v.kind) {
      case ValueKind::Param:
        if (v.name.empty()) return "a parameter needs a name";
        return names_.insert(v.name).second ? "" : "two parameters have this name";
      case ValueKind::Const:
        return constant(v);
      case ValueKind::Reshape:
        return reshape(v);
      case ValueKind::Compute:
        if (v.dims != v.type.dims) return "the domain differs from the type's dimensions";
        m = axes(v);
        return m.empty() ? body(v) : m;
      case ValueKind::Scatter:
        return scatter(v);
    }
    return "unknown kind";
  }

  std::string constant(const Value& v) {
    int64_t rows = 1;
    for (const Dim& d : v.type.dims) {
      if (!d.is_const()) return "a constant's dimensions must be constant";
      rows *= d.value;
    }
    int64_t bytes = v.type.format ? rows / v.type.dims.back().value * row_bytes(*v.type.format, v.type.dims.back().value)
                                  : rows * size_of(v.type.scalar);
    if (static_cast<int64_t>(v.data.size()) == bytes) return "";
    return "the constant has " + std::to_string(v.data.size()) + " bytes, expected " + std::to_string(bytes);
  }

  std::string reshape(const Value& v) {
    if (v.operands.size() != 1) return "a reshape takes one operand";
    const Type& from = f_.values[static_cast<size_t>(v.operands[0])].type;
    storage_[static_cast<size_t>(v.id)] = storage_[static_cast<size_t>(v.operands[0])];
    Type same = v.type;
    same.dims = from.dims;
    if (!(same == from)) return "a reshape keeps the element type: " + to_string(from) + " to " + to_string(v.type);
    if (elements(from.dims) != elements(v.type.dims))
      return "a reshape keeps the number of elements: " + to_string(from) + " to " + to_string(v.type);
    if (v.type.format && v.type.format->row_planes && !(from.dims.back() == v.type.dims.back()))
      return "a reshape keeps the rows of " + v.type.format->name;
    return "";
  }

  std::string axes(const Value& v) {
    return v.axes.size() == v.dims.size() ? ""
                                          : std::to_string(v.axes.size()) + " axis names for " + std::to_string(v.dims.size()) + " axes";
  }
  // The layers of a model share their bodies: one that was right for a value is right for any other with such operands.
  std::string expression(const Value& v, const ExprPtr& e) {
    std::vector<const Value*>& right = right_for_[e.get()];
    for (const Value* u : right)
      if (alike(*u, v)) return "";
    std::string m = BodyCheck(f_, v).run(e);
    if (m.empty()) right.push_back(&v);
    return m;
  }
  bool alike(const Value& a, const Value& b) const {
    return a.dims.size() == b.dims.size() && std::equal(a.operands.begin(), a.operands.end(), b.operands.begin(), b.operands.end(), [&](int x, int y) {
             return f_.values[static_cast<size_t>(x)].type == f_.values[static_cast<size_t>(y)].type;
           });
  }
  std::string body(const Value& v) {
    std::string m = expression(v, v.body);
    if (!m.empty()) return m;
    return v.body->type == v.type.scalar ? "" : "the body has type " + type_name(v.body->type) + ", expected " + type_name(v.type.scalar);
  }

  std::string scatter(const Value& v) {
    if (v.operands.empty()) return "a scatter needs the state as its first operand";
    int state = v.operands[0];
    const Type& t = f_.values[static_cast<size_t>(state)].type;
    if (!(t == v.type)) return "a scatter's type is its state's, " + to_string(t);
    if (static_cast<int>(v.dest.size()) != t.rank())
      return std::to_string(v.dest.size()) + " destination indices for rank " + std::to_string(t.rank());
    std::string m = axes(v);
    if (m.empty()) m = body(v);
    for (const ExprPtr& d : v.dest) {
      if (m.empty()) m = expression(v, d);
      if (m.empty() && !is_integer(d->type)) m = "a destination index has type " + type_name(d->type);
    }
    if (!m.empty()) return m;
    int storage = storage_[static_cast<size_t>(state)];
    if (f_.values[static_cast<size_t>(storage)].kind == ValueKind::Const) return "a scatter cannot write to a constant";
    for (int i = 0; i < v.id; ++i)
      if (storage_[static_cast<size_t>(i)] == storage) stale_[static_cast<size_t>(i)] = true;
    storage_[static_cast<size_t>(v.id)] = storage;
    return "";
  }

  const Function& f_;
  std::vector<int> storage_;  // the value whose memory this one lives in
  std::vector<bool> stale_;   // overwritten by a later scatter
  std::set<std::string> names_;
  std::unordered_map<const Expr*, std::vector<const Value*>> right_for_;
};

}  // namespace

std::string verify(const Function& f) { return FunctionCheck(f).run(); }

}  // namespace lumen::ir
