// For the tests of caches: a cache directory of one's own, and files that are damaged in every way.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace lumen::engine {

class CacheFixture : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lumen-cache-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    ::setenv("LUMEN_CACHE", (dir_ / "cache").c_str(), 1);
    ::unsetenv("LUMEN_CACHE_BYTES");
  }
  void TearDown() override {
    ::unsetenv("LUMEN_CACHE");
    ::unsetenv("LUMEN_CACHE_BYTES");
    std::filesystem::remove_all(dir_);
  }
  // The only file in the cache.
  std::filesystem::path file() const {
    for (const auto& e : std::filesystem::directory_iterator(dir_ / "cache")) return e.path();
    return {};
  }
  void flip(std::streamoff at) {
    std::fstream f(file(), std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(at);
    char c = static_cast<char>(f.get());
    f.seekp(at);
    f.put(static_cast<char>(c ^ 4));
  }
  // Runs `look` with one bit of the file wrong, at each of its first 100 bytes and every 97th of the rest.
  template <class F>
  void with_flipped_bits(F&& look) {
    auto size = static_cast<std::streamoff>(std::filesystem::file_size(file()));
    ASSERT_GT(size, 100);
    for (std::streamoff at = 0; at < size; at += at < 100 ? 1 : 97) {
      SCOPED_TRACE("byte " + std::to_string(at));
      flip(at);
      look();
      flip(at);
    }
  }
  // Runs `look` with ever less of the file.
  template <class F>
  void truncated(F&& look) {
    for (auto n = std::filesystem::file_size(file()) - 1; n > 0; n = n * 2 / 3) {
      SCOPED_TRACE(std::to_string(n) + " bytes");
      std::filesystem::resize_file(file(), n);
      look();
    }
  }
  std::filesystem::path dir_;
};

}  // namespace lumen::engine
