// Kernels on a WebGPU device against the interpreter on the same IR after the passes. Skipped where there is no library or no
// Vulkan driver. Tolerances: WGSL allows a division 2.5 ulp and exp(x) 3 + 2|x| ulp, and a fused multiply-add may round twice;
// a code of requantised activations may then fall on the other side of a half, which is rare and one step.
#include "backend/webgpu/device_test.h"
#include "compiler/loops/builder.h"
#include "compiler/plan/kernel_check_test.h"

namespace lumen {
namespace {
using namespace kernel_cases;

constexpr Tolerance kTolerance{.relative = 4e-6, .codes_may_step = true};

std::string missing;

Target* device() {
  static std::unique_ptr<Target> target = [] {
    auto t = make_test_device();
    if (t) return t.take();
    missing = t.error().message;
    return std::unique_ptr<Target>();
  }();
  return target.get();
}

#define NEEDS_DEVICE() \
  if (!device()) GTEST_SKIP() << missing

TEST(WebGpu, LinearInEveryFormat) {
  NEEDS_DEVICE();
  for (const std::string& format : weight_formats()) {
    ir::FormatRef f = sema::testing::find_format(format);
    int64_t block = f ? f->block : 1;
    for (bool integer : {true, false}) {
      if (!f && !integer) break;  // plain numbers have no integer path
      check(linear_case(format, block == 1 ? 7 : block < 64 ? 3 * block : block, 5, 3, integer, 0), {device()}, kTolerance);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(WebGpu, EmbeddingInEveryFormat) {
  NEEDS_DEVICE();
  for (const std::string& format : weight_formats()) {
    check(embedding_case(format), {device()}, kTolerance);
    if (HasFatalFailure()) return;
  }
}

TEST(WebGpu, LinearOfManyRows) {  // several workgroups, the last one partly filled; tokens one and many
  NEEDS_DEVICE();
  for (const char* format : {"f32", "q4_0", "q4_k", "q6_k"})
    for (int64_t t : {1, 9}) {
      check(linear_case(format, 512, 577, t, true, t == 1 ? 1 : 0), {device()}, kTolerance);
      if (HasFatalFailure()) return;
    }
}

TEST(WebGpu, RowsOfTheLibrary) {
  NEEDS_DEVICE();
  for (Case& c : row_cases({1, 5, 130})) {
    if (c.params.count("pos")) {  // sin and cos of very large arguments are the device's own
      std::vector<int32_t> pos(static_cast<size_t>(c.symbols.at("T")));
      for (size_t i = 0; i < pos.size(); ++i) pos[i] = static_cast<int32_t>(i * 1009);
      set_ints(c, "pos", pos);
    }
    check(c, {device()}, kTolerance);
    if (HasFatalFailure()) return;
  }
}

TEST(WebGpu, AttentionOverPages) {
  NEEDS_DEVICE();
  for (const Case& c : {attention_case(4, 2, 64, 0), attention_case(2, 2, 20, 5)}) {
    check(c, {device()}, kTolerance);
    if (HasFatalFailure()) return;
  }
}

// Bytes at any place: neither copies nor stores may touch their neighbours.
TEST(WebGpu, CopiesOfAnyLength) {
  NEEDS_DEVICE();
  auto b = device()->allocate(64);
  ASSERT_TRUE(b) << b.error().message;
  std::vector<uint8_t> want(64, 0xAB), got(64);
  ASSERT_TRUE(device()->upload(**b, 0, want));
  std::mt19937 rng(1);
  for (int i = 0; i < 40; ++i) {
    size_t at = rng() % 64, n = rng() % (64 - at + 1);
    std::vector<uint8_t> bytes(n);
    for (uint8_t& x : bytes) x = static_cast<uint8_t>(rng());
    std::copy(bytes.begin(), bytes.end(), want.begin() + static_cast<long>(at));
    ASSERT_TRUE(device()->upload(**b, static_cast<int64_t>(at), bytes));
    std::vector<uint8_t> part(64 - at);
    ASSERT_TRUE(device()->download(**b, static_cast<int64_t>(at), part));
    ASSERT_TRUE(std::equal(part.begin(), part.end(), want.begin() + static_cast<long>(at))) << i;
  }
  ASSERT_TRUE(device()->download(**b, 0, got));
  EXPECT_EQ(got, want);
  EXPECT_FALSE(device()->upload(**b, 60, std::vector<uint8_t>(5)));
  EXPECT_FALSE(device()->download(**b, -1, got));
}

TEST(WebGpu, MisuseIsAnError) {
  NEEDS_DEVICE();
  loops::Builder b("twice");
  int out = b.buffer("y", loops::BufferKind::Output);
  b.store(b.i32(1, 1), DType::U8, {out, b.begin(), {}, 0});
  auto code = device()->compile(b.take());
  ASSERT_TRUE(code) << code.error().message;
  auto memory = device()->allocate(1024);
  ASSERT_TRUE(memory);
  EXPECT_FALSE(device()->launch(**code, {}, {}, 1));
  BufferArg odd[] = {{memory->get(), 4}};
  EXPECT_FALSE(device()->launch(**code, odd, {}, 1));
  BufferArg fine[] = {{memory->get(), 256}};
  std::vector<uint8_t> bytes(1024, 7);
  ASSERT_TRUE(device()->upload(**memory, 0, bytes));
  ASSERT_TRUE(device()->launch(**code, fine, {}, 130));  // neighbours in one word, by different invocations
  ASSERT_TRUE(device()->download(**memory, 0, bytes));
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], i >= 256 && i < 256 + 130 ? 1 : 7) << i;
  EXPECT_FALSE(device()->allocate(int64_t{1} << 40));
}

TEST(WebGpu, AMissingLibraryIsNamed) {
  auto t = make_webgpu_target({"/nowhere/libwgpu.so"});
  ASSERT_FALSE(t);
  EXPECT_NE(t.error().message.find("scripts/fetch_wgpu.sh"), std::string::npos) << t.error().message;
  EXPECT_NE(t.error().message.find("/nowhere/libwgpu.so"), std::string::npos) << t.error().message;
}

TEST(WebGpu, Count) {
  NEEDS_DEVICE();
  std::printf("%d kernel cases compared with the interpreter\n", compared);
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace lumen
