// The null target lists what it is given and refuses the rest in words.
#include "backend/null/null_target.h"

#include <gtest/gtest.h>

#include "compiler/loops/builder.h"

namespace lumen {
namespace {

TEST(NullTarget, ListsAndRefuses) {
  auto t = make_null_target({.name = "null", .lanes = 8});
  loops::Builder b("copy");
  int in = b.buffer("in", loops::BufferKind::Input), out = b.buffer("out", loops::BufferKind::Output);
  b.store(b.load(loops::Ty::F32, 8, DType::F32, {in}), DType::F32, {out});
  auto code = t->compile(b.kernel());
  ASSERT_TRUE(code);
  EXPECT_NE((*code)->listing().find("store %2, f32 [out]"), std::string::npos) << (*code)->listing();
  EXPECT_EQ(t->machine().lanes, 8);
  auto memory = t->allocate(64);
  ASSERT_FALSE(memory);
  EXPECT_NE(memory.error().message.find("null target"), std::string::npos);
  EXPECT_FALSE(t->launch(**code, {}, {}, 1));
  EXPECT_TRUE(t->synchronize());
}

TEST(NullTarget, RefusesAKernelThatIsWrong) {
  auto t = make_null_target({});
  loops::Builder b("wrong");
  b.op(loops::LOp::Neg, {b.reg(loops::Ty::F32, 1)});
  auto code = t->compile(b.kernel());
  ASSERT_FALSE(code);
  EXPECT_NE(code.error().message.find("read before it is assigned"), std::string::npos) << code.error().message;
}

}  // namespace
}  // namespace lumen
