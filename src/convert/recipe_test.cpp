// Patterns, conditions and which rule counts.
#include "convert/recipe.h"

#include <gtest/gtest.h>

namespace lumen::convert {
namespace {

TEST(Recipe, Patterns) {
  EXPECT_TRUE(matches("*attn_v.weight", "blk.3.attn_v.weight"));
  EXPECT_TRUE(matches("blk.?.*.weight", "blk.3.ffn_up.weight"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(matches("blk.?.*", "blk.13.x"));
  EXPECT_FALSE(matches("*attn_v.weight", "blk.3.attn_v.bias"));
  EXPECT_FALSE(matches("output.weight", "blk.0.attn_output.weight"));
  EXPECT_FALSE(matches("", "x"));
}

std::vector<std::string> chosen(const std::string& json, RecipeModel model) {
  auto recipe = parse_recipe("test", json);
  EXPECT_TRUE(recipe.ok()) << recipe.error().message;
  auto choices = choose_formats(*recipe, model);
  EXPECT_TRUE(choices.ok()) << choices.error().message;
  std::vector<std::string> out;
  for (const Choice& c : *choices) out.push_back(c.format);
  return out;
}

TEST(Recipe, TheFirstRuleThatHoldsDecides) {
  RecipeModel model{{"blk.0.a", "blk.1.a", "blk.2.a", "blk.10.a", "top"}, false, 4, 0};
  using V = std::vector<std::string>;
  EXPECT_EQ(chosen(R"({"format": "x"})", model), V(5, "x"));
  EXPECT_EQ(chosen(R"({"format": "x", "keep": ["top"], "rules": [{"tensors": ["top"], "format": "y"}]})", model),
            (V{"x", "x", "x", "x", ""}));
  EXPECT_EQ(
      chosen(
          R"({"format": "x", "rules": [{"tensors": ["*.a"], "where": "i < 2", "format": "y"},)"
                   R"({"tensors": ["*.a"], "where": "i < 3", "format": "z"}]})",
          model),
      (V{"y", "y", "z", "x", "x"}));
  EXPECT_EQ(
      chosen(R"({"format": "x", "rules": [{"tensors": ["*"], "where": "layer == layers - 1 or gqa > 4 or tied", "format": "y"}]})", model),
      (V{"x", "x", "x", "y", "x"}));
  EXPECT_EQ(chosen(R"({"format": "x", "rules": [{"tensors": ["*.a"], "where": "i == n - 1 and not tied", "format": "y"}]})", model),
            (V{"x", "x", "x", "y", "x"}));
}

TEST(Recipe, PlacesGoByLayersWhateverTheOrderOfTheFile) {
  RecipeModel model{{"blk.10.a", "blk.2.a", "blk.0.a"}, false, 1, 0};
  EXPECT_EQ(chosen(R"({"format": "x", "rules": [{"tensors": ["*.a"], "where": "i == 1", "format": "y"}]})", model),
            (std::vector<std::string>{"x", "y", "x"}));
}

TEST(Recipe, Mistakes) {
  auto wrong = [](const std::string& json) {
    auto r = parse_recipe("test", json);
    return r ? "" : r.error().message;
  };
  EXPECT_NE(wrong(R"({"format": 3})").find("\"format\": expected a string"), std::string::npos);
  EXPECT_NE(
      wrong(R"({"format": "x", "rules": [{"tensors": ["*"], "where": "i i", "format": "y"}]})").find("\"where\": expected an expression"),
      std::string::npos);
  EXPECT_NE(wrong(R"({"format": "x", "misfit": {"x": 1}})").find("\"misfit\""), std::string::npos);
  EXPECT_NE(wrong(R"({"other": 1})").find("found other"), std::string::npos);
  for (const char* where : {"depth == 1", "1 / 0 == 1", "1 << 2 == 4", "\\\"text\\\" == 1", "2000000000 * 2000000000 == 1"}) {
    auto r =
        parse_recipe("test", std::string(R"({"format": "x", "rules": [{"tensors": ["*"], "where": ")") + where + R"(", "format": "y"}]})");
    ASSERT_TRUE(r.ok()) << r.error().message;
    EXPECT_FALSE(choose_formats(*r, {{"blk.0.a"}, false, 1, 0}).ok()) << where;
  }
}

TEST(Recipe, StandardOnesAreWhole) {
  EXPECT_GE(recipe_names().size(), 10u);
  for (const std::string& name : recipe_names()) {
    auto r = load_recipe(name);
    ASSERT_TRUE(r.ok()) << r.error().message;
    EXPECT_FALSE(r->format.empty()) << name;
    EXPECT_TRUE(r->file_type.has_value()) << name;
    EXPECT_TRUE(choose_formats(*r, {{"token_embd.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight"}, true, 1, 0}).ok());
  }
}

}  // namespace
}  // namespace lumen::convert
