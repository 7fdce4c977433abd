// One function by itself: its tensor parameters become Params; what `bind` leaves open stays symbolic.
#include <algorithm>
#include <deque>
#include <set>

#include "compiler/sema/compute.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/library_impl.h"

namespace lumen::sema {
namespace {

class FunctionMaker {
 public:
  FunctionMaker(const Library& lib, const ast::FnDecl& decl, const std::map<std::string, StaticValue>& bind)
      : lib_(lib), decl_(decl), bind_(bind), ev_(lib, &f_), scope_(ev_.new_scope(nullptr, true)) {}

  ir::Function make() {
    f_.name = decl_.name;
    for (const ast::GenericParam& g : decl_.generics) generic(g);
    for (const ast::Param& p : decl_.params)
      if (p.type && !p.type->has_dims) constant(p);
    for (const ast::Param& p : decl_.params)
      if (p.type && p.type->has_dims)
        for (const ast::ExprPtr& d : p.type->dims) dimension(*d);
    for (const auto& [name, value] : bind_)
      if (!used_.count(name))
        throw Error{"'" + decl_.name + "' has no parameter '" + name + "'" + did_you_mean(name, {used_.begin(), used_.end()}), true};
    for (const ast::Param& p : decl_.params) tensor(p);
    Evaluator::Frame frame;
    frame.name = decl_.name;
    frame.result_type = decl_.result ? &*decl_.result : nullptr;
    frame.scope = &scope_;
    frame.errors = &errors;
    ev_.run(decl_.body, scope_, frame);
    if (!errors.empty()) throw Poisoned{};
    Val result = ev_.finish_frame(frame, decl_.span);
    if (result.kind == Vk::Tensor) f_.results = {ev_.materialise(result, decl_.name)};
    std::vector<int> none;
    params_first(f_, none);
    return std::move(f_);
  }

  std::vector<Diag> errors;

 private:
  const StaticValue* bound(const std::string& name) {
    used_.insert(name);
    auto it = bind_.find(name);
    return it == bind_.end() ? nullptr : &it->second;
  }

  void generic(const ast::GenericParam& g) {
    const StaticValue* v = bound(g.name);
    if (!v)
      throw Error{"'" + decl_.name + "' needs a value for " + (g.kind == "format" ? "the format parameter " : "") + "'" + g.name + "'",
                  true};
    if (g.kind != "format" && g.kind != "float") {
      if (!std::holds_alternative<int64_t>(*v))
        throw Error{"'" + g.name + "' of '" + decl_.name + "' is an integer, found " + describe(*v), true};
      scope_.names[g.name] = static_val(*v);
      return;
    }
    Val element;
    element.kind = Vk::Element;
    if (auto* text = std::get_if<std::string>(v)) {
      if (auto scalar = dtype_named(*text)) {
        element.type.scalar = *scalar;
      } else {
        auto format = lib_.format(*text);
        if (!format) throw format.error();
        element.type.format = *format;
      }
    } else if (auto* format = std::get_if<ir::FormatRef>(v)) {
      element.type.format = *format;
    } else {
      throw Error{"'" + g.name + "' of '" + decl_.name + "' is a format, found " + describe(*v), true};
    }
    scope_.names[g.name] = element;
  }

  void constant(const ast::Param& p) {
    const StaticValue* v = bound(p.name);
    if (!v) throw Error{"'" + decl_.name + "' needs a value for '" + p.name + "', " + p.type->name, true};
    StaticValue value = *v;
    if (p.type->name == "float" && std::holds_alternative<int64_t>(value)) value = static_cast<double>(std::get<int64_t>(value));
    size_t want = p.type->name == "int" ? 0 : p.type->name == "float" ? 1 : p.type->name == "bool" ? 2 : 3;
    if (value.index() != want)
      throw Error{"'" + p.name + "' of '" + decl_.name + "': expected " + p.type->name + ", found " + describe(value), true};
    scope_.names[p.name] = static_val(value);
  }

  // Every name in a dimension is a constant where bound, else the run-time extent of that name.
  void dimension(const ast::Expr& e) {
    for (const ast::ExprPtr& a : e.args) dimension(*a);
    if (e.kind != ast::ExprKind::Name || scope_.names.count(e.text)) return;
    const StaticValue* v = bound(e.text);
    if (v && (!std::holds_alternative<int64_t>(*v) || std::get<int64_t>(*v) < 0))
      throw Error{"the dimension '" + e.text + "' is an integer from 0 on, found " + to_text(*v), true};
    scope_.names[e.text] = dim_val(v ? ir::Dim(std::get<int64_t>(*v)) : ir::Dim(e.text));
  }

  void tensor(const ast::Param& p) {
    if (!p.type) fail(p.span, "the parameter '" + p.name + "' needs a type");
    if (!p.type->has_dims) return;
    if (p.type->paged) {
      Val v;
      v.kind = Vk::Paged;
      v.type = ev_.paged_type(*p.type, scope_);
      cells_.push_back({ir::add_param(f_, p.name, v.type, ir::Role::State), p.name});
      v.state = &cells_.back();
      scope_.names[p.name] = v;
      return;
    }
    ir::Type type = ev_.eval_element(*p.type, scope_);
    for (const ast::ExprPtr& d : p.type->dims) type.dims.push_back(ev_.eval_dim(*d, scope_));
    ev_.check_blocks(type, p.span);
    bool generic = std::any_of(decl_.generics.begin(), decl_.generics.end(), [&](const auto& g) { return g.name == p.type->name; });
    bool weight = generic || (type.format && !type.format->row_planes);
    scope_.names[p.name] = ev_.tensor_val(ir::add_param(f_, p.name, type, weight ? ir::Role::Weight : ir::Role::Input));
  }

  const Library& lib_;
  const ast::FnDecl& decl_;
  const std::map<std::string, StaticValue>& bind_;
  ir::Function f_;
  Evaluator ev_;
  Scope& scope_;
  std::set<std::string> used_;
  std::deque<StateCell> cells_;
};

}  // namespace

Result<ir::Function> elaborate_function(const Library& lib, const std::string& fn, const std::map<std::string, StaticValue>& bind) {
  const ast::FnDecl* decl = lib.function(fn);
  if (!decl) {
    std::vector<std::string> names;
    for (const auto& f : lib.impl().functions) names.push_back(f.first);
    return Error{"unknown function '" + fn + "'" + did_you_mean(fn, names), true};
  }
  FunctionMaker maker(lib, *decl, bind);
  try {
    ir::Function f = maker.make();
    std::string wrong = ir::verify(f);
    if (!wrong.empty()) return Error{"internal error: '" + fn + "' became invalid IR: " + wrong};
    return f;
  } catch (const Error& e) {
    return e;
  } catch (const Mistake& m) {
    maker.errors.push_back(m.diag);
  } catch (const Poisoned&) {
  }
  return Error{render(maker.errors)};
}

}  // namespace lumen::sema
