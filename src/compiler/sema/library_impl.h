// What a Library holds: the parsed files and the newest declaration of every name.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "compiler/sema/library.h"

namespace lumen::sema {

struct Library::Impl {
  std::vector<std::unique_ptr<ast::File>> files;  // declarations below point into them
  std::map<std::string, const ast::FormatDecl*> formats;
  std::map<std::string, const ast::FnDecl*> functions;
  std::map<std::string, const ast::Stmt*> lets;
  std::map<std::string, const ast::TableDecl*> tables;
  std::vector<const ast::ModelDecl*> models;   // in the order they were added
  std::map<std::string, ir::FormatRef> cache;  // by full name; not safe against concurrent use
  std::set<std::string> in_the_making;         // formats whose elaboration has begun
  std::vector<SourcePtr> added;                // the user's
  bool standard_waits = false;                 // to be parsed
};

// format.cpp: one declaration with its parameters. Throws Mistake.
ir::FormatRef elaborate_format(const Library& lib, const ast::FormatDecl& decl, const std::vector<StaticValue>& params,
                               const std::string& name);
// The storage type of a format that holds one scalar and nothing else; nullopt: a real format.
std::optional<DType> stored_scalar(const ir::FormatType& f);

}  // namespace lumen::sema
