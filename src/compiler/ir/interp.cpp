// Runs a function value by value: binds parameters, resolves symbols, frees what is no longer needed, keeps decoded weights.
#include "compiler/ir/interp.h"

#include <algorithm>
#include <atomic>
#include <tuple>

#include "base/assert.h"
#include "compiler/ir/interp/execute.h"

namespace lumen::ir {
namespace {

std::atomic<EncodeHook> default_hook{nullptr};

int64_t element_count(const Type& t) {
  int64_t n = 1;
  for (const Dim& d : t.dims) n *= d.value;
  return n;
}

std::string label(const Value& v) { return "%" + std::to_string(v.id) + (v.name.empty() ? "" : " \"" + v.name + "\""); }

}  // namespace

void set_encode_hook(EncodeHook hook) { default_hook = hook; }

int64_t byte_size(const Type& type) {
  for (const Dim& d : type.dims) LUMEN_ASSERT(d.is_const());
  int64_t n = element_count(type);
  if (!type.format) return n * size_of(type.scalar);
  LUMEN_ASSERT(type.rank() > 0);
  return n == 0 ? 0 : n / type.dims.back().value * row_bytes(*type.format, type.dims.back().value);
}

Tensor make_tensor(Type type) {
  Tensor t;
  t.data.resize(static_cast<size_t>(byte_size(type)));
  t.type = std::move(type);
  return t;
}

std::vector<float> to_floats(const Tensor& t) {
  int64_t n = element_count(t.type);
  std::vector<float> out(static_cast<size_t>(n));
  if (t.type.format) {
    int64_t k = t.type.dims.back().value, stride = n ? row_bytes(*t.type.format, k) : 0;
    for (int64_t at = 0; at < n; at += k) decode_row(*t.type.format, t.bytes() + at / k * stride, k, out.data() + at);
    return out;
  }
  for (int64_t i = 0; i < n; ++i) {
    interp::Vec v;
    interp::read_element(t.type.scalar, t.bytes(), i, v, 0);
    out[static_cast<size_t>(i)] = is_float(t.type.scalar) ? v.f[0] : static_cast<float>(v.i[0]);
  }
  return out;
}

struct Interpreter::Caches {
  // The format by address: the entry keeps it alive.
  std::map<std::tuple<const uint8_t*, const FormatType*, int64_t, int64_t>, std::shared_ptr<interp::Decoded>> by_address;
};

namespace {

using interp::Decoded;
using FindDecoded = std::function<std::shared_ptr<Decoded>(const uint8_t*, const FormatRef&, int64_t rows, int64_t k)>;

struct Slot {
  std::shared_ptr<Tensor> owned;     // made here, or
  Tensor* tensor = nullptr;          // bound by the caller
  std::shared_ptr<Decoded> decoded;  // of a formatted tensor
  Type type;                         // dims constant
  Tensor& get() const { return owned ? *owned : *tensor; }
};

class Run {
 public:
  Run(const Function& f, const Bindings& b, FindDecoded find) : f_(f), b_(b), find_(std::move(find)) {
    hook_ = b.encode ? b.encode : default_hook.load();
  }

  Result<std::vector<Tensor>> run() {
    std::string error = verify(f_);
    if (error.empty()) error = bind_symbols();
    if (!error.empty()) return fail(error);
    std::vector<int> last_use(f_.values.size(), -1);
    for (const Value& v : f_.values)
      for (int o : v.operands) last_use[static_cast<size_t>(o)] = v.id;
    for (int r : f_.results) last_use[static_cast<size_t>(r)] = static_cast<int>(f_.values.size());
    slots_.resize(f_.values.size());
    for (const Value& v : f_.values) {
      error = run_value(v);
      if (!error.empty()) return fail(label(v) + ": " + error);
      for (int o : v.operands)
        if (last_use[static_cast<size_t>(o)] == v.id) slots_[static_cast<size_t>(o)] = {};
      if (last_use[static_cast<size_t>(v.id)] < 0) slots_[static_cast<size_t>(v.id)] = {};
    }
    std::vector<Tensor> results;
    for (int r : f_.results) results.push_back(take(slots_[static_cast<size_t>(r)]));
    return results;
  }

 private:
  Error fail(const std::string& m) const { return Error{"function " + f_.name + ": " + m}; }

  static Tensor take(const Slot& s) {
    Tensor t;
    t.type = s.type;
    if (s.owned && s.owned.use_count() == 1)
      t.data = std::move(s.owned->data);
    else if (s.owned)
      t.data = s.owned->data;
    else
      t.external = s.tensor->bytes();
    if (s.owned && s.owned->external) t.data.assign(s.owned->external, s.owned->external + byte_size(s.type));  // a constant
    return t;
  }

  // Values given, then those that the shapes of bound parameters tell.
  std::string bind_symbols() {
    for (const auto& [s, v] : b_.symbols) symbols_.emplace_back(s, v);
    for (const Value& v : f_.values) {
      if (v.kind != ValueKind::Param) continue;
      auto it = b_.params.find(v.name);
      if (it == b_.params.end() || !it->second) return label(v) + ": no tensor is bound to this parameter";
      const Type& t = it->second->type;
      if (t.rank() != v.type.rank()) continue;  // reported where it is bound
      for (int a = 0; a < t.rank(); ++a) {
        const Dim& d = v.type.dims[static_cast<size_t>(a)];
        if (!d.is_const() && !symbol(d.symbol)) symbols_.emplace_back(d.symbol, t.dims[static_cast<size_t>(a)].value);
      }
    }
    for (const auto& [s, v] : symbols_) {
      auto bound = f_.bounds.find(s);
      if (v < 0 || (bound != f_.bounds.end() && v > bound->second))
        return "the symbol " + s + " is " + std::to_string(v) + ", expected 0 to " +
               (bound == f_.bounds.end() ? "any" : std::to_string(bound->second));
    }
    return "";
  }
  const int64_t* symbol(const std::string& s) const {
    for (const auto& [name, v] : symbols_)
      if (name == s) return &v;
    return nullptr;
  }
  std::string resolve(const std::vector<Dim>& dims, std::vector<int64_t>& out) const {
    double elements = 1;
    for (const Dim& d : dims) {
      const int64_t* v = d.is_const() ? &d.value : symbol(d.symbol);
      if (!v) return "no value for the symbol " + d.symbol;
      out.push_back(*v);
      elements *= static_cast<double>(*v);
    }
    return elements > 0x1p40 ? "the shape has more than 2^40 elements" : "";
  }
  std::string resolve(const Type& t, Type& out) const {
    std::vector<int64_t> dims;
    std::string error = resolve(t.dims, dims);
    out = t;
    out.dims.assign(dims.begin(), dims.end());
    return error;
  }

  std::string run_value(const Value& v) {
    Slot& s = slots_[static_cast<size_t>(v.id)];
    std::string error = resolve(v.type, s.type);
    if (!error.empty()) return error;
    switch (v.kind) {
      case ValueKind::Param:
        return bind_param(v, s);
      case ValueKind::Const:
        s.owned = std::make_shared<Tensor>();
        s.owned->type = s.type;
        s.owned->external = v.data.data();
        add_decoded(s);
        return "";
      case ValueKind::Reshape:
        return reshape(v, s);
      case ValueKind::Compute:
        return compute(v, s);
      case ValueKind::Scatter:
        return scatter(v, s);
    }
    return "";
  }

  void add_decoded(Slot& s) {
    if (!s.type.format) return;
    int64_t k = s.type.dims.back().value, rows = k ? element_count(s.type) / k : 0;
    const Tensor& t = s.get();
    if (t.external && !s.owned) {  // a parameter's memory stays the same from run to run
      s.decoded = find_(t.external, s.type.format, rows, k);
      return;
    }
    s.decoded = std::make_shared<Decoded>();
    s.decoded->format = s.type.format;
    s.decoded->rows = rows;
    s.decoded->k = k;
  }

  std::string bind_param(const Value& v, Slot& s) {
    s.tensor = b_.params.at(v.name);
    if (!(s.tensor->type == s.type)) return "expected " + to_string(s.type) + ", bound to " + to_string(s.tensor->type);
    if (!s.tensor->external && static_cast<int64_t>(s.tensor->data.size()) != byte_size(s.type))
      return "expected " + std::to_string(byte_size(s.type)) + " bytes for " + to_string(s.type) + ", got " +
             std::to_string(s.tensor->data.size());
    add_decoded(s);
    return "";
  }

  std::string reshape(const Value& v, Slot& s) {
    const Slot& from = slots_[static_cast<size_t>(v.operands[0])];
    if (element_count(from.type) != element_count(s.type)) return "reshape of " + to_string(from.type) + " to " + to_string(s.type);
    s.owned = from.owned;
    s.tensor = from.tensor;
    if (s.type.format && s.type.dims.back() == from.type.dims.back())
      s.decoded = from.decoded;
    else
      add_decoded(s);
    return "";
  }

  std::vector<interp::Operand> operands(const Value& v) const {
    std::vector<interp::Operand> out;
    for (int id : v.operands) {
      const Slot& s = slots_[static_cast<size_t>(id)];
      interp::Operand o;
      o.bytes = s.get().bytes();
      o.scalar = s.type.scalar;
      o.format = s.type.format;
      for (const Dim& d : s.type.dims) o.dims.push_back(d.value);
      o.label = label(f_.values[static_cast<size_t>(id)]);
      o.decoded = s.decoded;
      out.push_back(std::move(o));
    }
    return out;
  }

  std::string compute(const Value& v, Slot& s) {
    std::vector<interp::Operand> ops = operands(v);
    interp::prepare_operands(v.body, ops);
    std::vector<int64_t> dims;
    std::string error = resolve(v.type.dims, dims);
    if (!error.empty()) return error;
    s.owned = std::make_shared<Tensor>(make_tensor(s.type));
    add_decoded(s);
    return interp::run_compute({dims, ops, symbols_, b_.threads}, v.body, s.type, s.owned->data.data(), hook_);
  }

  std::string scatter(const Value& v, Slot& s) {
    std::vector<interp::Operand> ops = operands(v);
    interp::prepare_operands(v.body, ops);
    for (const ExprPtr& d : v.dest) interp::prepare_operands(d, ops);
    std::vector<int64_t> dims;
    std::string error = resolve(v.dims, dims);
    if (!error.empty()) return error;
    const Slot& state = slots_[static_cast<size_t>(v.operands[0])];
    s.owned = state.owned;
    s.tensor = state.tensor;
    s.decoded = state.decoded;
    if (s.get().external) return "scatter into " + label(f_.values[static_cast<size_t>(v.operands[0])]) + ", which is bound read-only";
    return interp::run_scatter({dims, ops, symbols_, b_.threads}, v.body, v.dest, s.type, s.get().data.data(), s.decoded.get(), hook_);
  }

  const Function& f_;
  const Bindings& b_;
  FindDecoded find_;
  EncodeHook hook_ = nullptr;
  interp::Symbols symbols_;
  std::vector<Slot> slots_;
};

}  // namespace

Interpreter::Interpreter() : caches_(std::make_unique<Caches>()) {}
Interpreter::~Interpreter() = default;
void Interpreter::forget() { caches_->by_address.clear(); }

Result<std::vector<Tensor>> Interpreter::run(const Function& f, const Bindings& b) {
  return Run(f, b,
             [this](const uint8_t* at, const FormatRef& format, int64_t rows, int64_t k) {
               std::shared_ptr<Decoded>& d = caches_->by_address[{at, format.get(), rows, k}];
               if (!d) {
                 d = std::make_shared<Decoded>();
                 d->format = format;
                 d->rows = rows;
                 d->k = k;
               }
               return d;
             })
      .run();
}

Result<std::vector<Tensor>> interpret(const Function& f, const Bindings& b) { return Interpreter().run(f, b); }

}  // namespace lumen::ir
