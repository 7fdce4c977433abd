// Reading recipes and applying them.
#include "convert/recipe.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/embedded.h"
#include "base/json.h"
#include "compiler/syntax/parser.h"

namespace lumen::convert {

std::span<const EmbeddedFile> embedded_recipes();  // generated from lum/recipes/*.json

namespace {

using Names = std::map<std::string, int64_t>;

std::string lower(std::string s) {
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return s;
}

// The parser takes whole files: the expression becomes the value of a `let`.
Result<ast::ExprPtr> parse_condition(const std::string& where, std::string_view text) {
  auto source = std::make_shared<const Source>(Source{where, "let where = " + std::string(text) + "\n"});
  syntax::Parsed parsed = syntax::parse(source);
  if (!parsed.errors.empty() || parsed.file.lets.size() != 1 || !parsed.file.lets[0].value)
    return Error{where + ": \"where\": expected an expression, found " + std::string(text) +
                     (parsed.errors.empty() ? "" : "; " + parsed.errors[0].message),
                 true};
  return parsed.file.lets[0].value;
}

Result<int64_t> evaluate(const ast::Expr& e, const Names& names) {
  if (e.kind == ast::ExprKind::Int || e.kind == ast::ExprKind::Bool) return e.ival;
  if (e.kind == ast::ExprKind::Name) {
    auto it = names.find(e.text);
    if (it != names.end()) return it->second;
    std::string known;
    for (auto& [name, value] : names) known += (known.empty() ? "" : ", ") + name;
    return Error{"\"where\": expected one of " + known + ", found '" + e.text + "'", true};
  }
  std::vector<int64_t> v;
  if (e.kind == ast::ExprKind::Unary || e.kind == ast::ExprKind::Binary || e.kind == ast::ExprKind::If)
    for (const ast::ExprPtr& a : e.args) {
      LUMEN_TRY(x, evaluate(*a, names));
      v.push_back(x);
    }
  const std::string& op = e.text;
  if (e.kind == ast::ExprKind::If) return v[0] ? v[1] : v[2];
  if (e.kind == ast::ExprKind::Unary) return op == "not" ? !v[0] : -v[0];
  if (e.kind != ast::ExprKind::Binary) return Error{"\"where\": expected whole numbers, comparisons, and, or, not, if", true};
  int64_t a = v[0], b = v[1];
  if (op == "and") return a && b;
  if (op == "or") return a || b;
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  if (op == ">=") return a >= b;
  if (std::max(std::abs(a), std::abs(b)) > (int64_t{1} << 30)) return Error{"\"where\": a number beyond 2^30", true};
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op != "/" && op != "%") return Error{"\"where\": '" + op + "' is not known here", true};
  if (b == 0) return Error{"\"where\": division by zero", true};
  return op == "/" ? a / b : a % b;
}

// The first part of a dotted name that is a number: the layer. -1: none.
int64_t layer_of(std::string_view name) {
  for (size_t at = 0; at < name.size();) {
    size_t dot = std::min(name.find('.', at), name.size());
    std::string_view part = name.substr(at, dot - at);
    if (!part.empty() && part.size() < 7 && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return std::stoll(std::string(part));
    at = dot + 1;
  }
  return -1;
}

bool names_it(const RecipeRule& rule, std::string_view tensor) {
  return std::any_of(rule.tensors.begin(), rule.tensors.end(), [&](const std::string& p) { return matches(p, tensor); });
}

// A member that must be a string (an array of strings), or is absent.
Result<std::vector<std::string>> texts(const Json& object, const char* key, const std::string& where, bool list) {
  std::vector<std::string> out;
  const Json* j = object.find(key);
  if (!j) return out;
  Error wrong{where + ": \"" + key + "\": expected " + (list ? "an array of strings" : "a string"), true};
  if (list != j->is_array()) return wrong;
  if (!list) {
    if (!j->is_string()) return wrong;
    out.emplace_back(j->as_string());
  }
  for (const Json& item : j->items()) {
    if (!item.is_string()) return wrong;
    out.emplace_back(item.as_string());
  }
  return out;
}

Result<RecipeRule> parse_rule(const Json& j, const std::string& where) {
  static const std::vector<std::string_view> known = {"tensors", "where", "format"};
  if (!j.is_object()) return Error{where + ": \"rules\": expected objects", true};
  for (const JsonMember& m : j.members())
    if (std::find(known.begin(), known.end(), m.key) == known.end())
      return Error{where + ": \"rules\": expected tensors, where, format, found " + std::string(m.key), true};
  RecipeRule rule;
  LUMEN_TRY(tensors, texts(j, "tensors", where, true));
  LUMEN_TRY(condition, texts(j, "where", where, false));
  LUMEN_TRY(format, texts(j, "format", where, false));
  if (tensors.empty() || format.empty()) return Error{where + ": \"rules\": each needs \"tensors\" and \"format\"", true};
  rule.tensors = std::move(tensors);
  rule.format = format[0];
  if (!condition.empty()) {
    LUMEN_TRY(e, parse_condition(where, condition[0]));
    rule.where = std::move(e);
  }
  return rule;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = pattern.npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(), [](char c) { return c == '*'; });
}

Result<Recipe> parse_recipe(const std::string& name, std::string_view text) {
  std::string where = "recipe " + name;
  auto document = JsonDocument::parse(text);
  if (!document) return Error{where + ": " + document.error().message, true};
  const Json& root = document->root();
  if (!root.is_object()) return Error{where + ": expected an object", true};
  static const std::vector<std::string_view> known = {"about", "format", "file_type", "keep", "rules", "misfit"};
  for (const JsonMember& m : root.members())
    if (std::find(known.begin(), known.end(), m.key) == known.end())
      return Error{where + ": expected about, format, file_type, keep, rules, misfit, found " + std::string(m.key), true};
  Recipe r;
  r.name = name;
  LUMEN_TRY(format, texts(root, "format", where, false));
  if (!format.empty()) r.format = format[0];
  LUMEN_TRY(keep, texts(root, "keep", where, true));
  if (!keep.empty()) r.rules.push_back({std::move(keep), nullptr, "", "the recipe keeps it"});
  if (const Json* t = root.find("file_type")) {
    if (!t->is(Json::Kind::Int) || t->as_int() < 0 || t->as_int() > UINT32_MAX)
      return Error{where + ": \"file_type\": expected a number from 0 up", true};
    r.file_type = static_cast<uint32_t>(t->as_int());
  }
  if (const Json* rules = root.find("rules")) {
    if (!rules->is_array()) return Error{where + ": \"rules\": expected an array", true};
    for (const Json& j : rules->items()) {
      LUMEN_TRY(rule, parse_rule(j, where));
      r.rules.push_back(std::move(rule));
    }
  }
  if (const Json* misfit = root.find("misfit")) {
    if (!misfit->is_object()) return Error{where + ": \"misfit\": expected an object of strings", true};
    for (const JsonMember& m : misfit->members()) {
      if (!m.value.is_string()) return Error{where + ": \"misfit\": expected an object of strings", true};
      r.misfit.emplace(m.key, m.value.as_string());
    }
  }
  return r;
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const EmbeddedFile& f : embedded_recipes()) names.emplace_back(f.path.substr(0, f.path.size() - 5));
  return names;
}

Result<Recipe> load_recipe(const std::string& name) {
  for (const EmbeddedFile& f : embedded_recipes())
    if (f.path == lower(name) + ".json") return parse_recipe(lower(name), f.text);
  std::ifstream in(name, std::ios::binary);
  if (!in) {
    std::string known;
    for (const std::string& n : recipe_names()) known += (known.empty() ? "" : ", ") + n;
    return Error{"--recipe: expected a file or one of " + known + ", found '" + name + "'", true};
  }
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return parse_recipe(name, text);
}

Result<RecipeRule> parse_override(const std::string& text) {
  size_t eq = text.rfind('=');
  if (eq == std::string::npos || eq == 0 || eq + 1 == text.size())
    return Error{"--tensor: expected PATTERN=FORMAT, found '" + text + "'", true};
  return RecipeRule{{text.substr(0, eq)}, nullptr, text.substr(eq + 1), ""};
}

Result<std::vector<Choice>> choose_formats(const Recipe& recipe, const RecipeModel& model) {
  std::vector<int64_t> layer;
  int64_t layers = 0;
  for (const std::string& t : model.tensors) {
    layer.push_back(layer_of(t));
    layers = std::max(layers, layer.back() + 1);
  }
  std::vector<Choice> out(model.tensors.size(), Choice{recipe.format, ""});
  std::vector<bool> decided(out.size(), false);
  for (const RecipeRule& rule : recipe.rules) {
    std::vector<size_t> named;  // those decided by an earlier rule count, too
    for (size_t i = 0; i < out.size(); ++i)
      if (names_it(rule, model.tensors[i])) named.push_back(i);
    std::stable_sort(named.begin(), named.end(), [&](size_t a, size_t b) { return layer[a] < layer[b]; });
    for (size_t place = 0; place < named.size(); ++place) {
      size_t t = named[place];
      if (decided[t]) continue;
      if (rule.where) {
        Names names = {
            {"layer", layer[t]},  {"layers", layers}, {"i", static_cast<int64_t>(place)}, {"n", static_cast<int64_t>(named.size())},
            {"tied", model.tied}, {"gqa", model.gqa}, {"experts", model.experts}};
        auto holds = evaluate(*rule.where, names);
        if (!holds) return Error{"recipe " + recipe.name + ": " + holds.error().message, true};
        if (!*holds) continue;
      }
      decided[t] = true;
      out[t] = {rule.format, rule.why};
    }
  }
  return out;
}

}  // namespace lumen::convert
