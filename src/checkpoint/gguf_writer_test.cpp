// Files that the writer makes, read back; copies of metadata; and that a failed write leaves nothing behind.
#include "checkpoint/gguf_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/atomic_file.h"
#include "checkpoint/gguf_test_bytes.h"

namespace lumen {
namespace {

namespace fs = std::filesystem;

// A fresh folder, removed at the end.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "lumen-gguf-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
  size_t entries() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Writes `total` bytes counting up from `first`, in pieces of 1000.
TensorProducer counting(uint8_t first, uint64_t total) {
  return [=](ByteSink& sink) -> Status {
    for (uint64_t done = 0; done < total;) {
      std::vector<uint8_t> piece(std::min<uint64_t>(1000, total - done));
      for (uint8_t& b : piece) b = static_cast<uint8_t>(first + done++);
      LUMEN_CHECK(sink.write(piece));
    }
    return ok_status();
  };
}

void set_every_type(GgufWriter& w) {
  w.set("u8", uint8_t{255});
  w.set("i8", int8_t{-128});
  w.set("u16", uint16_t{65535});
  w.set("i16", int16_t{-32768});
  w.set("u32", UINT32_MAX);
  w.set("i32", INT32_MIN);
  w.set("u64", UINT64_MAX);
  w.set("i64", INT64_MIN);
  w.set("f32", 0.1f);
  w.set("f64", 0.1);
  w.set("bool", true);
  w.set("text", "plain");
  w.set("lumen.format.mine", std::string("format mine {\n  gguf 1001\n}\n"));
  w.set_array("strings", std::vector<std::string_view>{"a", "", "한글"});
  w.set_array("bools", std::vector<bool>{true, false});
  w.set_array<int32_t>("ints", std::vector<int32_t>{1, -2, 3});
  w.set_array<float>("floats", std::vector<float>{});
}

TEST(GgufWriter, what_it_writes_reads_back) {
  Folder folder;
  std::string path = folder.file("a.gguf");
  GgufWriter w;
  set_every_type(w);
  w.add_tensor("big", {1000, 300}, 0, 1200000, counting(1, 1200000));
  w.add_tensor("q", {3, 2, 64}, 2, 3 * 2 * 36, counting(9, 216));
  w.add_tensor("private", {7}, 1001, 11, counting(77, 11));
  auto status = w.write(path);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(folder.entries(), 1u);
  auto r = open_gguf(path, test::test_geometry);
  ASSERT_TRUE(r.ok()) << r.error().message;
  const Checkpoint& c = *r;
  EXPECT_EQ(c.version(), 3u);
  EXPECT_EQ(c.alignment(), 32u);
  const char* types[] = {"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool"};
  for (const char* t : types) EXPECT_EQ(c.find(t)->type_name(), t);
  EXPECT_EQ(c.find("u64")->render(), "18446744073709551615");
  EXPECT_EQ(*c.get_int("i64"), INT64_MIN);
  EXPECT_EQ(*c.get_float("f64"), 0.1);
  EXPECT_EQ(*c.get_string("lumen.format.mine"), "format mine {\n  gguf 1001\n}\n");
  EXPECT_EQ(*c.get_strings("strings"), (std::vector<std::string_view>{"a", "", "한글"}));
  EXPECT_EQ(*c.get_bools("bools"), (std::vector<bool>{true, false}));
  EXPECT_EQ(*c.get_ints("ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_TRUE(c.get_floats("floats")->empty());
  EXPECT_EQ(c.find_tensor("q")->dims, (std::vector<int64_t>{3, 2, 64}));
  EXPECT_EQ(c.find_tensor("q")->offset % 32, 0u);
  auto big = c.data("big");
  for (size_t i = 0; i < big->size; ++i) ASSERT_EQ(big->data[i], static_cast<uint8_t>(1 + i));
  EXPECT_EQ(c.data("q")->data[215], static_cast<uint8_t>(9 + 215));
  EXPECT_FALSE(c.data("private").ok());
  EXPECT_EQ(c.find_tensor("private")->type_id, 1001u);
  c.release(*c.find_tensor("big"));
  EXPECT_EQ(big->data[5], 6);
}

TEST(GgufWriter, keys_are_replaced_in_place_and_removed) {
  Folder folder;
  GgufWriter w;
  w.set("a", 1);
  w.set("b", "old");
  w.set("c", 3);
  w.set("b", 2.5);
  w.remove("a");
  w.remove("absent");
  w.set("c", int8_t{4});
  ASSERT_TRUE(w.write(folder.file("k.gguf")).ok());
  auto c = open_gguf(folder.file("k.gguf"), test::test_geometry);
  ASSERT_TRUE(c.ok()) << c.error().message;
  ASSERT_EQ(c->metadata().size(), 2u);
  EXPECT_EQ(c->metadata()[0].key, "b");
  EXPECT_EQ(*c->get_float("b"), 2.5);
  EXPECT_EQ(c->find("c")->type_name(), "i8");
}

TEST(GgufWriter, copies_metadata_but_for_what_is_set) {
  Folder folder;
  test::Bytes source = test::header(0, 4);
  source.str("general.alignment").u32(4).u32(64).str("kept").u32(8).str("yes").str("changed").u32(4).u32(1);
  source.str("nested").u32(9).u32(9).u64(1).u32(8).u64(2).str("x").str("y");
  auto from = test::parse(source.out);
  ASSERT_TRUE(from.result.ok()) << from.result.error().message;
  for (bool before : {true, false}) {
    GgufWriter w;
    if (before) w.set("changed", 2u);
    w.copy_metadata(*from.result);
    if (!before) w.set("changed", 2u);
    ASSERT_TRUE(w.write(folder.file("m.gguf")).ok());
    auto c = open_gguf(folder.file("m.gguf"), test::test_geometry);
    ASSERT_TRUE(c.ok()) << c.error().message;
    EXPECT_EQ(c->metadata().size(), 3u);
    EXPECT_EQ(*c->get_string("kept"), "yes");
    EXPECT_EQ(*c->get_int("changed"), 2);
    EXPECT_EQ(c->find("nested")->render(), "[[\"x\", \"y\"]]");
    EXPECT_EQ(c->alignment(), 32u);
  }
}

TEST(GgufWriter, may_replace_the_file_it_reads_from) {
  Folder folder;
  std::string path = folder.file("self.gguf");
  GgufWriter first;
  first.add_tensor("t", {8}, 0, 32, counting(3, 32));
  ASSERT_TRUE(first.write(path).ok());
  auto in = open_gguf(path, test::test_geometry);
  ASSERT_TRUE(in.ok());
  GgufWriter second;
  second.add_tensor("u", {8}, 0, 32, [&](ByteSink& sink) { return sink.write(in->data("t")->bytes()); });
  ASSERT_TRUE(second.write(path).ok());
  auto out = open_gguf(path, test::test_geometry);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->data("u")->data[31], 34);
  EXPECT_EQ(in->data("t")->data[31], 34);
}

// The write must fail, name the file and say `part`; nothing new in the folder, an older file as it was.
void expect_failed_write(GgufWriter& w, const std::string& part) {
  Folder folder;
  std::string path = folder.file("f.gguf");
  std::ofstream(path) << "older";
  auto status = w.write(path);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message.rfind(path + ": ", 0), 0u) << status.error().message;
  EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
  EXPECT_EQ(slurp(path), "older");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(GgufWriter, leaves_nothing_after_an_error) {
  auto with = [](uint64_t bytes, TensorProducer producer) {
    GgufWriter w;
    w.add_tensor("fine", {2000000}, 1001, 2000000, counting(0, 2000000));
    w.add_tensor("bad", {4}, 0, bytes, std::move(producer));
    return w;
  };
  GgufWriter fails = with(16, [](ByteSink&) -> Status { return Error{"no values here"}; });
  expect_failed_write(fails, "tensor 'bad': no values here");
  GgufWriter little = with(16, counting(0, 15));
  expect_failed_write(little, "tensor 'bad': expected 16 bytes, its producer made 15");
  GgufWriter much = with(16, counting(0, 17));
  expect_failed_write(much, "tensor 'bad': more than the announced 16 bytes");
  GgufWriter twice = with(16, counting(0, 16));
  twice.add_tensor("fine", {1}, 0, 4, counting(0, 4));
  expect_failed_write(twice, "tensor 'fine': added twice");
  GgufWriter unnamed = with(16, counting(0, 16));
  unnamed.set("", 1);
  expect_failed_write(unnamed, "empty name");
  GgufWriter flat = with(0, counting(0, 0));
  expect_failed_write(flat, "tensor 'bad': 0 bytes");
  for (std::vector<int64_t> dims : {std::vector<int64_t>{}, {1, 1, 1, 1, 1}, {4, 0}, {-1}}) {
    GgufWriter shape;
    shape.add_tensor("bad", dims, 0, 4, counting(0, 4));
    expect_failed_write(shape, "tensor 'bad': ");
  }
}

TEST(GgufWriter, refuses_a_target_that_cannot_be_a_file) {
  Folder folder;
  GgufWriter a, b;
  auto onto_folder = a.write(folder.path.string());
  ASSERT_FALSE(onto_folder.ok());
  EXPECT_NE(onto_folder.error().message.find("found a directory"), std::string::npos);
  auto nowhere = b.write(folder.file("no/such/x.gguf"));
  ASSERT_FALSE(nowhere.ok());
  EXPECT_NE(nowhere.error().message.find("No such file or directory"), std::string::npos) << nowhere.error().message;
  EXPECT_EQ(folder.entries(), 0u);
}

// Writes 3 MB under a file size limit of 1 MB, which stands in for a full disk.
Status write_with_full_disk(AtomicFile& file) {
  struct rlimit old {};
  getrlimit(RLIMIT_FSIZE, &old);
  struct rlimit small = old;
  small.rlim_cur = 1 << 20;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  Status status = file.write(std::vector<uint8_t>(3 << 20));
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  return status;
}

TEST(AtomicFile, a_full_disk_is_an_error_and_leaves_nothing) {
  for (bool nameless : {true, false}) {
    Folder folder;
    {
      auto f = AtomicFile::create(folder.file("x"), 0666, nameless);
      ASSERT_TRUE(f.ok());
      EXPECT_FALSE(fs::exists(folder.file("x")));
      Status status = write_with_full_disk(*f);
      ASSERT_FALSE(status.ok());
      EXPECT_NE(status.error().message.find("cannot write"), std::string::npos) << status.error().message;
    }
    EXPECT_EQ(folder.entries(), 0u);
  }
}

TEST(AtomicFile, appears_whole_at_commit_and_replaces) {
  for (bool nameless : {true, false}) {
    Folder folder;
    std::ofstream(folder.file("x")) << "older";
    auto f = AtomicFile::create(folder.file("x"), 0666, nameless);
    ASSERT_TRUE(f.ok());
    std::string text(1500000, 'n');
    ASSERT_TRUE(f->write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}).ok());
    EXPECT_EQ(slurp(folder.file("x")), "older");
    auto status = f->commit();
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(slurp(folder.file("x")), text);
    EXPECT_EQ(folder.entries(), 1u);
  }
}

}  // namespace
}  // namespace lumen
