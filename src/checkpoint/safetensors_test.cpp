// safetensors: good files and directories; every kind of hostile header is refused by name.
#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace lumen {
namespace {

namespace fs = std::filesystem;

std::string file_of(const std::string& header, size_t data, uint64_t length = UINT64_MAX) {
  uint64_t n = length == UINT64_MAX ? header.size() : length;
  std::string out(reinterpret_cast<const char*>(&n), 8);
  out += header;
  for (size_t i = 0; i < data; ++i) out += static_cast<char>(i * 7);
  return out;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, uint64_t begin, uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(begin) + "," +
         std::to_string(end) + "]}";
}

std::string error_of(const std::string& bytes) {
  auto r = parse_safetensors({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "test.safetensors");
  return r ? "none" : r.error().message;
}

void expect_refused(const std::string& bytes, std::initializer_list<const char*> parts) {
  std::string e = error_of(bytes);
  EXPECT_EQ(e.rfind("test.safetensors: ", 0), 0u) << e;
  for (const char* part : parts) EXPECT_NE(e.find(part), std::string::npos) << part << " in: " << e;
}

TEST(Safetensors, TensorsAndMetadata) {
  std::string bytes = file_of("{\"__metadata__\":{\"format\":\"pt\"}," + entry("b", "BF16", "[2,3]", 8, 20) + "," + entry("a", "F32", "[2]", 0, 8) +
                                  "," + entry("one", "F16", "[]", 20, 22) + "}  ",
                              22);
  auto r = parse_safetensors({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "t");
  ASSERT_TRUE(r) << r.error().message;
  ASSERT_EQ(r->tensors.size(), 3u);
  EXPECT_EQ(r->tensors[0].name, "a");
  EXPECT_EQ(r->tensors[1].dims, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(r->tensors[2].end, bytes.size());
  EXPECT_EQ(r->metadata->find("format")->as_string(), "pt");
  EXPECT_EQ(error_of(file_of("{}", 0)), "none");
}

TEST(Safetensors, HostileHeaders) {
  expect_refused("abc", {"header", "3 bytes"});
  for (uint64_t n : {uint64_t{1} << 63, UINT64_MAX - 7, uint64_t{100'000'001}, uint64_t{3}})
    expect_refused(file_of("{}", 0, n), {"header", "its length", "expected at most 2"});
  expect_refused(file_of("[]", 0), {"expected JSON that begins with '{'"});
  expect_refused(file_of("{\"a\":", 0), {"header", "JSON line 1"});
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100000; ++i) deep += '[';
  expect_refused(file_of(deep, 0), {"levels of nesting"});
  expect_refused(file_of("{\"a\":1}", 0), {"'a'", "dtype"});
  expect_refused(file_of("{\"__metadata__\":1}", 0), {"__metadata__"});
  expect_refused(file_of("{" + entry("", "F32", "[1]", 0, 4) + "}", 4), {"empty name"});
  expect_refused(file_of("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("a", "F32", "[1]", 4, 8) + "}", 8), {"'a' appears a second time"});
}

TEST(Safetensors, HostileShapesAndRanges) {
  auto one = [](const std::string& e, size_t data) { return file_of("{" + e + "}", data); };
  expect_refused(one(entry("a", "F32", "[-1]", 0, 4), 4), {"'a'", "shape"});
  expect_refused(one(entry("a", "F32", "[1.5]", 0, 4), 4), {"'a'", "shape"});
  expect_refused(one(entry("a", "F32", "[4294967296,4294967296]", 0, 4), 4), {"'a'", "fewer than 2^60"});
  expect_refused(one(entry("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4), 4), {"9 dimensions"});
  expect_refused(one(entry("a", "F32", "[2]", 0, 4), 4), {"'a'", "4 bytes, but 2 elements of F32 take 8"});
  expect_refused(one(entry("a", "F32", "[1]", 0, 8), 4), {"'a'", "data_offsets", "up to 4"});
  expect_refused(one(entry("a", "F32", "[1]", 4, 0), 4), {"data_offsets"});
  expect_refused(one("\"a\":{\"dtype\":\"F32\",\"shape\":[1]}", 4), {"data_offsets"});
  expect_refused(one("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,18446744073709551616]}", 4), {"data_offsets"});
  expect_refused(one(entry("a", "F4", "[3]", 0, 1), 1), {"'a'", "3 elements of F4"});
  expect_refused(file_of("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 8, 12) + "}", 12), {"'b'", "gap"});
  expect_refused(file_of("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[1]", 4, 8) + "}", 8), {"'b'", "overlap"});
  expect_refused(one(entry("a", "F32", "[1]", 0, 4), 8), {"4 bytes behind the last tensor"});
}

TEST(Safetensors, TruncatedAtEveryByte) {
  std::string whole = file_of("{" + entry("a", "F32", "[2]", 0, 8) + "}", 8);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_NE(error_of(whole.substr(0, n)), "none") << n;
}

class SafetensorsDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() / ("lumen_safetensors_" + std::to_string(::getpid()));
    fs::remove_all(path_);
    fs::create_directories(path_);
    write("config.json", R"({"architectures": ["X"], "n": 3, "rope": {"factor": 8.0, "type": "x"}, "no": null, "list": [1, 2], "kinds": ["a", "b"],
                             "mixed": [1, "a"], "half": [1, 0.5], "flag": true})");
  }
  void TearDown() override { fs::remove_all(path_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(path_ / name, std::ios::binary) << text; }
  std::string error() {
    auto r = open_safetensors_directory(path_.string());
    return r ? "none" : r.error().message;
  }
  fs::path path_;
};

TEST_F(SafetensorsDirectory, OneFile) {
  EXPECT_NE(error().find("model.safetensors"), std::string::npos);
  write("model.safetensors", file_of("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("e", "F32", "[0]", 8, 8) + "," +
                                         entry("odd", "F9", "[2]", 8, 9) + "}",
                                     9));
  auto r = open_safetensors_directory(path_.string());
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->container(), "hf");
  EXPECT_EQ(*r->get_int("n"), 3);
  EXPECT_EQ(*r->get_float("rope.factor"), 8.0);
  EXPECT_EQ(*r->get_string("rope.type"), "x");
  EXPECT_EQ(r->find("no"), nullptr);
  EXPECT_EQ(r->find("mixed"), nullptr);
  EXPECT_EQ(*r->get_ints("list"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(*r->get_floats("half"), (std::vector<double>{1, 0.5}));
  EXPECT_EQ(*r->get_strings("kinds"), (std::vector<std::string_view>{"a", "b"}));
  EXPECT_TRUE(*r->get_bool("flag"));
  EXPECT_EQ(r->tensors().size(), 2u);  // without the one that has no elements
  EXPECT_EQ(r->data("a")->size, 8u);
  auto odd = r->data("odd");
  ASSERT_FALSE(odd);
  for (const char* part : {"'odd'", "F9", "hf \"F9\""}) EXPECT_NE(odd.error().message.find(part), std::string::npos) << odd.error().message;
}

TEST_F(SafetensorsDirectory, Shards) {
  write("one.safetensors", file_of("{" + entry("a", "F32", "[2]", 0, 8) + "}", 8));
  write("two.safetensors", file_of("{" + entry("b", "F32", "[1]", 0, 4) + "}", 4));
  auto index = [&](const std::string& map) { write("model.safetensors.index.json", "{\"weight_map\":" + map + "}"); };
  index(R"({"a": "one.safetensors", "b": "two.safetensors"})");
  auto r = open_safetensors_directory(path_.string());
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->tensors().size(), 2u);
  index(R"({"a": "one.safetensors", "b": "one.safetensors"})");
  EXPECT_NE(error().find("'b': expected it in one.safetensors"), std::string::npos) << error();
  for (const char* name : {"../one.safetensors", "/etc/passwd", "", "..", "a\\\\b"}) {
    index("{\"a\": \"" + std::string(name) + "\"}");
    EXPECT_NE(error().find("expected the name of a file in this directory"), std::string::npos) << error();
  }
  index(R"({"a": "three.safetensors"})");
  EXPECT_NE(error().find("three.safetensors"), std::string::npos) << error();
  index("[]");
  EXPECT_NE(error().find("weight_map"), std::string::npos) << error();
  write("two.safetensors", file_of("{" + entry("a", "F32", "[1]", 0, 4) + "}", 4));
  fs::remove(path_ / "model.safetensors.index.json");
  EXPECT_NE(error().find("'a' is in one.safetensors, too"), std::string::npos) << error();
}

TEST_F(SafetensorsDirectory, Config) {
  write("model.safetensors", file_of("{}", 0));
  write("config.json", "[1]");
  EXPECT_NE(error().find("config.json: expected a JSON object"), std::string::npos) << error();
  write("config.json", "{");
  EXPECT_NE(error().find("config.json: JSON line 1"), std::string::npos) << error();
  fs::remove(path_ / "config.json");
  EXPECT_NE(error().find("config.json"), std::string::npos) << error();
}

}  // namespace
}  // namespace lumen
