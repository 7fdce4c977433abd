// Rendered text against Python's jinja2, byte for byte: tests/golden/chat (made by tests/golden/make_chat.py), and with
// LUMEN_TEST_TEMPLATES=DIR every template of that folder, whose licences keep them out of this repository.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "chat/json.h"
#include "chat/template.h"

namespace lumen::chat {
namespace {

const std::string kGolden = std::string(LUMEN_SOURCE_DIR) + "/tests/golden/chat/";

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Value read_json(const std::string& path) {
  auto value = parse_json(read_file(path));
  EXPECT_TRUE(value) << path << ": " << (value ? "" : value.error().message);
  return value ? *value : Value::dict({});
}

Result<std::string> render(const std::string& text, const Value& context) {
  std::tm now{};
  now.tm_year = 126, now.tm_mon = 2, now.tm_mday = 7, now.tm_hour = 9, now.tm_min = 5, now.tm_sec = 2, now.tm_wday = 6, now.tm_yday = 65;
  auto chat = ChatTemplate::parse(text, "template");
  if (!chat) return chat.error();
  RenderOptions options;
  options.now = now;
  return chat->render(context, options);
}

// Whether it is what jinja2 gave: the same text, or an error where jinja2 raised (null).
bool matches(const Result<std::string>& got, const Value& expected) {
  return expected.is_none() ? !got.ok() : got.ok() && *got == expected.as_string();
}

std::string describe(const Result<std::string>& got, const Value& expected) {
  std::string want = expected.is_none() ? "an error" : "\"" + expected.as_string() + "\"";
  return "expected " + want + "\nfound    " + (got ? "\"" + *got + "\"" : "error: " + got.error().message);
}

TEST(Golden, Cases) {
  Value context = read_json(kGolden + "context.json"), cases = read_json(kGolden + "cases.json");
  ASSERT_GT(cases.as_list().items.size(), 150u);
  for (const Value& c : cases.as_list().items) {
    const std::string& text = c.get("template")->as_string();
    auto got = render(text, context);
    EXPECT_TRUE(matches(got, *c.get("expect"))) << "template " << text << "\n" << describe(got, *c.get("expect"));
  }
}

// Every template NAME of `expected` against NAME.jinja of `directory`. Returns {matching, all}.
std::pair<size_t, size_t> compare_all(const std::string& directory, const Value& expected, bool report_all) {
  Value conversations = read_json(kGolden + "conversations.json");
  size_t good = 0, all = 0;
  for (const auto& [name, texts] : expected.as_dict().entries()) {
    std::string source = read_file(directory + "/" + name.as_string() + ".jinja");
    for (const auto& [conversation, want] : texts.as_dict().entries()) {
      auto got = render(source, *conversations.get(conversation.as_string()));
      ++all;
      good += matches(got, want);
      if (!matches(got, want) && report_all)
        ADD_FAILURE() << name.as_string() << ", " << conversation.as_string() << ":\n" << describe(got, want);
    }
  }
  return {good, all};
}

TEST(Golden, Templates) {
  auto [good, all] = compare_all(kGolden, read_json(kGolden + "templates.json"), true);
  EXPECT_GT(all, 60u);
  EXPECT_EQ(good, all);
}

TEST(Golden, TemplatesOfModels) {
  const char* directory = std::getenv("LUMEN_TEST_TEMPLATES");
  if (!directory) GTEST_SKIP() << "LUMEN_TEST_TEMPLATES is not set: see tests/golden/make_chat.py for how to collect real templates";
  Value expected = read_json(std::string(directory) + "/expected.json");
  auto [good, all] = compare_all(directory, expected, true);
  std::cout << "templates of models: " << expected.as_dict().size() << " templates, " << good << " of " << all
            << " renderings equal jinja2's\n";
  EXPECT_GT(all, 0u);
  EXPECT_EQ(good, all);
}

}  // namespace
}  // namespace lumen::chat
