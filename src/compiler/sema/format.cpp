// A format declaration becomes an ir::FormatType: fields with their places, the value rule as one expression.
#include "compiler/ir/format.h"

#include <numeric>

#include "compiler/formats/classify.h"
#include "compiler/sema/arith.h"
#include "compiler/sema/compute.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/format_check.h"
#include "compiler/sema/library_impl.h"

namespace lumen::sema {

using ir::ExprPtr;

namespace {

constexpr int64_t kMaxBlock = 4096;       // elements
constexpr int64_t kMaxEntries = 1 << 16;  // of a field
constexpr int kMaxBlockBytes = 1 << 24;
constexpr int kRowVariable = kFirstVariable - 1;

class FormatMaker {
 public:
  FormatMaker(const Library& lib, const ast::FormatDecl& decl) : decl_(decl), ev_(lib, nullptr), scope_(ev_.new_scope(nullptr)) {}

  std::shared_ptr<ir::FormatType> make(const std::vector<StaticValue>& params, const std::string& name) {
    f_->name = name;
    f_->row_planes = decl_.planes;
    if (decl_.span.source) f_->source = decl_.span.source->text.substr(decl_.span.begin, decl_.span.end - decl_.span.begin);
    bind(params);
    if (decl_.gguf) f_->gguf_type = static_cast<int>(small(*decl_.gguf, "the GGUF type", 0, INT32_MAX));
    if (decl_.block) f_->block = static_cast<int>(small(*decl_.block, "the block", 1, kMaxBlock));
    f_->fields.reserve(decl_.fields.size());  // values point at them
    for (const ast::FormatField& field : decl_.fields) add_field(field);
    if (f_->row_planes) row_block();
    for (const ast::TableDecl& t : decl_.tables) name_once(t.name, t.span), scope_.names[t.name] = ev_.table_val(t, scope_);
    Evaluator::Frame frame;
    frame.scope = &scope_;
    for (const ast::Stmt& let : decl_.lets) name_once(let.name, let.span);
    ev_.run(decl_.lets, scope_, frame, false);
    for (size_t i = 0; i < decl_.fields.size(); ++i)
      if (decl_.fields[i].derive) f_->fields[i].derive = derive(decl_.fields[i], i);
    f_->value = value();
    check_format(*f_, decl_);
    if (decl_.encode == "absmax") absmax();
    return f_;
  }

 private:
  int64_t small(const ast::Expr& e, const char* what, int64_t lo, int64_t hi) {
    int64_t v = ev_.eval_int(e, scope_, what);
    if (v < lo || v > hi)
      fail(e.span,
           std::string(what) + " lies between " + std::to_string(lo) + " and " + std::to_string(hi) + ", found " + std::to_string(v));
    return v;
  }

  void name_once(const std::string& name, Span span) {
    if (scope_.names.count(name)) fail(span, "'" + name + "' is declared twice in this format");
  }

  void bind(const std::vector<StaticValue>& params) {
    if (params.size() != decl_.generics.size())
      fail(decl_.span,
           "'" + decl_.name + "' takes " + std::to_string(decl_.generics.size()) + " parameters, found " + std::to_string(params.size()));
    for (size_t i = 0; i < params.size(); ++i) {
      const ast::GenericParam& g = decl_.generics[i];
      if (g.kind == "float") {
        auto* text = std::get_if<std::string>(&params[i]);
        auto type = text ? dtype_named(*text) : std::nullopt;
        if (!type || !is_float(*type)) fail(decl_.span, "'" + g.name + "' is a float type: f16, bf16 or f32");
        Val v;
        v.kind = Vk::Element, v.type.scalar = *type;
        scope_.names[g.name] = v;
        continue;
      }
      auto* n = std::get_if<int64_t>(&params[i]);
      if (!n || *n < 1) fail(decl_.span, "'" + g.name + "' is a positive integer, found " + to_text(params[i]));
      scope_.names[g.name] = static_val(*n);
    }
  }

  // N rows of K elements; the factor of K in an entry count, as a fraction.
  struct Fraction {
    int64_t num, den;
    bool has_k;
  };
  Fraction entries(const ast::Expr& e) {
    if (e.kind == ast::ExprKind::Name && e.text == "K" && !scope_.names.count("K")) return {1, 1, true};
    if (e.kind == ast::ExprKind::Binary && (e.text == "*" || e.text == "/")) {
      Fraction a = entries(*e.args[0]), b = entries(*e.args[1]);
      if (a.has_k && b.has_k) fail(e.span, "a field's size is proportional to K");
      if (e.text == "/" && b.has_k) fail(e.span, "a field's size is proportional to K");
      if (a.num > kMaxEntries || a.den > kMaxEntries || b.num > kMaxEntries || b.den > kMaxEntries) fail(e.span, "this size is too large");
      return e.text == "*" ? Fraction{a.num * b.num, a.den * b.den, a.has_k || b.has_k} : Fraction{a.num * b.den, a.den * b.num, a.has_k};
    }
    return {small(e, "a size", 1, kMaxEntries), 1, false};
  }

  void add_field(const ast::FormatField& d) {
    name_once(d.name, d.span);
    if (d.type.paged) fail(d.type.span, "a field is not paged");
    ir::Type type = ev_.eval_element(d.type, scope_);
    if (type.format || type.scalar == DType::Bool || size_of(type.scalar) == 8)
      fail(d.type.span, "a field holds numbers of 8, 16 or 32 bits, found " + to_string(type));
    if (d.derive && !f_->row_planes) fail(d.span, "only planes have derived fields");
    if (!d.beside.empty() && f_->row_planes) fail(d.span, "only a block's fields lie in other tensors");
    ir::FormatField field;
    field.name = d.name;
    field.type = type.scalar;
    if (f_->row_planes) {
      const ast::Expr* rows = d.type.dims.empty() ? nullptr : d.type.dims[0].get();
      if (d.type.dims.size() != 2 || rows->kind != ast::ExprKind::Name || rows->text != "N")
        fail(d.type.span, "a plane has the dimensions [N, …]: one row of entries for each row of the tensor");
      Fraction n = entries(*d.type.dims[1]);
      if (!n.has_k || n.den % n.num != 0)
        fail(d.type.dims[1]->span, "a plane has one entry for a whole number of elements: K, or K / group");
      if (n.den / n.num > kMaxBlock)
        fail(d.type.dims[1]->span, "a plane has one entry for at most " + std::to_string(kMaxBlock) + " elements");
      field.per = static_cast<int>(n.den / n.num);
    } else {
      if (d.type.dims.size() > 1) fail(d.type.span, "a field has at most one dimension");
      if (!d.type.dims.empty()) field.count = static_cast<int>(small(*d.type.dims[0], "a field's size", 1, kMaxEntries));
      if (!d.beside.empty()) place_beside(d, field);
      field.offset = f_->block_bytes;
      f_->block_bytes += field.count * size_of(field.type);
      if (f_->block_bytes > kMaxBlockBytes) fail(d.span, "a block has at most " + std::to_string(kMaxBlockBytes) + " bytes");
    }
    f_->fields.push_back(std::move(field));
    Val v;
    v.kind = Vk::Field;
    v.id = static_cast<int>(f_->fields.size()) - 1;
    v.field = &f_->fields.back();
    v.drops_row = f_->row_planes && decl_.value_params.size() == 2;
    scope_.names[d.name] = v;
  }

  void place_beside(const ast::FormatField& d, ir::FormatField& field) {
    field.beside = d.beside;
    if (d.shared.empty()) return;
    field.rows = static_cast<int>(small(*d.shared[0], "the rows that share an entry", 1, 1 << 20));
    field.elements = static_cast<int>(small(*d.shared[1], "the elements that share an entry", 1, 1 << 20));
    if (field.elements % f_->block != 0) fail(d.shared[1]->span, "whole blocks share an entry: expected a multiple of " + std::to_string(f_->block));
    if (field.count != 1) fail(d.type.span, "a field whose entries are shared has one entry in a block");
  }

  void row_block() {
    int64_t block = 1;
    for (const ir::FormatField& field : f_->fields) {
      block = std::lcm(block, static_cast<int64_t>(field.per));
      if (block > kMaxBlock) fail(decl_.span, "the planes' groups have no common multiple up to " + std::to_string(kMaxBlock));
    }
    f_->block = static_cast<int>(block);
  }

  ExprPtr derive(const ast::FormatField& d, size_t number) {
    if (d.derive_params.size() != 1) fail(d.span, "a derived field depends on one index, its entry's number");
    Scope& s = ev_.new_scope(&scope_);
    s.names[d.derive_params[0]] = scalar_val(ir::make_index(0));
    ExprPtr e = ev_.eval_scalar(*d.derive, s);
    ir::visit(e, [&](const ir::Expr& n) {
      if (n.kind == ir::Ek::Field && n.ival >= static_cast<int64_t>(number))
        fail(d.span, "'" + d.name + "' is derived from the fields before it only");
    });
    return renumber_variables(convert(e, f_->fields[number].type, d.span), 1);
  }

  ExprPtr value() {
    Scope& s = ev_.new_scope(&scope_);
    const std::vector<std::string>& params = decl_.value_params;
    if (params.empty()) fail(decl_.span, "'value' depends on an index: value(k) = …");
    if (params.size() == 2) {
      if (!f_->row_planes) fail(decl_.value->span, "the value of a block's element depends on its place in the block only: value(k)");
      s.names[params[0]] = scalar_val(ir::make_index(kRowVariable));
      ev_.row_index = kRowVariable;
    }
    s.names[params.back()] = scalar_val(ir::make_index(0));
    ExprPtr e = to_float(ev_.eval_scalar(*decl_.value, s), decl_.value->span);
    if (ir::uses_index(e, kRowVariable)) fail(decl_.value->span, "a value may use its row as the fields' first index only");
    return renumber_variables(e, 1);
  }

  // The field of codes is the i8 one, the scale's is the f32 one.
  void absmax() {
    auto pick = [&](DType type, const char* what) {
      int found = -1;
      for (size_t i = 0; i < f_->fields.size(); ++i) {
        const ir::FormatField& field = f_->fields[i];
        if (field.type != type || field.derive) continue;
        if (found >= 0)
          fail(decl_.span, std::string("'encode absmax' needs one ") + what + ", found '" + f_->fields[static_cast<size_t>(found)].name +
                               "' and '" + field.name + "'");
        found = static_cast<int>(i);
      }
      if (found < 0) fail(decl_.span, std::string("'encode absmax' needs one ") + what);
      return found;
    };
    f_->encode = ir::EncodeRule::AbsMax;
    f_->code_field = pick(DType::I8, "field of i8 codes");
    f_->scale_field = pick(DType::F32, "field of f32 scales");
  }

  const ast::FormatDecl& decl_;
  Evaluator ev_;
  Scope& scope_;
  std::shared_ptr<ir::FormatType> f_ = std::make_shared<ir::FormatType>();
};

}  // namespace

ir::FormatRef elaborate_format(const Library& lib, const ast::FormatDecl& decl, const std::vector<StaticValue>& params,
                               const std::string& name) {
  FormatMaker maker(lib, decl);
  auto f = maker.make(params, name);
  if (!stored_scalar(*f)) formats::classify(*f);
  return f;
}

std::optional<DType> stored_scalar(const ir::FormatType& f) {
  if (f.row_planes || f.block != 1 || f.fields.size() != 1 || f.fields[0].count != 1) return std::nullopt;
  const ir::Expr* e = f.value.get();
  if (e->kind == ir::Ek::Cast) e = e->args[0].get();
  bool bare =
      e->kind == ir::Ek::Field && (f.fields[0].type == DType::F32 || f.fields[0].type == DType::F16 || f.fields[0].type == DType::BF16);
  return bare ? std::optional<DType>(f.fields[0].type) : std::nullopt;
}

}  // namespace lumen::sema
