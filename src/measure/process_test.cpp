// Children that behave, and children that do not.
#include "measure/process.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace lumen::measure {
namespace {

ProcessResult shell(const std::string& script, ProcessOptions o = {}) {
  auto r = run_process({"/bin/sh", "-c", script}, o);
  EXPECT_TRUE(r.ok());
  return r ? *r : ProcessResult{};
}

TEST(Process, OutputAndStatus) {
  ProcessResult r = shell("echo out; echo first >&2; echo 'why  ' >&2; exit 3");
  EXPECT_EQ(r.out, "out\n");
  EXPECT_FALSE(r.fine());
  EXPECT_EQ(r.complaint({}), "ended with status 3: why");
  EXPECT_TRUE(shell("true").fine());
  EXPECT_EQ(shell("read x || echo none").out, "none\n");  // standard input is empty
}

TEST(Process, FirstByteComesBeforeTheEnd) {
  ProcessResult r = shell("sleep 0.1; echo a; sleep 0.3; echo b");
  EXPECT_GT(r.first_byte_seconds, 0.09);
  EXPECT_LT(r.first_byte_seconds, r.wall_seconds - 0.25);
  EXPECT_EQ(shell("sleep 0.05").first_byte_seconds, 0);
}

TEST(Process, TimeIsUp) {
  ProcessOptions o;
  o.timeout = 0.3;
  ProcessResult r = shell("echo a; sleep 60 & sleep 60", o);
  EXPECT_TRUE(r.timed_out);
  EXPECT_LT(r.wall_seconds, 5);
  EXPECT_EQ(r.complaint(o), "did not end within 0.3 s");
}

TEST(Process, AChildOfTheChildMayHoldThePipe) {
  ProcessResult r = shell("sleep 60 & echo a");
  EXPECT_TRUE(r.fine());
  EXPECT_LT(r.wall_seconds, 5);
}

TEST(Process, EndlessOutput) {
  ProcessOptions o;
  o.most_output = 1 << 20;
  ProcessResult r = shell("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", o);
  EXPECT_TRUE(r.talked_too_much);
  EXPECT_EQ(r.complaint(o), "printed more than 1 MB");
}

TEST(Process, Signals) { EXPECT_EQ(shell("kill -SEGV $$").complaint({}), "was killed by signal 11 (Segmentation fault)"); }

TEST(Process, EnvironmentAndDirectory) {
  ProcessOptions o;
  setenv("LUMEN_PROCESS_TEST", "old", 1);
  o.environment = {{"LUMEN_PROCESS_TEST", "new"}};
  o.directory = "/";
  EXPECT_EQ(shell("echo $LUMEN_PROCESS_TEST; pwd", o).out, "new\n/\n");
}

TEST(Process, WhatCannotBeStarted) {
  auto none = run_process({"/nowhere/at/all"}, {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message, "/nowhere/at/all: cannot be run: No such file or directory");
  std::string file = testing::TempDir() + "lumen_not_executable";
  std::ofstream(file) << "text";
  chmod(file.c_str(), 0644);
  auto r = run_process({file}, {});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().message, file + ": cannot be run: Permission denied");
  std::remove(file.c_str());
}

TEST(Process, MemoryAndTime) {
  // Holds 24 MB and burns some CPU time.
  ProcessResult r = shell("x=$(head -c 24000000 /dev/zero | tr '\\0' a); i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
  ASSERT_TRUE(r.fine()) << r.complaint({});
  EXPECT_GT(r.peak_bytes, uint64_t{22} << 20);
  EXPECT_GT(r.cpu_seconds, 0.005);
}

}  // namespace
}  // namespace lumen::measure
