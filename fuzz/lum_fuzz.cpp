// libFuzzer target: any text goes through the parser, what parses prints to text that parses to the same tree, and every
// declaration of it is elaborated beside the standard library: formats down to their integer form, functions with open and with
// bound dimensions, models on a file in memory. Whatever is wrong must be said, in words that are not "internal error".
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "compiler/sema/fake_source.h"
#include "compiler/sema/library_impl.h"
#include "compiler/syntax/parser.h"

namespace {

using namespace lumen;
using Bindings = std::map<std::string, sema::StaticValue>;

SourcePtr source_of(std::string text) { return std::make_shared<const Source>(Source{"fuzz.lum", std::move(text)}); }

void prints_as_it_parses(const syntax::Parsed& first) {
  std::string printed = syntax::print(first.file);
  syntax::Parsed second = syntax::parse(source_of(printed));
  LUMEN_ASSERT(second.errors.empty());
  LUMEN_ASSERT(syntax::print(second.file) == printed);
  LUMEN_ASSERT(syntax::print_tree(second.file) == syntax::print_tree(first.file));
}

// A library with the standard declarations, which are parsed once: this one's names point at them.
sema::Library beside_the_standard() {
  static const sema::Library standard = sema::Library::standard().take();
  sema::Library lib;
  lib.impl().formats = standard.impl().formats;
  lib.impl().functions = standard.impl().functions;
  lib.impl().lets = standard.impl().lets;
  lib.impl().tables = standard.impl().tables;
  lib.impl().models = standard.impl().models;
  return lib;
}

template <class T>
bool sound(const Result<T>& r) {
  if (r) return true;
  LUMEN_ASSERT(!r.error().message.empty());
  LUMEN_ASSERT(r.error().message.find("internal error") == std::string::npos);
  return false;
}

// "f", "f<32>": integers for its parameters, a scalar type for floats, a plain format for formats.
std::string with_parameters(const ast::FormatDecl& d) {
  std::string list;
  for (const ast::GenericParam& g : d.generics)
    list += (list.empty() ? "" : ", ") + std::string(g.kind == "format" ? "q4_0" : g.kind == "float" ? "f16" : "32");
  return list.empty() ? d.name : d.name + "<" + list + ">";
}

void names_in(const ast::Expr& e, Bindings& bind, int64_t value) {
  if (e.kind == ast::ExprKind::Name) bind.emplace(e.text, value);
  for (const ast::ExprPtr& a : e.args) names_in(*a, bind, value);
}

// What a call from outside must give; with `extent` the dimensions too. The weights are in the file's own format where it has one.
Bindings bindings_of(const ast::FnDecl& fn, const std::string& format, int64_t extent) {
  Bindings bind;
  for (const ast::GenericParam& g : fn.generics) {
    if (g.kind == "format")
      bind[g.name] = format;
    else if (g.kind == "float")
      bind[g.name] = std::string("f16");
    else
      bind[g.name] = int64_t{32};
  }
  for (const ast::Param& p : fn.params) {
    if (!p.type) continue;
    if (p.type->name == "int") bind[p.name] = int64_t{2};
    if (p.type->name == "float") bind[p.name] = 0.5;
    if (p.type->name == "bool") bind[p.name] = true;
  }
  if (extent > 0)
    for (const ast::Param& p : fn.params)
      if (p.type && p.type->has_dims)
        for (const ast::ExprPtr& d : p.type->dims) names_in(*d, bind, extent);
  return bind;
}

// A file that has any configuration key, by the last word of it, and the tensors of a small llama with biases and norms.
class AnyModel : public sema::testing::FakeSource {
 public:
  AnyModel() {
    FakeSource::operator=(sema::testing::tiny_llama());
    for (int l = 0; l < 2; ++l) {
      std::string p = "blk." + std::to_string(l) + ".";
      add(p + "attn_q.bias", {8});
      for (const char* name : {"attn_k.bias", "attn_v.bias", "attn_q_norm.weight", "attn_k_norm.weight"}) add(p + name, {4});
      for (const char* name : {"post_attention_norm.weight", "post_ffw_norm.weight"}) add(p + name, {8});
    }
  }
  std::optional<sema::StaticValue> config(const std::string& key) const override {
    if (auto v = FakeSource::config(key)) return v;
    std::string last = key.substr(key.rfind('.') + 1);
    for (const auto& [name, value] : keys)
      if (name.substr(name.rfind('.') + 1) == last) return value;
    if (last == "key_length" || last == "value_length") return int64_t{4};
    return std::nullopt;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  SourcePtr source = source_of({reinterpret_cast<const char*>(data), size});  // mistakes point into it
  syntax::Parsed parsed = syntax::parse(source);
  if (!parsed.errors.empty()) {
    LUMEN_ASSERT(!render(parsed.errors).empty());
    return 0;
  }
  prints_as_it_parses(parsed);

  sema::Library library = beside_the_standard();
  std::vector<Diag> errors = library.add(source);
  if (!errors.empty()) {
    LUMEN_ASSERT(!render(errors).empty());
    return 0;
  }
  std::string format = "q4_0";
  for (const ast::FormatDecl& d : parsed.file.formats) {
    auto f = library.format(with_parameters(d));
    if (sound(f) && *f) format = with_parameters(d);
  }
  for (const ast::FnDecl& d : parsed.file.functions)
    for (int64_t extent : {0, 64}) (void)sound(sema::elaborate_function(library, d.name, bindings_of(d, format, extent)));
  for (const ast::ModelDecl& d : parsed.file.models) (void)sound(sema::instantiate(library, *library.model(d.name), AnyModel()));
  return 0;
}
