// The code cache: what was added comes back in the next run; damaged files, and files that others could write, do not count.
#include "engine/code_cache.h"

#include <sys/stat.h>

#include "engine/cache_fixture_test.h"

namespace lumen::engine {
namespace {
namespace fs = std::filesystem;

class CodeCacheTest : public CacheFixture {
 protected:
  void SetUp() override {
    CacheFixture::SetUp();
    fill();
  }
  static void fill() {
    CodeCache c("machine");
    ASSERT_TRUE(c.enabled()) << "the linker wrote no build id";
    c.add("kernel a", {1, 2, 3});
    c.add("kernel b", std::vector<uint8_t>(5000, 7));
    c.save();
  }
  size_t found(const char* machine = "machine") const {
    CodeCache c(machine);
    return c.find("kernel a").size() + c.find("kernel b").size();
  }
};

TEST_F(CodeCacheTest, KeepsWhatWasAdded) {
  EXPECT_EQ(found(), 5003u);
  EXPECT_EQ(found("another"), 0u);
  CodeCache c("machine");
  EXPECT_TRUE(c.find("kernel c").empty());
  EXPECT_EQ(c.find("kernel a")[2], 3);
}

TEST_F(CodeCacheTest, AnyFlippedBitDiscardsAll) {
  with_flipped_bits([&] { EXPECT_EQ(found(), 0u); });
  EXPECT_EQ(found(), 5003u);
}

TEST_F(CodeCacheTest, TruncatedItDoesNotCount) {
  truncated([&] { EXPECT_EQ(found(), 0u); });
}

TEST_F(CodeCacheTest, CodeThatOthersCouldHaveWrittenIsNotRun) {
  fs::permissions(file(), fs::perms::others_write, fs::perm_options::add);
  EXPECT_EQ(found(), 0u);
  fs::permissions(file(), fs::perms::others_write, fs::perm_options::remove);
  EXPECT_EQ(found(), 5003u);
  fs::permissions(dir_ / "cache", fs::perms::group_write, fs::perm_options::add);
  EXPECT_EQ(found(), 0u);
}

TEST_F(CodeCacheTest, AUmaskThatTrustsTheGroupChangesNothing) {
  fs::remove_all(dir_ / "cache");
  mode_t before = ::umask(002);
  fill();
  ::umask(before);
  EXPECT_EQ(found(), 5003u);
}

TEST_F(CodeCacheTest, OffMeansOff) {
  ::setenv("LUMEN_CACHE", "off", 1);
  EXPECT_FALSE(CodeCache("machine").enabled());
}

}  // namespace
}  // namespace lumen::engine
