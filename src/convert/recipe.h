// A recipe says which format each tensor of a model takes: a JSON file. The standard ones (lum/recipes) are embedded.
//   {"about": "…", "format": "a", "file_type": 15, "keep": ["*_gate_inp.weight"],
//    "rules": [{"tensors": ["*attn_v.weight"], "where": "i < n / 8 or tied", "format": "b"}],
//    "misfit": {"a": "c"}}
// The first rule that names a tensor and whose `where` holds decides; else "format". Patterns know * and ?. `where` is an expression of the
// .lum language over whole numbers: layer (the number in the tensor's name), layers, i (its place among those the rule names, in order
// of layers), n (how many those are), tied (no tensor output.weight), gqa (query heads that share a key), experts. "misfit": the format
// for a tensor whose rows are no whole blocks; followed as long as there is one.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compiler/syntax/ast.h"

namespace lumen::convert {

struct RecipeRule {
  std::vector<std::string> tensors;  // patterns
  ast::ExprPtr where;                // null: always
  std::string format;                // empty: the tensor stays as it is
  std::string why;                   // it stays
};

struct Recipe {
  std::string name, format;
  std::optional<uint32_t> file_type;  // general.file_type
  std::vector<RecipeRule> rules;
  std::map<std::string, std::string> misfit;
};

// What a recipe needs to know of a model.
struct RecipeModel {
  std::vector<std::string> tensors;  // that may change, in file order
  bool tied = false;
  int64_t gqa = 1, experts = 0;
};
// The recipe's choice for each of them.
struct Choice {
  std::string format;  // empty: it stays
  std::string why;     // it stays
};
Result<std::vector<Choice>> choose_formats(const Recipe& recipe, const RecipeModel& model);

// A standard recipe by its name (upper and lower case alike) or a file; Error: neither, with the names there are; what is wrong in it.
Result<Recipe> load_recipe(const std::string& name_or_path);
std::vector<std::string> recipe_names();
Result<Recipe> parse_recipe(const std::string& name, std::string_view text);
// PATTERN=FORMAT
Result<RecipeRule> parse_override(const std::string& text);

bool matches(std::string_view pattern, std::string_view text);

}  // namespace lumen::convert
