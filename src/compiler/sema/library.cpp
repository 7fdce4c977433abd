// The declarations at hand, and formats made from them once.
#include "compiler/sema/library.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/assert.h"
#include "base/mmap.h"
#include "compiler/sema/library_impl.h"
#include "compiler/sema/mistake.h"
#include "compiler/sema/value.h"
#include "compiler/syntax/parser.h"

namespace lumen::sema {

Library::Library() : impl_(std::make_unique<Impl>()) {}
Library::~Library() = default;
Library::Library(Library&&) noexcept = default;
Library& Library::operator=(Library&&) noexcept = default;

namespace {

// One file declares a name once; between files the newer one counts.
template <class T>
void find_twice(const std::vector<T>& declarations, const char* kind, std::vector<Diag>& errors) {
  std::set<std::string> seen;
  for (const T& d : declarations)
    if (!seen.insert(d.name).second)
      errors.push_back({d.span, std::string("the ") + kind + " '" + d.name + "' is declared twice in this file", ""});
}

}  // namespace

std::vector<Diag> Library::add(SourcePtr source) {
  syntax::Parsed parsed = syntax::parse(source);
  find_twice(parsed.file.formats, "format", parsed.errors);
  find_twice(parsed.file.functions, "function", parsed.errors);
  find_twice(parsed.file.lets, "function", parsed.errors);
  find_twice(parsed.file.tables, "table", parsed.errors);
  find_twice(parsed.file.models, "model", parsed.errors);
  if (!parsed.errors.empty()) return parsed.errors;
  auto file = std::make_unique<ast::File>(std::move(parsed.file));
  for (const ast::FormatDecl& d : file->formats) impl().formats[d.name] = &d;
  for (const ast::FnDecl& d : file->functions) impl().functions[d.name] = &d, impl().lets.erase(d.name);
  for (const ast::Stmt& d : file->lets) impl().lets[d.name] = &d, impl().functions.erase(d.name);
  for (const ast::TableDecl& d : file->tables) impl().tables[d.name] = &d;
  for (const ast::ModelDecl& d : file->models) impl().models.push_back(&d);
  impl().cache.clear();
  impl().files.push_back(std::move(file));
  impl().added.push_back(std::move(source));
  return {};
}

Library::Impl& Library::impl() const {
  if (impl_->standard_waits) {
    impl_->standard_waits = false;
    auto parsed = standard();
    if (!parsed) std::fputs(parsed.error().message.c_str(), stderr);
    LUMEN_ASSERT(parsed.ok());
    *impl_ = std::move(*parsed->impl_);
  }
  return *impl_;
}

const std::vector<SourcePtr>& Library::added() const { return impl_->added; }

Library Library::standard_when_asked() {
  Library lib;
  lib.impl_->standard_waits = true;
  return lib;
}

Status Library::add_directory(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  if (!fs::is_directory(path, ec)) return Error{path + ": expected a directory of .lum files"};
  std::vector<std::string> files;
  for (auto it = fs::recursive_directory_iterator(path, ec); !ec && it != fs::recursive_directory_iterator(); it.increment(ec))
    if (it->path().extension() == ".lum" && it->is_regular_file(ec)) files.push_back(it->path().string());
  if (ec) return Error{path + ": " + ec.message()};
  std::sort(files.begin(), files.end());
  std::string errors;
  for (const std::string& name : files) {
    LUMEN_TRY(file, MappedFile::open(name));
    auto bytes = file.bytes();
    auto source = std::make_shared<Source>(Source{name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
    errors += render(add(source));
  }
  if (!errors.empty()) return Error{errors};
  return ok_status();
}

Result<Library> Library::standard() {
  Library lib;
  for (const EmbeddedFile& file : embedded_files()) {
    auto source = std::make_shared<Source>(Source{"<lum>/" + std::string(file.path), std::string(file.text)});  // mistakes point into it
    std::vector<Diag> errors = lib.add(source);
    if (!errors.empty()) return Error{render(errors)};
  }
  lib.impl_->added.clear();
  return lib;
}

namespace {

struct FormatName {
  std::string base;
  std::vector<StaticValue> params;
};

// "rows<32>", "affine<4, 64, f16>". Spaces count for nothing.
std::optional<FormatName> split_name(const std::string& text) {
  FormatName out;
  size_t open = text.find('<');
  out.base = text.substr(0, open);
  if (open == std::string::npos) return out;
  if (text.back() != '>') return std::nullopt;
  std::stringstream list(text.substr(open + 1, text.size() - open - 2));
  for (std::string item; std::getline(list, item, ',');) {
    item.erase(std::remove(item.begin(), item.end(), ' '), item.end());
    int64_t number = 0;
    auto [end, ec] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (item.empty()) return std::nullopt;
    if (ec == std::errc() && end == item.data() + item.size())
      out.params.push_back(number);
    else
      out.params.push_back(item);
  }
  return out;
}

std::string join_name(const FormatName& n) {
  std::string s = n.base;
  for (size_t i = 0; i < n.params.size(); ++i) {
    auto* text = std::get_if<std::string>(&n.params[i]);
    s += (i ? ", " : "<") + (text ? *text : to_text(n.params[i]));
  }
  return n.params.empty() ? s : s + ">";
}

}  // namespace

Result<ir::FormatRef> Library::format(const std::string& name) const {
  if (dtype_named(name)) return ir::FormatRef();
  auto split = split_name(name);
  if (!split) return Error{"'" + name + "' is not a format's name", true};
  std::string full = join_name(*split);
  if (auto it = impl().cache.find(full); it != impl().cache.end()) return it->second;
  const ast::FormatDecl* decl = format_decl(split->base);
  if (!decl) return Error{"unknown format '" + split->base + "'" + did_you_mean(split->base, format_names()), true};
  if (!impl().in_the_making.insert(full).second) return Error{"the format '" + full + "' is made of itself"};
  struct Leave {
    std::set<std::string>& set;
    const std::string& name;
    ~Leave() { set.erase(name); }
  } leave{impl().in_the_making, full};
  try {
    ir::FormatRef f = elaborate_format(*this, *decl, split->params, full);
    impl().cache[full] = f;
    return f;
  } catch (const Mistake& m) {
    return Error{render(m.diag)};
  } catch (const Poisoned&) {
    return Error{"the format '" + name + "' has mistakes"};
  }
}

Result<std::optional<ir::Type>> Library::element_by_gguf_type(int type) const {
  // The newest declaration counts, as for names; format_decl holds that one only, so any order will do.
  for (const auto& [name, decl] : impl().formats) {
    if (!decl->gguf || decl->gguf->kind != ast::ExprKind::Int || decl->gguf->ival != type || !decl->generics.empty()) continue;
    // A format with fields in tensors beside the weight is one for weights that have these.
    if (std::any_of(decl->fields.begin(), decl->fields.end(), [](const ast::FormatField& f) { return !f.beside.empty(); })) continue;
    if (auto scalar = dtype_named(name)) return std::optional<ir::Type>(ir::Type{*scalar, nullptr, {}});
    LUMEN_TRY(f, format(name));
    if (auto scalar = stored_scalar(*f)) return std::optional<ir::Type>(ir::Type{*scalar, nullptr, {}});
    return std::optional<ir::Type>(ir::Type{DType::F32, f, {}});
  }
  return std::optional<ir::Type>();
}

ir::FormatRef Library::format_by_gguf_type(int type) const {
  auto element = element_by_gguf_type(type);
  return element && *element ? (*element)->format : nullptr;
}

std::vector<std::string> Library::format_names() const {
  std::vector<std::string> out;
  for (const auto& f : impl().formats) out.push_back(f.first);
  return out;
}

std::vector<const ast::FormatDecl*> Library::formats_for(const std::string& source, const std::string& text) const {
  std::vector<const ast::FormatDecl*> out;
  for (const auto& [name, decl] : impl().formats)
    for (const ast::FormatSource& s : decl->sources)
      if (s.kind == source && s.text == text) out.push_back(decl);
  return out;
}

const ast::ModelDecl* Library::model_for(const std::string& source, const std::string& arch) const {
  for (auto it = impl().models.rbegin(); it != impl().models.rend(); ++it)
    for (const ast::Alternative& a : (*it)->arch)
      if (a.source == source && a.value && a.value->kind == ast::ExprKind::String && a.value->text == arch) return *it;
  return nullptr;
}

const ast::ModelDecl* Library::model(const std::string& name) const {
  for (auto it = impl().models.rbegin(); it != impl().models.rend(); ++it)
    if ((*it)->name == name) return *it;
  return nullptr;
}

std::vector<std::string> Library::model_names() const {
  std::set<std::string> names;
  for (const ast::ModelDecl* m : impl().models) names.insert(m->name);
  return {names.begin(), names.end()};
}

const ast::FnDecl* Library::function(const std::string& name) const {
  auto it = impl().functions.find(name);
  return it == impl().functions.end() ? nullptr : it->second;
}

const ast::FormatDecl* Library::format_decl(const std::string& name) const {
  auto it = impl().formats.find(name);
  return it == impl().formats.end() ? nullptr : it->second;
}

}  // namespace lumen::sema
