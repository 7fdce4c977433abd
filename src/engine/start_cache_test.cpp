// The start cache: what was kept comes back for the same file, program, machine, options and .lum files, and for nothing else. Kept
// plans: bytes that make no sense are refused, whatever they are.
#include "engine/start_cache.h"

#include <thread>

#include "checkpoint/gguf_writer.h"
#include "engine/cache_fixture_test.h"
#include "engine/kept_step.h"
#include "engine/model.h"

namespace lumen::engine {
namespace {
namespace fs = std::filesystem;

class StartCacheTest : public CacheFixture {
 protected:
  void SetUp() override {
    CacheFixture::SetUp();
    model_ = (dir_ / "model.gguf").string();
    write_model(model_, 1);
    machine_.name = "machine";
    keep(model_);
  }
  static void write_model(const std::string& path, int layers) {
    GgufWriter w;
    w.set("general.architecture", "none");
    w.set("none.layers", layers);
    std::vector<uint8_t> data(2 * 64 * 4, 1);
    w.add_tensor("a", {2, 64}, 0, data.size(), [&](ByteSink& s) { return s.write(data); });
    ASSERT_TRUE(w.write(path).ok());
  }
  void keep(const std::string& model) {
    StartCache c(model, library_, machine_, options_);
    ASSERT_TRUE(c.enabled()) << "the linker wrote no build id";
    auto file = c.open(library_);
    ASSERT_TRUE(file.ok()) << file.error().message;
    c.reset(library_, *file, {100, 64, 3, {{"k[0]", 4096}}});
    c.add(0, "a step");
    c.add(1, std::string(5000, 's'));
  }
  // Steps that a new start finds.
  size_t found(const std::string& model) {
    StartCache c(model, library_, machine_, options_);
    return c.open(library_) && c.shape() ? c.steps().size() : 0;
  }
  size_t found() { return found(model_); }
  sema::Library library_ = sema::Library::standard_when_asked();
  Machine machine_;
  ModelOptions options_;
  std::string model_;
};

TEST_F(StartCacheTest, WhatWasKeptComesBack) {
  StartCache c(model_, library_, machine_, options_);
  sema::Library empty;  // the file's types are known without it
  auto file = c.open(empty);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->data("a")->size, 512u);
  ASSERT_NE(c.shape(), nullptr);
  EXPECT_EQ(c.shape()->vocab, 100);
  EXPECT_EQ(c.shape()->context, 64);
  EXPECT_EQ(c.shape()->layers, 3);
  ASSERT_EQ(c.shape()->states.size(), 1u);
  EXPECT_EQ(c.shape()->states[0].name, "k[0]");
  EXPECT_EQ(c.shape()->states[0].bytes, 4096);
  EXPECT_EQ(c.steps(), (std::map<int, std::string>{{0, "a step"}, {1, std::string(5000, 's')}}));
}

TEST_F(StartCacheTest, OtherCircumstancesFindNothing) {
  EXPECT_EQ(found(), 2u);
  options_.context = 128;
  EXPECT_EQ(found(), 0u);
  options_.context = 0;
  options_.quantize = "q8_0";
  EXPECT_EQ(found(), 0u);
  options_.quantize.clear();
  machine_.threads = 7;
  EXPECT_EQ(found(), 0u);
  machine_.threads = 1;
  EXPECT_EQ(found(), 2u);
  Source own{"mine.lum", "let twice(x) = x * 2.0\n"};
  EXPECT_TRUE(library_.add(std::make_shared<Source>(own)).empty());
  EXPECT_EQ(found(), 0u) << "a user's declarations may replace standard ones";
}

TEST_F(StartCacheTest, AChangedModelMakesItStale) {
  auto when = fs::last_write_time(model_);
  write_model(model_, 2);
  EXPECT_EQ(found(), 0u);
  fs::last_write_time(model_, when);
  EXPECT_EQ(found(), 0u) << "of the same size and age, with other metadata";
  write_model(model_, 1);
  fs::last_write_time(model_, when);
  EXPECT_EQ(found(), 2u);
  fs::last_write_time(model_, when + std::chrono::seconds(1));
  EXPECT_EQ(found(), 0u);
}

TEST_F(StartCacheTest, AnotherModelsFileIsForeign) {
  fs::path first = file();
  std::string other = (dir_ / "other.gguf").string();
  write_model(other, 1);
  keep(other);
  for (const auto& e : fs::directory_iterator(dir_ / "cache"))
    if (e.path() != first) fs::copy_file(e.path(), first, fs::copy_options::overwrite_existing);
  EXPECT_EQ(found(), 0u);
  EXPECT_EQ(found(other), 2u);
}

TEST_F(StartCacheTest, AnyFlippedBitDiscardsAll) {
  with_flipped_bits([&] { EXPECT_EQ(found(), 0u); });
  EXPECT_EQ(found(), 2u);
}

TEST_F(StartCacheTest, TruncatedItIsMadeAgain) {
  truncated([&] { EXPECT_EQ(found(), 0u); });
  keep(model_);
  EXPECT_EQ(found(), 2u);
}

TEST_F(StartCacheTest, CodeThatOthersCouldHaveWrittenIsNotRun) {
  fs::permissions(file(), fs::perms::others_write, fs::perm_options::add);
  EXPECT_EQ(found(), 0u);
}

TEST_F(StartCacheTest, WhereItCannotWriteItOnlyForgets) {
  fs::remove_all(dir_ / "cache");
  std::ofstream(dir_ / "cache") << "a file where the directory should be";
  keep(model_);
  EXPECT_EQ(found(), 0u);
  ::setenv("LUMEN_CACHE", "off", 1);
  EXPECT_FALSE(StartCache(model_, library_, machine_, options_).enabled());
  EXPECT_TRUE(StartCache(model_, library_, machine_, options_).open(library_).ok());
}

TEST_F(StartCacheTest, TwoWritersBothSucceed) {
  std::thread other([this] {
    sema::Library lib = sema::Library::standard_when_asked();
    for (int i = 0; i < 20; ++i) {
      StartCache c(model_, lib, machine_, options_);
      auto file = c.open(lib);
      ASSERT_TRUE(file.ok());
      c.reset(lib, *file, {100, 64, 3, {}});
      c.add(0, "a step");
      c.add(1, "another");
    }
  });
  for (int i = 0; i < 20; ++i) keep(model_);
  other.join();
  EXPECT_EQ(found(), 2u);
}

// A device whose code is its kernel's name.
class NamedTarget : public Target {
 public:
  struct Code : Executable {
    std::string name;
    std::string listing() const override { return name; }
  };
  const Machine& machine() const override { return machine_; }
  Result<std::unique_ptr<Executable>> compile(const loops::Kernel& k) override {
    return restore(k, {reinterpret_cast<const uint8_t*>(k.name.data()), k.name.size()});
  }
  std::vector<uint8_t> save(const Executable& e) const override {
    std::string s = e.listing();
    return {s.begin(), s.end()};
  }
  Result<std::unique_ptr<Executable>> restore(const loops::Kernel&, std::span<const uint8_t> code) override {
    auto c = std::make_unique<Code>();
    c->name.assign(code.begin(), code.end());
    return std::unique_ptr<Executable>(std::move(c));
  }
  Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t) override { return Error{"no memory here"}; }
  Result<std::unique_ptr<DeviceBuffer>> wrap(const uint8_t*, int64_t) override { return Error{"no memory here"}; }
  Status upload(DeviceBuffer&, int64_t, std::span<const uint8_t>) override { return ok_status(); }
  Status download(DeviceBuffer&, int64_t, std::span<uint8_t>) override { return ok_status(); }
  Status launch(const Executable&, std::span<const BufferArg>, std::span<const int64_t>, int64_t) override { return ok_status(); }
  Status synchronize() override { return ok_status(); }

 private:
  Machine machine_;
};

TEST(KeptStep, IsThePlanAgainAndCutShortItIsRefused) {
  NamedTarget target;
  auto param = [](int id, const char* name, ir::Role role) {
    ir::Value v;
    v.id = id;
    v.name = name;
    v.role = role;
    return v;
  };
  plan::Plan p;
  p.function.name = "forward";
  p.function.values = {param(0, "tokens", ir::Role::Input), {}, param(2, "w", ir::Role::Weight)};
  p.function.values[1].id = 1;
  p.function.values[1].kind = ir::ValueKind::Compute;
  auto kernel = std::make_shared<plan::Kernel>();
  loops::Kernel& k = kernel->lowered.kernel;
  k.name = "sum";
  k.buffers = {{"p0", loops::BufferKind::Input, 0, {}},
               {"t", loops::BufferKind::Table, 0, {1, 2, 3}},
               {"s", loops::BufferKind::Scratch, 640, {}}};
  k.scalars = {"T"};
  k.items = {{1, "T", 4}, {9, "", 2}};
  k.grain = 5;
  kernel->code = target.compile(k).take();
  p.launches = {{kernel, {{plan::Place::Param, 0, 0}, {plan::Place::Weight, 0, 0}, {plan::Place::Arena, 0, 256}}, "one"},
                {kernel, {{plan::Place::Arena, 0, 0}}, "two"}};
  p.weights = {{2, std::nullopt}};
  p.constants = {{0, {7, 8}}};
  p.arena_bytes = 512;
  p.results = {{plan::Place::Arena, 0, 256}};
  std::string bytes = keep_step(target, p, {{KeptWeight::Mapped, "w", "blk.0.w", 64, 128, ""}});

  std::vector<KeptWeight> weights;
  auto again = restore_step(target, bytes, weights);
  ASSERT_TRUE(again.ok()) << again.error().message;
  ASSERT_EQ(again->launches.size(), 2u);
  EXPECT_EQ(again->launches[0].kernel, again->launches[1].kernel);
  EXPECT_EQ(again->launches[0].kernel->code->listing(), "sum");
  EXPECT_EQ(again->launches[1].name, "two");
  const loops::Kernel& r = again->launches[0].kernel->lowered.kernel;
  ASSERT_EQ(r.buffers.size(), 3u);
  EXPECT_EQ(r.buffers[1].data, (std::vector<uint8_t>{1, 2, 3}));
  EXPECT_EQ(r.buffers[2].bytes, 640);
  EXPECT_EQ(r.scalars, k.scalars);
  EXPECT_EQ(r.items[0].symbol, "T");
  EXPECT_EQ(r.items[1].divisor, 2);
  EXPECT_EQ(r.grain, 5);
  ASSERT_EQ(again->function.values.size(), 2u) << "params alone";
  EXPECT_EQ(again->function.values[static_cast<size_t>(again->weights[0].param)].name, "w");
  EXPECT_EQ(again->function.values[static_cast<size_t>(again->launches[0].buffers[0].index)].name, "tokens");
  EXPECT_EQ(again->constants, p.constants);
  ASSERT_EQ(weights.size(), 1u);
  EXPECT_EQ(weights[0].key, "blk.0.w");
  EXPECT_EQ(weights[0].offset, 64);
  EXPECT_EQ(keep_step(target, *again, weights), bytes);

  for (size_t n = 0; n < bytes.size(); ++n) {
    std::vector<KeptWeight> none;
    EXPECT_FALSE(restore_step(target, std::string_view(bytes).substr(0, n), none).ok()) << n;
    for (char flip : {'\x01', '\x80'}) {  // may pass, must not reach outside of anything
      std::string other = bytes;
      other[n] = static_cast<char>(other[n] ^ flip);
      std::vector<KeptWeight> any;
      (void)restore_step(target, other, any);
    }
  }
}

}  // namespace
}  // namespace lumen::engine
