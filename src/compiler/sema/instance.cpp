// instantiate: a model declaration and a file make one flat function.
#include "compiler/sema/instance.h"

#include "compiler/sema/compute.h"
#include "compiler/sema/library_impl.h"

namespace lumen::sema {

Instance::Instance(const Library& lib, const ast::ModelDecl& model, const ModelSource& source)
    : lib_(lib), model_(model), source_(source), ev_(lib, &out_.forward), scope_(ev_.new_scope(nullptr)) {
  ev_.local_functions = &model.functions;
  ev_.local_parent = &scope_;
}

void Instance::declare(const std::string& name, Span span, const Family& family) {
  if (scope_.names.count(name)) fail(span, "'" + name + "' is declared twice in this model");
  Val v;
  v.kind = Vk::Family;
  v.family = &family;
  scope_.names[name] = v;
}

// The weight's Param, made on first use: what the forward pass does not need is never loaded.
Val Instance::use_weight(Slot& s) {
  Slot& real = s.alias ? const_cast<Slot&>(*s.alias) : s;
  if (real.alias) return use_weight(real);
  if (real.param < 0) {
    real.param = ir::add_param(out_.forward, real.weight.param, real.weight.type, ir::Role::Weight);
    out_.weights.push_back(real.weight);
  }
  return ev_.tensor_val(real.param);
}

void Instance::bind_states() {
  for (const ast::IndexedBinding& st : model_.state) {
    const ast::Binding& b = st.binding;
    if (!b.type || !b.type->paged) fail(b.span, "a state is paged: paged f16[G, C]");
    states_.emplace_back();
    StateFamily& family = states_.back();
    std::vector<int64_t> tuple;
    for_each_index(st.over, 0, tuple, scope_, [&](const std::vector<int64_t>& at, Scope& s) {
      std::string param = b.name;
      for (int64_t i : at) param += "[" + std::to_string(i) + "]";
      family.cells[at] = {ev_.paged_type(*b.type, s), {-1, param}};
    });
    family.family.name = b.name;
    family.family.arity = st.over.size();
    family.family.get = [this, &family](const std::vector<int64_t>& at, Span span) {
      auto it = family.cells.find(at);
      if (it == family.cells.end()) fail(span, "'" + family.family.name + "' has no such member: the index is out of range");
      auto& [type, cell] = it->second;
      if (cell.id < 0) {
        cell.id = ir::add_param(out_.forward, cell.name, type, ir::Role::State);
        out_.states.push_back({cell.name, type});
      }
      Val v;
      v.kind = Vk::Paged, v.type = type, v.state = &cell;
      return v;
    };
    declare(b.name, b.span, family.family);
  }
}

// What the engine brings to every step, and the extents of it.
void Instance::bind_inputs() {
  for (const char* name : {"tokens", "pos", "seq", "rows", "table"}) {
    inputs_.emplace_back();
    Family& f = inputs_.back();
    f.name = name;
    f.get = [this, name](const std::vector<int64_t>&, Span) { return ev_.tensor_val(ev_.input(name)); };
    declare(name, model_.span, f);
  }
  for (const char* symbol : {"T", "R", "S", "B"}) {
    if (scope_.names.count(symbol))
      fail(model_.span, std::string("the name '") + symbol + "' stands for a run-time extent (T tokens, R rows, S sequences, B pages)");
    scope_.names[symbol] = scalar_val(ir::make_extent(symbol));
  }
}

void Instance::run_forward() {
  Scope& body = ev_.new_scope(&scope_, true);
  Evaluator::Frame frame;
  frame.name = "forward";
  frame.scope = &body;
  frame.errors = &errors_;
  ev_.on_residual = [this](int id, Span) { out_.residuals.push_back(id); };
  ev_.run(model_.forward, body, frame);
  if (!errors_.empty()) throw Poisoned{};
  if (!frame.returned || frame.result.kind != Vk::Tensor)
    fail(model_.span, "the forward pass of '" + model_.name + "' ends with 'return' and the logits, found " + describe(frame.result));
  int result = ev_.materialise(frame.result, "logits");
  const ir::Type& type = out_.forward.values[static_cast<size_t>(result)].type;
  if (type.format || type.scalar != DType::F32 || type.rank() != 2 || type.dims[0] != ir::Dim("R"))
    fail(model_.forward.back().span, "the forward pass returns logits f32[R, V], found " + to_string(type));
  out_.forward.results = {result};
}

Result<ModelInstance> Instance::make() {
  out_.name = model_.name;
  out_.forward.name = model_.name;
  try {
    bind_inputs();
    configure();
    bind_weights();
    bind_states();
    run_forward();
    params_first(out_.forward, out_.residuals);
    std::string wrong = ir::verify(out_.forward);
    if (!wrong.empty()) return Error{"internal error: the model '" + model_.name + "' became invalid IR: " + wrong};
    return std::move(out_);
  } catch (const Error& e) {
    return e;
  } catch (const Mistake& m) {
    errors_.push_back(m.diag);
  } catch (const Poisoned&) {
  }
  return Error{render(errors_)};
}

Result<ModelInstance> instantiate(const Library& lib, const ast::ModelDecl& model, const ModelSource& source) {
  return Instance(lib, model, source).make();
}

}  // namespace lumen::sema
