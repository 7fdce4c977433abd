// The packed cache: what was written is read back; anything damaged, old or foreign is not.
#include "engine/packed_cache.h"

#include <thread>

#include "engine/cache_fixture_test.h"

namespace lumen::engine {
namespace {
namespace fs = std::filesystem;

class PackedCacheTest : public CacheFixture {
 protected:
  void SetUp() override {
    CacheFixture::SetUp();
    model_ = dir_ / "model.gguf";
    std::ofstream(model_) << "a model";
    for (int i = 0; i < 3; ++i) data_.push_back(std::vector<uint8_t>(1000 + 5000 * static_cast<size_t>(i), static_cast<uint8_t>(i + 1)));
  }
  std::vector<PackedCache::Entry> entries() const {
    std::vector<PackedCache::Entry> e;
    for (size_t i = 0; i < data_.size(); ++i) e.push_back({"weight " + std::to_string(i), data_[i]});
    return e;
  }
  bool write() { return PackedCache({model_.string()}).write(entries()); }
  // How many of the entries are found, whole and right.
  int found() {
    PackedCache c({model_.string()});
    for (const PackedCache::Entry& e : entries()) EXPECT_EQ(c.find(e.key, e.bytes.size()), nullptr) << "not yet checked";
    c.check_ahead();
    c.check();
    int n = 0;
    for (const PackedCache::Entry& e : entries())
      if (const uint8_t* d = c.find(e.key, e.bytes.size())) {
        ++n;
        EXPECT_TRUE(std::equal(e.bytes.begin(), e.bytes.end(), d));
      }
    return n;
  }
  fs::path model_;
  std::vector<std::vector<uint8_t>> data_;
};

TEST_F(PackedCacheTest, ReadsWhatItWrote) {
  EXPECT_EQ(found(), 0);
  ASSERT_TRUE(write());
  EXPECT_EQ(found(), 3);
  PackedCache c({model_.string()});
  c.check();
  EXPECT_EQ(c.find("weight 0", 999), nullptr) << "another size";
  EXPECT_EQ(c.find("weight 9", 1000), nullptr) << "another key";
}

TEST_F(PackedCacheTest, OneFlippedBitCostsOneEntry) {
  ASSERT_TRUE(write());
  flip(4096 + 4096 + 2000);  // inside the second
  EXPECT_EQ(found(), 2);
  ASSERT_TRUE(write());
  EXPECT_EQ(found(), 3) << "written anew";
}

TEST_F(PackedCacheTest, EveryByteOfTheHeadCounts) {
  ASSERT_TRUE(write());
  for (std::streamoff at = 0; at < 160; at += 3) {
    flip(at);
    EXPECT_EQ(found(), 0) << "byte " << at;
    flip(at);
  }
  EXPECT_EQ(found(), 3);
}

TEST_F(PackedCacheTest, TruncatedAnywhereItIsNotUsed) {
  ASSERT_TRUE(write());
  truncated([&] { EXPECT_EQ(found(), 0); });
}

TEST_F(PackedCacheTest, AChangedModelMakesItStale) {
  ASSERT_TRUE(write());
  std::ofstream(model_, std::ios::app) << "!";
  EXPECT_EQ(found(), 0);
}

TEST_F(PackedCacheTest, AModelInSeveralFiles) {
  fs::path second = dir_ / "model-2";
  std::ofstream(second) << "its second part";
  std::vector<std::string> files = {model_.string(), second.string()};
  auto kept = [&](const std::vector<std::string>& of, const std::string& way = "") {
    PackedCache c(of, way);
    c.check();
    return c.find("weight 0", 1000) != nullptr;
  };
  ASSERT_TRUE(PackedCache(files).write(entries()));
  EXPECT_TRUE(kept(files));
  EXPECT_FALSE(kept({model_.string()})) << "another set of files";
  EXPECT_FALSE(kept(files, "quantised")) << "another way";
  ASSERT_TRUE(PackedCache(files, "quantised").write(entries()));
  EXPECT_TRUE(kept(files)) << "each way has a file of its own";
  EXPECT_TRUE(kept(files, "quantised"));
  std::ofstream(second, std::ios::app) << "!";
  EXPECT_FALSE(kept(files)) << "the second changed";
  fs::remove(second);
  EXPECT_FALSE(PackedCache(files).enabled()) << "the second is gone";
  EXPECT_FALSE(PackedCache(std::vector<std::string>()).enabled());
}

TEST_F(PackedCacheTest, ACopyForAnotherModelIsForeign) {
  ASSERT_TRUE(write());
  fs::path first = file(), other = dir_ / "other.gguf";
  std::ofstream(other) << "a model";
  ASSERT_TRUE(PackedCache({other.string()}).write(entries()));
  for (const auto& e : fs::directory_iterator(dir_ / "cache"))
    if (e.path() != first) fs::copy_file(e.path(), first, fs::copy_options::overwrite_existing);
  EXPECT_EQ(found(), 0);
}

TEST_F(PackedCacheTest, WhereItCannotWriteItOnlySaysSo) {
  std::ofstream(dir_ / "cache") << "a file where the directory should be";
  EXPECT_FALSE(write());
  EXPECT_EQ(found(), 0);
  ::setenv("LUMEN_CACHE", "off", 1);
  EXPECT_FALSE(PackedCache({model_.string()}).enabled());
}

TEST_F(PackedCacheTest, TheOldestGiveWay) {
  ::setenv("LUMEN_CACHE_BYTES", "80000", 1);
  ASSERT_TRUE(write());
  fs::path first = file();
  fs::last_write_time(first, fs::file_time_type::clock::now() - std::chrono::hours(1));
  for (int i = 0; i < 3; ++i) {
    fs::path other = dir_ / ("m" + std::to_string(i));
    std::ofstream(other) << i;
    ASSERT_TRUE(PackedCache({other.string()}).write(entries()));
  }
  EXPECT_FALSE(fs::exists(first));
  uintmax_t total = 0;
  for (const auto& e : fs::directory_iterator(dir_ / "cache")) total += e.file_size();
  EXPECT_LE(total, 80000u);
  ::setenv("LUMEN_CACHE_BYTES", "20000", 1);
  EXPECT_FALSE(write()) << "more than the limit";
}

TEST_F(PackedCacheTest, UnlessToldItTakesAQuarterOfTheFreeDisk) {
  fs::space_info disk = fs::space(dir_);
  uint64_t most = PackedCache::limit();
  EXPECT_LE(most, disk.available / 4 + (uint64_t{1} << 30));  // others write, too
  EXPECT_GE(most + (uint64_t{1} << 30), disk.available / 4);
  ::setenv("LUMEN_CACHE", "off", 1);
  EXPECT_FALSE(PackedCache({model_.string()}).fits({1}));
}

TEST_F(PackedCacheTest, TwoWritersBothSucceed) {
  std::thread a([&] { for (int i = 0; i < 20; ++i) EXPECT_TRUE(write()); });
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(write());
    EXPECT_EQ(found(), 3);
  }
  a.join();
  EXPECT_EQ(found(), 3);
}

}  // namespace
}  // namespace lumen::engine
