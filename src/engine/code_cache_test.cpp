// The code cache: what was added comes back in the next run; damaged files, and files that others could write, do not count.
#include "engine/code_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace lumen::engine {
namespace {
namespace fs = std::filesystem;

class CodeCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lumen-code-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    ::setenv("LUMEN_CACHE", (dir_ / "cache").c_str(), 1);
    CodeCache c("machine");
    ASSERT_TRUE(c.enabled()) << "the linker wrote no build id";
    c.add("kernel a", {1, 2, 3});
    c.add("kernel b", std::vector<uint8_t>(5000, 7));
    c.save();
  }
  void TearDown() override {
    ::unsetenv("LUMEN_CACHE");
    fs::remove_all(dir_);
  }
  fs::path file() const {
    for (const auto& e : fs::directory_iterator(dir_ / "cache")) return e.path();
    return {};
  }
  size_t found(const char* machine = "machine") const {
    CodeCache c(machine);
    return c.find("kernel a").size() + c.find("kernel b").size();
  }
  fs::path dir_;
};

TEST_F(CodeCacheTest, KeepsWhatWasAdded) {
  EXPECT_EQ(found(), 5003u);
  EXPECT_EQ(found("another"), 0u);
  CodeCache c("machine");
  EXPECT_TRUE(c.find("kernel c").empty());
  EXPECT_EQ(c.find("kernel a")[2], 3);
}

TEST_F(CodeCacheTest, AnyFlippedBitDiscardsAll) {
  auto size = static_cast<std::streamoff>(fs::file_size(file()));
  for (std::streamoff at = 0; at < size; at += at < 100 ? 1 : 97) {
    std::fstream f(file(), std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(at);
    char c = static_cast<char>(f.get());
    f.seekp(at);
    f.put(static_cast<char>(c ^ 4));
    f.close();
    EXPECT_EQ(found(), 0u) << "byte " << at;
    f.open(file(), std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(at);
    f.put(c);
  }
  EXPECT_EQ(found(), 5003u);
}

TEST_F(CodeCacheTest, TruncatedItDoesNotCount) {
  for (auto n = fs::file_size(file()) - 1; n > 0; n /= 2) {
    fs::resize_file(file(), n);
    EXPECT_EQ(found(), 0u);
  }
}

TEST_F(CodeCacheTest, CodeThatOthersCouldHaveWrittenIsNotRun) {
  fs::permissions(file(), fs::perms::others_write, fs::perm_options::add);
  EXPECT_EQ(found(), 0u);
  fs::permissions(file(), fs::perms::others_write, fs::perm_options::remove);
  EXPECT_EQ(found(), 5003u);
  fs::permissions(dir_ / "cache", fs::perms::group_write, fs::perm_options::add);
  EXPECT_EQ(found(), 0u);
}

TEST_F(CodeCacheTest, OffMeansOff) {
  ::setenv("LUMEN_CACHE", "off", 1);
  EXPECT_FALSE(CodeCache("machine").enabled());
}

}  // namespace
}  // namespace lumen::engine
