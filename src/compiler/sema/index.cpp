// Indexing: lists, tables, format fields, tensors and paged states; and how far index variables run, which follows from the
// tensors they are plain indices of.
#include "compiler/sema/arith.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/model.h"

namespace lumen::sema {

using ir::ExprPtr;

int Evaluator::new_variable(const std::string& name, Scope& s, bool inferred) {
  int number = next_variable_++;
  s.names[name] = scalar_val(ir::make_index(number));
  if (inferred) variables_[number] = {name, "", std::nullopt};
  return number;
}

void Evaluator::note_extent(const ExprPtr& index, const ir::Dim& extent, const std::string& tensor, Span span) {
  if (index->kind != ir::Ek::Index) return;
  auto it = variables_.find(static_cast<int>(index->ival));
  if (it == variables_.end()) return;
  Variable& v = it->second;
  if (!v.extent) {
    v.extent = extent, v.found_in = tensor;
  } else if (*v.extent != extent) {
    fail(span, "the index '" + v.name + "' runs over " + to_string(*v.extent) + " in " + v.found_in + " and over " + to_string(extent) +
                   " in " + tensor);
  }
}

ir::Dim Evaluator::extent_of(int variable, Span span) {
  const Variable& v = variables_.at(variable);
  if (!v.extent)
    fail(span, "cannot tell how far the index '" + v.name + "' runs: no tensor is indexed by it alone",
         "give its range: " + v.name + " in 0..N");
  return *v.extent;
}

std::vector<Evaluator::Arg> Evaluator::eval_args(const ast::Expr& e, Scope& s) {
  std::vector<Arg> out;
  for (size_t i = 1; i < e.args.size(); ++i) {
    const ast::Expr& a = *e.args[i];
    if (a.kind == ast::ExprKind::Range) fail(a.span, "expected a value, found a range: tensors have no slices");
    // A family as a whole may be asked about (has) but not passed on.
    out.push_back({eval(a, s), a.span, &a});
  }
  return out;
}

Val Evaluator::eval_index(const ast::Expr& e, Scope& s) {
  Val base = eval_raw(*e.args[0], s);
  if (base.kind == Vk::Poison) throw Poisoned{};
  if (base.kind == Vk::Family && base.family->arity == 0) base = base.family->get({}, e.args[0]->span);
  std::vector<Arg> at = eval_args(e, s);
  if (base.kind == Vk::Family) {
    size_t arity = base.family->arity;
    if (at.size() < arity)
      fail(e.span, describe(base) + ", takes " + std::to_string(arity) + " indices, found " + std::to_string(at.size()));
    std::vector<int64_t> tuple;
    for (size_t i = 0; i < arity; ++i) {
      auto* n = at[i].value.kind == Vk::Static ? std::get_if<int64_t>(&at[i].value.value) : nullptr;
      if (!n)
        fail(at[i].span, "'" + base.family->name + "' takes an integer known when the model is built, found " + describe(at[i].value));
      tuple.push_back(*n);
    }
    base = base.family->get(tuple, e.span);
    at.erase(at.begin(), at.begin() + static_cast<ptrdiff_t>(arity));
    if (at.empty()) return base;
  }
  switch (base.kind) {
    case Vk::Static:
      return index_static(base, at, e.span);
    case Vk::Field:
      return index_field(base, at, e.span);
    case Vk::Tensor:
      return index_tensor(base, at, e.span);
    case Vk::Paged:
      return index_paged(base, at, e.span);
    case Vk::Table: {
      if (at.size() != 1) fail(e.span, "a table takes one index, found " + std::to_string(at.size()));
      ExprPtr i = to_index(as_scalar(at[0].value, at[0].span), at[0].span);
      if (i->kind == ir::Ek::Int && (i->ival < 0 || i->ival >= static_cast<int64_t>(base.table->size())))
        fail(at[0].span, "this table has " + std::to_string(base.table->size()) + " entries, the index is " + std::to_string(i->ival));
      return scalar_val(ir::make_table(base.table, base.type.scalar, i));
    }
    case Vk::Macro:
      fail(e.span, describe(base) + " is called with parentheses");
    default:
      fail(e.args[0]->span, describe(base) + " has no elements");
  }
}

Val Evaluator::index_static(const Val& base, const std::vector<Arg>& at, Span span) {
  auto* ints = std::get_if<std::vector<int64_t>>(&base.value);
  auto* floats = std::get_if<std::vector<double>>(&base.value);
  if (!ints && !floats) fail(span, describe(base) + " has no elements");
  auto* i = at.size() == 1 && at[0].value.kind == Vk::Static ? std::get_if<int64_t>(&at[0].value.value) : nullptr;
  if (!i) fail(span, "a list takes one integer known when the model is built");
  int64_t size = static_cast<int64_t>(ints ? ints->size() : floats->size());
  int64_t k = size == 1 && *i >= 0 ? 0 : *i;  // one entry stands for every layer
  if (k < 0 || k >= size) fail(at[0].span, "this list has " + std::to_string(size) + " entries, the index is " + std::to_string(*i));
  return ints ? static_val((*ints)[static_cast<size_t>(k)]) : static_val((*floats)[static_cast<size_t>(k)]);
}

Val Evaluator::index_field(const Val& base, const std::vector<Arg>& all, Span span) {
  std::vector<Arg> at = all;
  if (base.drops_row && at.size() == 2) {
    const Val& row = at[0].value;
    if (row.kind != Vk::Scalar || row.expr->kind != ir::Ek::Index || row.expr->ival != row_index)
      fail(at[0].span, "the first index of " + describe(base) + " is the row itself: fields shared by several rows are not supported");
    at.erase(at.begin());
  }
  if (at.size() != 1) fail(span, describe(base) + " takes one index, found " + std::to_string(at.size()));
  ExprPtr i = to_index(as_scalar(at[0].value, at[0].span), at[0].span);
  if (base.field->per == 0 && i->kind == ir::Ek::Int && (i->ival < 0 || i->ival >= base.field->count))
    fail(at[0].span, describe(base) + " has " + std::to_string(base.field->count) + " entries, the index is " + std::to_string(i->ival));
  return scalar_val(ir::make_field(base.id, base.field->type, i));
}

Val Evaluator::index_tensor(const Val& base, const std::vector<Arg>& at, Span span) {
  std::string name = base.id >= 0 && !fn_->values[static_cast<size_t>(base.id)].name.empty()
                         ? "'" + fn_->values[static_cast<size_t>(base.id)].name + "'"
                         : "a tensor";
  if (static_cast<int>(at.size()) != base.type.rank())
    fail(span, name + " is " + to_string(base.type) + " and takes " + std::to_string(base.type.rank()) + " indices, found " +
                   std::to_string(at.size()));
  std::vector<ExprPtr> index;
  for (size_t d = 0; d < at.size(); ++d) {
    index.push_back(to_index(as_scalar(at[d].value, at[d].span), at[d].span));
    const ir::Dim& extent = base.type.dims[d];
    const ExprPtr& i = index.back();
    if (i->kind == ir::Ek::Int && (i->ival < 0 || (extent.is_const() && i->ival >= extent.value)))
      fail(at[d].span, "this axis of " + name + " has " + to_string(extent) + " entries, the index is " + std::to_string(i->ival));
    note_extent(i, extent, name, at[d].span);
  }
  if (base.id >= 0) return scalar_val(ir::make_load(base.id, base.expr->type, std::move(index)));
  ExprPtr e = ir::rewrite(base.expr, [&](const ExprPtr& n) -> ExprPtr {
    return n->kind == ir::Ek::Index && n->ival < static_cast<int64_t>(index.size()) ? index[static_cast<size_t>(n->ival)] : nullptr;
  });
  return scalar_val(e);
}

// k[s, j, g, c]: position j of sequence s lies in page table[s, j / kPageTokens].
Val Evaluator::index_paged(const Val& base, const std::vector<Arg>& at, Span span) {
  size_t rank = static_cast<size_t>(base.type.rank());  // [P, …, kPageTokens, last] is indexed [s, j, …, last]
  if (at.size() != rank)
    fail(span, describe(base) + " takes a sequence, a position and " + std::to_string(rank - 2) + " more indices, found " +
                   std::to_string(at.size()));
  std::vector<ExprPtr> index;
  for (const Arg& a : at) index.push_back(to_index(as_scalar(a.value, a.span), a.span));
  note_extent(index[0], ir::Dim("S"), base.state->name, at[0].span);
  int table = input("table");
  ExprPtr page_tokens = ir::make_int(kPageTokens);
  ExprPtr page = ir::make_load(table, DType::I32, {index[0], ir::make_op(ir::Op::Div, {index[1], page_tokens})});
  std::vector<ExprPtr> load = {page};
  for (size_t d = 2; d < rank; ++d) {
    size_t axis = d + 1 == rank ? rank - 1 : d - 1;
    note_extent(index[d], base.type.dims[axis], base.state->name, at[d].span);
    if (d + 1 == rank) load.push_back(ir::make_op(ir::Op::Mod, {index[1], page_tokens}));
    load.push_back(index[d]);
  }
  DType type = base.type.format ? DType::F32 : base.type.scalar;
  return scalar_val(ir::make_load(base.state->id, type, std::move(load)));
}

}  // namespace lumen::sema
