// Alignment, zeroing, ownership and refusal of buffers.
#include "tensor/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lumen {
namespace {

bool all_zero(const Buffer& b) {
  return std::all_of(b.bytes().begin(), b.bytes().end(), [](uint8_t x) { return x == 0; });
}

TEST(Buffer, is_aligned_zeroed_and_writable_at_every_size) {
  for (Pages pages : {Pages::Normal, Pages::Huge}) {
    for (size_t bytes : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, (size_t{1} << 20) - 1, size_t{1} << 20, (size_t{5} << 20) + 3}) {
      auto b = Buffer::allocate(bytes, pages);
      ASSERT_TRUE(b.ok());
      EXPECT_EQ(b->size(), bytes);
      size_t alignment = pages == Pages::Huge ? Buffer::kHugePage : Buffer::kAlignment;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(b->data()) % alignment, 0u) << bytes;
      EXPECT_TRUE(all_zero(*b));
      std::fill(b->bytes().begin(), b->bytes().end(), 0xAB);
      EXPECT_EQ(b->data()[bytes - 1], 0xAB);
    }
  }
}

TEST(Buffer, moves_and_never_frees_twice) {
  for (size_t bytes : {size_t{100}, size_t{3} << 20}) {
    Buffer a = Buffer::allocate(bytes).take();
    a.data()[7] = 42;
    const uint8_t* where = a.data();
    Buffer b = std::move(a);
    EXPECT_EQ(b.data(), where);
    EXPECT_EQ(a.data(), nullptr);
    EXPECT_EQ(a.size(), 0u);
    Buffer c = Buffer::allocate(10).take();
    c = std::move(b);
    EXPECT_EQ(c.view().data, where);
    EXPECT_EQ(c.view().size, bytes);
    EXPECT_EQ(c.data()[7], 42);
  }
}

TEST(Buffer, empty_and_typed_views) {
  Buffer e = Buffer::allocate(0).take();
  EXPECT_TRUE(e.empty());
  Buffer f = Buffer::allocate(10).take();
  EXPECT_EQ(f.as<float>().size(), 2u);
  f.as<float>()[1] = 1.5f;
  EXPECT_EQ(f.as<float>()[1], 1.5f);
}

TEST(Buffer, an_impossible_size_is_an_error) {
  for (size_t bytes : {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2, size_t{1} << 62}) {
    auto b = Buffer::allocate(bytes);
    ASSERT_FALSE(b.ok());
    EXPECT_NE(b.error().message.find(std::to_string(bytes)), std::string::npos);
    EXPECT_FALSE(Buffer::allocate(bytes, Pages::Huge).ok());
  }
}

}  // namespace
}  // namespace lumen
