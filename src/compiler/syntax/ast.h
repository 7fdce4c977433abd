// The syntax tree of a .lum file, as written: names unresolved, nothing evaluated. Grammar: docs/language.md.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diag.h"

namespace lumen::ast {

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

// An index bound by a reduction: sum[k](…) (extent inferred) or sum[j in lo..hi](…).
struct Binder {
  std::string name;
  ExprPtr lo, hi;  // both null, or both set
  Span span;
};

enum class ExprKind : uint8_t {
  Int,       // ival; text: as spelt
  Float,     // fval; text: as spelt
  String,    // text
  Bool,      // ival
  Name,      // text
  Unary,     // text: "-", "not";  args[0]
  Binary,    // text: "+ - * / % ** & | ^ << >> == != < <= > >= and or";  args[0], args[1]
  If,        // if args[0] then args[1] else args[2]
  Call,      // args[0](args[1..]); `named` pairs behind; type arguments linear<q4_0>(…) in type_args
  Index,     // args[0][args[1..]]
  Field,     // args[0].text
  Reduce,    // text[binders](args…): sum, max, min, softmax_sum
  List,      // [args…]
  Range,     // args[0]..args[1]
};

struct Expr {
  ExprKind kind;
  Span span;
  std::string text;
  int64_t ival = 0;
  double fval = 0;
  std::vector<ExprPtr> args;
  std::vector<std::pair<std::string, ExprPtr>> named;
  std::vector<ExprPtr> type_args;  // names may carry type_args of their own: linear<act_q8<32>>(…)
  std::vector<Binder> binders;
  int height = 1;  // of the tree below; the parser keeps it under kMaxHeight, so that walking it by recursion is safe
};
inline constexpr int kMaxHeight = 200;

// f32[T, K], q4_0[N, K], W[N, K], paged f16[G, C], int, float, bool, or a bare dimension list [N, K] (name empty)
struct TypeExpr {
  Span span;
  bool paged = false;
  std::string name;
  std::vector<ExprPtr> args;   // act_q8<32>
  std::vector<ExprPtr> dims;
  bool has_dims = false;
};

struct Param {
  std::string name;
  std::optional<TypeExpr> type;  // absent in `let` functions
  Span span;
};

enum class StmtKind : uint8_t {
  Let,      // let name = value        let name(params) = value      (an expression, substituted where used)
  Assign,   // name = value            (a tensor)
  Define,   // name[axes] = value      (index notation)
  Expr,     // value;                  append(k[l], x), residual(x), assert(c, "…")
  Return,   // return value
  For,      // for name in lo..hi { body }        unrolled
  If,       // if value { body } else { otherwise }   decided statically
};

struct Stmt {
  StmtKind kind;
  Span span;
  std::string name;
  std::vector<std::string> params;  // Let; Define: axes
  ExprPtr value;
  ExprPtr lo, hi;                   // For
  std::vector<Stmt> body, otherwise;
};

// One alternative of a binding: gguf "key" | hf "key" | any expression. `transform(…)` around a source is an ordinary Call
// whose innermost argument is a Source.
struct Alternative {
  std::string source;  // "gguf", "hf", "mlx"; empty: an expression that stands for every source
  ExprPtr value;
};

struct Binding {
  std::string name;
  std::optional<TypeExpr> type;
  bool optional = false;
  std::vector<Alternative> alternatives;
  Span span;
};

// weights { …  layer[l in 0..layers] { … } }: bindings with the index variables around them, outermost first
struct IndexedBinding {
  std::vector<Binder> over;
  Binding binding;
};

struct GenericParam {
  std::string name;
  std::string kind;  // "format", "float", "" (an integer)
};

struct FormatField {
  std::string name;
  TypeExpr type;
  ExprPtr derive;                    // name: i16[…] = sum[…](…)
  std::vector<std::string> derive_params;
  std::string beside;                // in "scales": the tensor that holds it, beside the weight's own; empty: none
  std::vector<ExprPtr> shared;       // in "scales"[rows, elements]: what shares an entry
  Span span;
};

// hf "F8_E4M3": what a kind of file calls data of a format
struct FormatSource {
  std::string kind, text;
};

struct TableDecl {
  std::string name;
  std::string type;                  // "i8"; empty: i32 or f32 by its entries
  std::vector<ExprPtr> values;
  Span span;
};

struct FormatDecl {
  std::string name;
  Span span;
  std::vector<GenericParam> generics;
  ExprPtr gguf;                      // type number, or null
  std::vector<FormatSource> sources;
  bool planes = false;
  ExprPtr block;                     // elements, for block formats
  std::vector<FormatField> fields;
  std::vector<TableDecl> tables;
  std::vector<Stmt> lets;
  std::vector<std::string> value_params;  // (k) or (n, k)
  ExprPtr value;
  std::string encode;                // "absmax", "search" or empty
};

struct FnDecl {
  std::string name;
  Span span;
  std::vector<GenericParam> generics;
  std::vector<Param> params;
  std::optional<TypeExpr> result;
  std::vector<Stmt> body;
};

struct ModelDecl {
  std::string name;
  Span span;
  std::vector<Alternative> arch;     // gguf "llama" | hf "LlamaForCausalLM"
  std::vector<Binding> config;
  std::vector<IndexedBinding> weights;
  std::vector<IndexedBinding> state; // type only
  std::vector<FnDecl> functions;     // local fn
  std::vector<Stmt> forward;
};

struct File {
  SourcePtr source;
  std::vector<FormatDecl> formats;
  std::vector<FnDecl> functions;
  std::vector<Stmt> lets;            // file-level let f(x) = …
  std::vector<TableDecl> tables;
  std::vector<ModelDecl> models;
};

}  // namespace lumen::ast
