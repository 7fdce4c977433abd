// gdb and perf see a kernel by its name: gdb itself is asked where it is installed.
#include "backend/cpu/debug_info.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "backend/cpu/kernel_check.h"

namespace lumen::cpu {
namespace {

using namespace loops;

Kernel copy_kernel() {
  Builder b("copy_for_tools");
  int in = b.buffer("in", BufferKind::Input), out = b.buffer("out", BufferKind::Output);
  b.for_(b.begin(), b.end(), 1, [&](Reg i) {
    b.store(b.load(Ty::F32, 8, DType::F32, {in, b.mul_imm(i, 32)}), DType::F32, {out, b.mul_imm(i, 32)});
  });
  return b.take();
}

TEST(DebugInfo, ImageHasTheSymbol) {
  uint8_t code[32] = {};
  DebugInfo info("some_kernel", code, sizeof code);
  const std::vector<uint8_t>& e = info.image();
  Elf64_Ehdr h;
  std::memcpy(&h, e.data(), sizeof h);
  ASSERT_EQ(std::memcmp(h.e_ident, ELFMAG, SELFMAG), 0);
  std::vector<Elf64_Shdr> s(h.e_shnum);
  ASSERT_LE(h.e_shoff + s.size() * sizeof(Elf64_Shdr), e.size());
  std::memcpy(s.data(), e.data() + h.e_shoff, s.size() * sizeof(Elf64_Shdr));
  EXPECT_EQ(s[1].sh_addr, reinterpret_cast<uintptr_t>(code));
  EXPECT_EQ(s[1].sh_size, 32u);
  const char* name = reinterpret_cast<const char*>(e.data() + s[4].sh_offset + 1);
  EXPECT_STREQ(name, "lumen_jit_some_kernel");
  for (const Elf64_Shdr& x : s)
    if (x.sh_type != SHT_NOBITS) {
      EXPECT_LE(x.sh_offset + x.sh_size, e.size());
    }
}

TEST(DebugInfo, PerfMapNamesTheCode) {
  setenv("LUMEN_PERF_MAP", "1", 1);
  auto code = target("avx2").compile(copy_kernel());
  unsetenv("LUMEN_PERF_MAP");
  ASSERT_TRUE(code);
  std::string path = "/tmp/perf-" + std::to_string(getpid()) + ".map";
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_NE(text.str().find(" lumen_jit_copy_for_tools\n"), std::string::npos) << text.str();
  unlink(path.c_str());
}

// The inner test runs under gdb: it reads out of bounds inside a kernel, and gdb must name the kernel and its caller.
TEST(DebugInfo, CrashForGdb) {
  if (!std::getenv("LUMEN_CRASH_FOR_GDB")) GTEST_SKIP() << "run by DebugInfo.GdbNamesTheKernel";
  Target& t = target("avx2");
  auto code = t.compile(copy_kernel()).take();
  auto none = t.wrap(nullptr, 0).take();
  BufferArg args[] = {{none.get(), 0}, {none.get(), 0}};
  (void)t.launch(*code, args, {}, 1);
}

TEST(DebugInfo, GdbNamesTheKernel) {
  if (std::system("gdb --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no gdb here";
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof self - 1), 0);
  std::string command = std::string("LUMEN_CRASH_FOR_GDB=1 gdb -batch -nx -ex 'handle SIGSEGV stop' -ex run -ex bt --args ") + self +
                        " --gtest_filter=DebugInfo.CrashForGdb 2>&1";
  std::FILE* p = popen(command.c_str(), "r");
  ASSERT_TRUE(p);
  std::string out;
  for (int c; (c = std::fgetc(p)) != EOF;) out.push_back(static_cast<char>(c));
  pclose(p);
  if (out.find("ptrace") != std::string::npos || out.find("warning: Error disabling address space") != std::string::npos)
    GTEST_SKIP() << "gdb may not trace here";
  EXPECT_NE(out.find("lumen_jit_copy_for_tools"), std::string::npos) << out;
  EXPECT_NE(out.find("CpuTarget::launch"), std::string::npos) << out;
  EXPECT_NE(out.find("main"), std::string::npos) << out;
}

}  // namespace
}  // namespace lumen::cpu
