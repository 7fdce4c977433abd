// Models in several files: opened whole by the first, and refused with a message that names the file and what was expected.
#include "checkpoint/gguf_split.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "checkpoint/gguf_test_bytes.h"

namespace lumen {
namespace {

using test::Bytes;

struct Part {
  int number = 0, count = 3, total = 4;
  std::vector<std::string> tensors;  // f32 [8] each, filled with the first letter of the name
  bool split_keys = true;
};

Bytes bytes_of(const Part& p) {
  Bytes b = test::header(p.tensors.size(), (p.number == 0) + (p.split_keys ? 3 : 0));
  if (p.number == 0) b.str("general.architecture").u32(8).str("llama");
  if (p.split_keys) {
    b.str("split.no").u32(2).put<uint16_t>(static_cast<uint16_t>(p.number)).str("split.count").u32(2).put<uint16_t>(static_cast<uint16_t>(p.count));
    b.str("split.tensors.count").u32(5).put<int32_t>(p.total);
  }
  for (size_t i = 0; i < p.tensors.size(); ++i) b.str(p.tensors[i]).u32(1).u64(8).u32(0).u64(32 * i);
  b.pad(32);
  for (const std::string& name : p.tensors) b.raw(std::string(32, name[0]));
  return b;
}

class GgufSplit : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("lumen_split_" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
    write("m-00001-of-00003.gguf", {0, 3, 4, {"a", "b"}});
    write("m-00002-of-00003.gguf", {1, 3, 4, {"c"}});
    write("m-00003-of-00003.gguf", {2, 3, 4, {"d"}});
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  void write(const std::string& name, const Part& p) const { std::ofstream(path(name), std::ios::binary) << bytes_of(p).out; }
  // `parts` must all be in the message, the first as its beginning.
  void expect_refused(const std::string& opened, std::vector<std::string> parts) const {
    auto r = open_gguf(path(opened), test::test_geometry);
    ASSERT_FALSE(r.ok()) << "accepted";
    const std::string& m = r.error().message;
    EXPECT_EQ(m.rfind(path(parts[0]) + ": ", 0), 0u) << m;
    for (size_t i = 1; i < parts.size(); ++i) EXPECT_NE(m.find(parts[i]), std::string::npos) << m << "\n  lacks: " << parts[i];
  }
  std::filesystem::path dir_;
};

TEST_F(GgufSplit, opens_all_parts_by_the_first) {
  auto r = open_gguf(path("m-00001-of-00003.gguf"), test::test_geometry);
  ASSERT_TRUE(r.ok()) << r.error().message;
  ASSERT_EQ(r->tensors().size(), 4u);
  EXPECT_EQ(*r->get_string("general.architecture"), "llama");
  uint64_t size = 0;
  for (int i = 1; i <= 3; ++i) size += std::filesystem::file_size(path("m-0000" + std::to_string(i) + "-of-00003.gguf"));
  EXPECT_EQ(r->file_size(), size);
  for (const char* name : {"a", "b", "c", "d"}) {
    ASSERT_NE(r->find_tensor(name), nullptr) << name;
    auto data = r->data(name);
    ASSERT_TRUE(data.ok());
    EXPECT_EQ(data->size, 32u);
    EXPECT_EQ(data->data[0], name[0]);
    EXPECT_EQ(data->data[31], name[0]);
  }
  test::use_everything(*r);
}

TEST_F(GgufSplit, refuses_other_parts_than_the_first) {
  expect_refused("m-00002-of-00003.gguf", {"m-00002-of-00003.gguf", "this is part 2 of 3", "expected the first part, ",
                                           "m-00001-of-00003.gguf, which opens all"});
  std::filesystem::rename(path("m-00003-of-00003.gguf"), path("third.gguf"));
  expect_refused("third.gguf", {"third.gguf", "this is part 3 of 3", "whose name ends in -00001-of-00003.gguf"});
}

TEST_F(GgufSplit, refuses_names_that_lead_nowhere) {
  std::filesystem::rename(path("m-00001-of-00003.gguf"), path("m.gguf"));
  expect_refused("m.gguf", {"m.gguf", "part 1 of 3", "expected a file name that ends in -00001-of-00003.gguf"});
}

TEST_F(GgufSplit, names_a_missing_part) {
  std::filesystem::remove(path("m-00002-of-00003.gguf"));
  expect_refused("m-00001-of-00003.gguf", {"m-00001-of-00003.gguf", "part 2 of 3 is missing: expected ", "m-00002-of-00003.gguf"});
}

TEST_F(GgufSplit, refuses_parts_of_something_else) {
  write("m-00002-of-00003.gguf", {2, 3, 4, {"c"}});
  expect_refused("m-00001-of-00003.gguf", {"m-00002-of-00003.gguf", "expected part 2 of 3", "found part 3 of 3"});
  write("m-00002-of-00003.gguf", {1, 2, 4, {"c"}});
  expect_refused("m-00001-of-00003.gguf", {"m-00002-of-00003.gguf", "expected part 2 of 3", "found part 2 of 2"});
  write("m-00002-of-00003.gguf", {1, 3, 4, {"c"}, false});
  expect_refused("m-00001-of-00003.gguf", {"m-00002-of-00003.gguf", "expected part 2 of 3", "found a whole model"});
  write("m-00002-of-00003.gguf", {1, 3, 9, {"c"}});
  expect_refused("m-00001-of-00003.gguf", {"m-00002-of-00003.gguf", "'split.tensors.count' is 9: expected 4"});
  std::ofstream(path("m-00002-of-00003.gguf"), std::ios::binary) << bytes_of({1, 3, 4, {"c"}}).out.substr(0, 60);
  expect_refused("m-00001-of-00003.gguf", {"m-00002-of-00003.gguf", "header: metadata count is 3: expected at most"});
}

TEST_F(GgufSplit, refuses_wrong_sums) {
  write("m-00002-of-00003.gguf", {1, 3, 4, {"b"}});
  expect_refused("m-00001-of-00003.gguf", {"m-00002-of-00003.gguf", "tensor 'b': expected it in one part only", "m-00001-of-00003.gguf too"});
  write("m-00002-of-00003.gguf", {1, 3, 4, {"c", "e"}});
  expect_refused("m-00001-of-00003.gguf", {"m-00001-of-00003.gguf", "the 3 parts have 5 tensors: expected 4"});
}

TEST_F(GgufSplit, refuses_keys_that_make_no_sense) {
  write("m-00001-of-00003.gguf", {3, 3, 4, {"a"}});
  expect_refused("m-00001-of-00003.gguf", {"m-00001-of-00003.gguf", "'split.no': expected this file's number, from 0 to 2, found 3"});
  Bytes b = test::header(0, 1).str("split.count").u32(8).str("three");
  std::ofstream(path("n.gguf"), std::ios::binary) << b.out;
  expect_refused("n.gguf", {"n.gguf", "'split.count': expected an integer from 0 to 65535, found string \"three\""});
}

// gguf-split writes a count of 0 into what it has merged, and some writers one of 1.
TEST_F(GgufSplit, one_part_is_a_whole_model) {
  for (int count : {0, 1}) {
    write("one.gguf", {0, count, 2, {"a", "b"}});
    auto r = open_gguf(path("one.gguf"), test::test_geometry);
    ASSERT_TRUE(r.ok()) << r.error().message;
    EXPECT_EQ(r->tensors().size(), 2u);
  }
}

TEST(GgufParts, are_no_model_in_memory) {
  auto p = test::parse(bytes_of({0, 3, 4, {"a"}}).out);
  ASSERT_FALSE(p.result.ok());
  EXPECT_EQ(p.result.error().message, "test.gguf: header: one part of a model in several files: expected a whole one");
}

}  // namespace
}  // namespace lumen
