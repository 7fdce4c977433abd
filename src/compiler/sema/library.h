// Library: every .lum declaration at hand, by name: the embedded standard ones and the user's. A user's declaration replaces a
// standard one of the same name. Const methods fill a cache: one thread at a time. Elaborates formats into ir::FormatType and functions
// into ir::Function.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/diag.h"
#include "base/embedded.h"
#include "base/result.h"
#include "compiler/ir/ir.h"
#include "compiler/syntax/ast.h"

namespace lumen::sema {

// What a generic or static parameter may be bound to: K=2048, W=a format, eps=1e-5.
using StaticValue = std::variant<int64_t, double, bool, std::string, ir::FormatRef, std::vector<int64_t>, std::vector<double>,
                                 std::vector<std::string>>;

std::span<const EmbeddedFile> embedded_files();  // the standard .lum files: "formats/NAME.lum"

class Library {
 public:
  Library();
  ~Library();
  Library(Library&&) noexcept;
  Library& operator=(Library&&) noexcept;

  // Parses and adds one source; returns its mistakes (nothing of a wrong file is added).
  std::vector<Diag> add(SourcePtr source);
  Status add_directory(const std::string& path);  // every *.lum below it, in name order; Error: path or rendered diagnostics
  static Result<Library> standard();              // embedded_files()
  // The same, parsed when first asked for anything: they are part of the program, mistakes in them are ours.
  static Library standard_when_asked();
  // What was added beyond the standard files, in order.
  const std::vector<SourcePtr>& added() const;

  // "name", "name<32>", "f16", "f32": a FormatType with its integer form, cached. Errors: unknown name (with the nearest known
  // one), wrong parameters, a declaration that does not elaborate (rendered diagnostics). Scalar types have no FormatType: null.
  Result<ir::FormatRef> format(const std::string& name) const;
  ir::FormatRef format_by_gguf_type(int type) const;  // null: none declares it, or it is a plain scalar
  // The element type (no dims) that a GGUF tensor type stands for: a plain scalar (f32, f16, bf16) or a format. nullopt: no format
  // declares it. Error: the declaration does not elaborate.
  Result<std::optional<ir::Type>> element_by_gguf_type(int type) const;
  std::vector<std::string> format_names() const;
  // Formats that declare what a kind of file calls their data: ("hf", "F8_E4M3").
  std::vector<const ast::FormatDecl*> formats_for(const std::string& source, const std::string& text) const;
  const ast::ModelDecl* model_for(const std::string& source, const std::string& arch) const;  // ("gguf", "llama"); null: none
  const ast::ModelDecl* model(const std::string& name) const;                                 // null: none
  std::vector<std::string> model_names() const;
  const ast::FnDecl* function(const std::string& name) const;
  const ast::FormatDecl* format_decl(const std::string& name) const;

  struct Impl;
  Impl& impl() const;

 private:
  std::unique_ptr<Impl> impl_;
};

// One function as IR. `bind` gives values to dimension names, format parameters and int/float/bool parameters; dimensions left
// unbound stay symbolic ("T"). Tensor parameters become Params (weights where their type is a format parameter, inputs otherwise).
Result<ir::Function> elaborate_function(const Library& lib, const std::string& fn, const std::map<std::string, StaticValue>& bind);

}  // namespace lumen::sema
