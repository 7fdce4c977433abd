// lumen compile: what becomes of a .lum file, stage by stage, for people who want to read it.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "backend/gpu/text_target.h"
#include "command.h"
#include "common.h"
#include "compiler/formats/describe.h"
#include "compiler/passes/passes.h"
#include "compiler/plan/plan.h"
#include "compiler/syntax/parser.h"
#include "engine/checkpoint_source.h"
#include "engine/instance.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string file, fn, bind, target = "native", emit = "ir", after, from;
  int64_t tokens = 0;
  bool exact = false;
};

using Bindings = std::map<std::string, sema::StaticValue>;

// A file on disk, or one of the standard ones by its place there: kernels/linear.lum.
Result<SourcePtr> read_source(const std::string& path) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) {
    std::string inside = path.rfind("lum/", 0) == 0 ? path.substr(4) : path;
    for (const EmbeddedFile& f : sema::embedded_files())
      if (f.path == inside) return std::make_shared<const Source>(Source{"<lum>/" + std::string(f.path), std::string(f.text)});
    return Error{path + ": no such file, and no standard one of that name (such as kernels/linear.lum)"};
  }
  if (std::filesystem::is_directory(path, ec)) return Error{path + ": expected a .lum file, found a directory"};
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) return Error{path + ": cannot be read"};
  return std::make_shared<const Source>(Source{path, text.str()});
}

// "K=2048,W=act<32>,eps=1e-5": commas inside <…> do not separate.
Result<Bindings> parse_bindings(const std::string& text) {
  Bindings out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    for (int depth = 0; end < text.size() && (text[end] != ',' || depth > 0); ++end)
      depth += text[end] == '<' ? 1 : text[end] == '>' ? -1 : 0;
    std::string item = text.substr(at, end - at);
    at = end + 1;
    size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == item.size())
      return Error{"--bind: expected NAME=VALUE, found '" + item + "'", true};
    std::string name = item.substr(0, equals), value = item.substr(equals + 1);
    const char *first = value.data(), *last = first + value.size();
    int64_t whole = 0;
    double real = 0;
    if (auto [p, ec] = std::from_chars(first, last, whole); ec == std::errc() && p == last)
      out[name] = whole;
    else if (auto [q, ec2] = std::from_chars(first, last, real); ec2 == std::errc() && q == last)
      out[name] = real;
    else if (value == "true" || value == "false")
      out[name] = value == "true";
    else
      out[name] = value;
  }
  return out;
}

std::string signature(const ast::FnDecl& fn) {
  ast::File only;
  ast::FnDecl bare = fn;
  bare.body.clear();
  only.functions.push_back(std::move(bare));
  std::string text = syntax::print(only);
  text.resize(text.rfind('{'));
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.pop_back();
  return text;
}

std::string elaborated(const ir::Function& f) {
  std::string params, results;
  for (const ir::Value& v : f.values)
    if (v.kind == ir::ValueKind::Param) params += (params.empty() ? "" : ", ") + v.name + ": " + ir::to_string(v.type);
  for (int r : f.results) results += (results.empty() ? "" : ", ") + ir::to_string(f.values[static_cast<size_t>(r)].type);
  return f.name + "(" + params + ")" + (results.empty() ? "" : " -> " + results);
}

std::string describe_format(const sema::Library& lib, const ast::FormatDecl& d) {
  if (!d.generics.empty()) {
    std::string list;
    for (const ast::GenericParam& g : d.generics) list += (list.empty() ? "" : ", ") + g.name + (g.kind.empty() ? "" : ": " + g.kind);
    return "format " + d.name + "<" + list + ">\n";
  }
  auto f = lib.format(d.name);
  if (!f) return "format " + d.name + ": " + f.error().message + "\n";
  if (!*f) return "format " + d.name + ": a plain scalar\n";
  std::string out = "format " + d.name + ": ";
  if ((*f)->row_planes)
    out += "planes in each row\n";
  else
    out += std::to_string((*f)->block) + " elements in " + std::to_string((*f)->block_bytes) + " bytes, " +
           fixed(8.0 * (*f)->block_bytes / (*f)->block, 3) + " bits each\n";
  return out + "  " + formats::describe(**f) + "\n";
}

// Declarations with their types; a function whose parameters are all bound with the types it gets.
std::string types_of(const sema::Library& lib, const ast::File& file, const Options& o, const Bindings& bind) {
  std::string out;
  for (const ast::FormatDecl& d : file.formats) out += describe_format(lib, d);
  for (const ast::FnDecl& d : file.functions) {
    if (!o.fn.empty() && d.name != o.fn) continue;
    auto f = sema::elaborate_function(lib, d.name, bind);
    out += signature(d) + "\n";
    if (f)
      out += "  " + elaborated(*f) + "\n";
    else if (!f.error().usage || !o.fn.empty())
      out += "  " + f.error().message + (f.error().message.back() == '\n' ? "" : "\n");
  }
  for (const ast::Stmt& d : file.lets) {  // expressions, substituted where they are used: their types are their arguments'
    std::string params;
    for (const std::string& p : d.params) params += (params.empty() ? "" : ", ") + p;
    out += "let " + d.name + "(" + params + ")\n";
  }
  for (const ast::TableDecl& d : file.tables)
    out += "table " + d.name + ": " + std::to_string(d.values.size()) + " values" + (d.type.empty() ? "" : " of " + d.type) + "\n";
  for (const ast::ModelDecl& d : file.models) {
    out += "model " + d.name + ": " + std::to_string(d.config.size()) + " configuration values, " + std::to_string(d.weights.size()) +
           " weights, " + std::to_string(d.state.size()) + " states\n";
  }
  return out;
}

Result<ir::Function> function_of(const Arguments& a, const sema::Library& lib, const ast::File& file, const Options& o,
                                 const Bindings& bind) {
  std::string names;
  for (const ast::FnDecl& d : file.functions) names += (names.empty() ? "" : ", ") + d.name;
  if (!o.from.empty()) {
    std::string name = !o.fn.empty() ? o.fn : file.models.size() == 1 ? file.models[0].name : "";
    const ast::ModelDecl* decl = name.empty() ? nullptr : lib.model(name);
    if (!decl) return Error{"--from: expected a .lum file with one model, or its name in --fn", true};
    LUMEN_TRY(library, library_for(a, o.from));
    LUMEN_TRY(m, runtime::open_file(o.from, library));
    LUMEN_TRY(instance, sema::instantiate(lib, *decl, engine::CheckpointSource(lib, *m.checkpoint)));
    if (o.exact) passes::widen_states(instance.forward);
    return std::move(instance.forward);
  }
  std::string fn = o.fn;
  if (fn.empty()) {
    if (file.functions.empty() && !file.models.empty())
      return Error{o.file + ": a model becomes IR only with a file to take sizes from: --from MODEL", true};
    std::string stem = std::filesystem::path(o.file).stem().string();  // linear.lum: linear
    for (const ast::FnDecl& d : file.functions)
      if (d.name == stem || file.functions.size() == 1) fn = d.name;
    if (fn.empty()) return Error{"--fn: expected one of the file's functions: " + (names.empty() ? "it has none" : names), true};
  }
  return sema::elaborate_function(lib, fn, bind);
}

Result<std::string> ir_text(const sema::Library& lib, ir::Function f, const Options& o) {
  if (o.after.empty()) return ir::print(f);
  std::string text;
  passes::Options p;
  p.integer_dots = !o.exact;
  p.activation = [&lib](int group) { return engine::activation_format(lib, group); };
  p.after = [&](const std::string& pass, const ir::Function& now) {
    if (pass == o.after) text = ir::print(now);
  };
  passes::run(f, p);
  return text;
}

// plan, loops, asm: the passes, then kernels for the target.
Result<std::string> kernels_text(const sema::Library& lib, ir::Function f, const Options& o) {
  if (o.target == "interp")
    return Error{"--target interp: the interpreter has no " + o.emit + "; expected native, avx2, avx512, avx512vnni or wgsl", true};
  std::shared_ptr<Target> target;
  if (o.target == "wgsl") {  // text needs no device
    target = gpu::make_text_target(gpu::wgsl());
  } else {
    LUMEN_TRY(made, make_target(o.target, 1));
    target = std::move(made);
  }
  passes::Options p;
  p.integer_dots = !o.exact;
  p.activation = [&lib](int group) { return engine::activation_format(lib, group); };
  passes::run(f, p);
  plan::KernelCache cache(*target);
  std::map<std::string, int64_t> bounds = f.bounds;  // run-time extents: as large as a step's
  for (const ir::Value& v : f.values)
    for (const ir::Dim& d : v.type.dims)
      if (!d.is_const()) bounds.emplace(d.symbol, o.tokens > 0 ? o.tokens : 512);
  LUMEN_TRY(plan, plan::make_plan(std::move(f), cache, bounds, static_cast<int>(o.tokens)));
  if (o.emit == "plan") return plan::print(plan);
  std::string text;
  std::vector<const plan::Kernel*> seen;
  for (const plan::Launch& l : plan.launches) {
    if (std::find(seen.begin(), seen.end(), l.kernel.get()) != seen.end()) continue;
    seen.push_back(l.kernel.get());
    text += (text.empty() ? "" : "\n") + (o.emit == "loops" ? loops::print(l.kernel->lowered.kernel) : l.kernel->code->listing());
  }
  return text;
}

Status compile(const Arguments& a, const Options& given) {
  Options o = given;
  if (o.emit == "wgsl") {
    if (a.given("--target") && o.target != "wgsl") return Error{"--emit wgsl: expected --target wgsl, found " + o.target, true};
    o.target = "wgsl";
  }
  if (o.emit == "asm" && o.target == "wgsl") return Error{"--emit asm: expected a CPU target, found wgsl", true};
  const auto& passes = passes::pass_names();
  if (!o.after.empty() && std::find(passes.begin(), passes.end(), o.after) == passes.end()) {
    std::string list;
    for (const std::string& p : passes) list += (list.empty() ? "" : ", ") + p;
    return Error{"--after: expected one of " + list + ", found '" + o.after + "'", true};
  }
  LUMEN_TRY(bind, parse_bindings(o.bind));
  LUMEN_TRY(source, read_source(o.file));
  LUMEN_TRY(lib, sema::Library::standard());
  for (const std::string& d : a.globals().lum_directories) LUMEN_CHECK(lib.add_directory(d));
  if (auto errors = lib.add(source); !errors.empty()) return Error{render(errors)};
  syntax::Parsed parsed = syntax::parse(source);
  if (o.emit == "ast") return print_out(syntax::print_tree(parsed.file));
  if (o.emit == "types") return print_out(types_of(lib, parsed.file, o, bind));
  LUMEN_TRY(f, function_of(a, lib, parsed.file, o, bind));
  LUMEN_TRY(text, o.emit == "ir" ? ir_text(lib, std::move(f), o) : kernels_text(lib, std::move(f), o));
  if (text.empty() || text.back() != '\n') text += '\n';
  return print_out(text);
}

}  // namespace

Action declare_compile(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("FILE.lum", o->file, "a .lum file, or a standard one such as kernels/linear.lum", true);
  a.text("--fn", o->fn, "the function; may be left out where it is the only one, or the file bears its name");
  a.text("--bind", o->bind, "values of dimensions, formats and parameters: K=2048,N=2048,W=FORMAT,eps=1e-5; what is left out stays open");
  a.choice("--target", o->target, {"native", "interp", "avx2", "avx512", "avx512vnni", "wgsl"}, "whose kernels");
  a.choice("--emit", o->emit, {"ast", "types", "ir", "plan", "loops", "asm", "wgsl"}, "what to print (default ir)");
  a.text("--after", o->after, "with --emit ir: the IR after this pass; without it, before all passes");
  a.text("--from", o->from, "for a model declaration: the model file to take configuration and tensors from");
  a.integer("--tokens", o->tokens, 0, 1 << 20, "kernels for steps of at most this many tokens; 0: of any number (default)");
  a.flag("--exact", o->exact, "as for --exact runs: no integer dot products");
  return [&a, o] { return compile(a, *o); };
}

}  // namespace lumen::tool
