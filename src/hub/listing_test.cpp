// The hub's answers, headers and names: what is read of them, and what is refused. Whole pulls: tests/e2e/test_pull.py.
#include "hub/listing.h"

#include <gtest/gtest.h>

#include "hub/choose.h"
#include "hub/model_ref.h"

namespace lumen::hub {
namespace {

const std::string kSha(64, 'b'), kOid(40, 'a');

TEST(Listing, TakesSmallAndLargeFiles) {
  std::vector<RemoteFile> files;
  std::string json = R"([{"type":"directory","path":"x","oid":"1","size":0},{"type":"file","path":"config.json","size":2,"oid":")" + kOid +
                     R"("},{"type":"file","path":"x/m.gguf","size":130,"oid":")" + kOid + R"(","lfs":{"oid":"sha256:)" + kSha +
                     R"(","size":9000000000,"pointerSize":130}}])";
  ASSERT_TRUE(parse_tree(json, files).ok());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].digest, (Digest{Digest::GitBlob, kOid}));
  EXPECT_EQ(files[1].path, "x/m.gguf");
  EXPECT_EQ(files[1].bytes, 9000000000u);
  EXPECT_EQ(files[1].digest, (Digest{Digest::Sha256, kSha}));
}

TEST(Listing, FindsTheNextPage) {
  EXPECT_EQ(next_page(R"(<https://h/a?cursor=x>; rel="next")"), "https://h/a?cursor=x");
  EXPECT_EQ(next_page(R"(<https://h/1>; rel="prev", <https://h/3>; rel="next")"), "https://h/3");
  EXPECT_EQ(next_page(R"(<https://h/1>; rel="last")"), "");
  for (const char* broken : {"", "<", "<x", "x>; rel=\"next\"", "rel=\"next\"<"}) EXPECT_EQ(next_page(broken), "") << broken;
}

TEST(Listing, ReadsContentRange) {
  auto r = parse_content_range("bytes 100-199/200");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->first, 100u);
  EXPECT_EQ(r->total, 200u);
  EXPECT_FALSE(parse_content_range("bytes 0-1/*")->total);
  for (const char* bad : {"", "bytes", "bytes */200", "bytes 5-4/9", "bytes -1-4/9", "bytes 1-4", "bytes 1/4-9",
                          "bytes 1-18446744073709551616/9", "items 1-4/9"})
    EXPECT_FALSE(parse_content_range(bad)) << bad;
}

TEST(ModelRef, ReadsItsParts) {
  auto r = parse_ref("hf:Org-1/re.po_x@refs/pr/1:*Q4*");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->id(), "Org-1/re.po_x");
  EXPECT_EQ(r->revision, "refs/pr/1");
  EXPECT_EQ(r->pattern, "*Q4*");
  EXPECT_EQ(r->text(), "hf:Org-1/re.po_x@refs/pr/1:*Q4*");
  EXPECT_EQ(r->directory(), "hf/Org-1/re.po_x@refs%2Fpr%2F1");
  EXPECT_EQ(parse_ref("a/b@main")->text(), "hf:a/b");
  for (const char* bad : {"", "hf:", "a", "a/", "/b", "a/b/c", "a/..", "../b", "-a/b", "a/b.", "a--b/c", "a/b@", "a/b@../x", "a/b@/x",
                          "a/b:", "a b/c", "a/b\n"}) {
    EXPECT_FALSE(parse_ref(bad).ok()) << bad;
  }
}

TEST(ModelRef, MatchesWithAndWithoutGlob) {
  EXPECT_TRUE(matches("*q4*", "sub/Model-Q4_0.gguf"));
  EXPECT_TRUE(matches("q4_0", "sub/Model-Q4_0.gguf"));
  EXPECT_TRUE(matches("sub/*.gguf", "sub/Model-Q4_0.gguf"));
  EXPECT_TRUE(matches("model-q4_0.gguf", "sub/Model-Q4_0.gguf"));
  EXPECT_FALSE(matches("sub", "sub/Model-Q4_0.gguf"));
  EXPECT_FALSE(matches("*.gguf", "sub/x.bin"));
}

TEST(ModelRef, RefusesPathsThatLeadElsewhere) {
  for (const char* good : {"a", "a/b.gguf", "..a/b..", "a b", ".hidden", "sub/.lumen"}) EXPECT_TRUE(check_path(good).ok()) << good;
  for (const char* bad : {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/..", "a\nb", "a\x7f", ".lumen/x", ".lumen"})
    EXPECT_FALSE(check_path(bad).ok()) << bad;
  EXPECT_FALSE(check_path(std::string_view("a\0b", 3)).ok());
  EXPECT_TRUE(check_path(std::string(240, 'x')).ok());
  EXPECT_FALSE(check_path(std::string(241, 'x')).ok());
}

TEST(Choose, KnowsParts) {
  EXPECT_EQ(first_part("d/x-00002-of-00003.gguf"), "d/x-00001-of-00003.gguf");
  EXPECT_EQ(first_part("x-0002-of-00003.gguf"), "x-0002-of-00003.gguf");
  auto groups = gguf_groups({{"b-00002-of-00002.gguf", 5, {}}, {"a.GGUF", 1, {}}, {"b-00001-of-00002.gguf", 7, {}}, {"c.bin", 1, {}}});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[1].name, "b-00001-of-00002.gguf");
  EXPECT_EQ(groups[1].bytes, 12u);
  EXPECT_EQ(groups[1].files[1].path, "b-00002-of-00002.gguf");
}

TEST(Digest, IsGitsAndSha256) {
  auto of = [](Digest::Kind kind, std::string_view text) {
    auto h = Hasher::create(kind, text.size());
    EXPECT_TRUE(h.ok());
    h->update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return h->finish().hex;
  };
  EXPECT_EQ(of(Digest::GitBlob, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");  // git hash-object /dev/null
  EXPECT_EQ(of(Digest::Sha256, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace lumen::hub
