// File tests: inputs with their expected output in one file, for gtest programs (which define LUMEN_SOURCE_DIR). A file is
//   # test: <command>
//   input
//   # ---
//   # expected output, each line behind "# "
// With LUMEN_REWRITE=1 in the environment the expectations are written instead of compared. See tests/filetests/README.md.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace lumen::filetest {

struct Case {
  std::string path;     // of the file
  std::string name;     // the path below tests/filetests, for messages that must not depend on the machine
  std::string command;  // what stands behind "# test:"; may be empty
  std::string input;    // everything before "# ---", the command's line included, so that line numbers are the file's
  std::string expected;
};

inline Case read_case(const std::filesystem::path& path) {
  Case c;
  c.path = path.string();
  c.name = path.parent_path().filename().string() + "/" + path.filename().string();
  std::ifstream in(path, std::ios::binary);
  std::string line;
  bool behind = false;
  while (std::getline(in, line)) {
    constexpr std::string_view kTest = "# test:";
    if (!behind && line == "# ---") {
      behind = true;
    } else if (behind) {
      c.expected += (line.size() > 2 ? line.substr(2) : "") + "\n";
    } else {
      if (c.command.empty() && line.starts_with(kTest)) {
        size_t at = line.find_first_not_of(' ', kTest.size());
        c.command = at == std::string::npos ? "" : line.substr(at);
      }
      c.input += line + (in.eof() ? "" : "\n");
    }
  }
  return c;
}

inline void write_case(const Case& c, const std::string& output) {
  std::ofstream out(c.path, std::ios::binary);
  out << c.input << (c.input.empty() || c.input.back() == '\n' ? "" : "\n") << "# ---\n";
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) out << (line.empty() ? "#" : "# " + line) << "\n";
}

// Runs `fn` on every file of tests/filetests/<dir>, in name order, and compares what it returns. An empty directory fails.
inline void run_filetests(const std::string& dir, const std::function<std::string(const Case&)>& fn) {
  namespace fs = std::filesystem;
  fs::path root = fs::path(LUMEN_SOURCE_DIR) / "tests" / "filetests" / dir;
  ASSERT_TRUE(fs::is_directory(root)) << root;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file() && entry.path().filename().string()[0] != '.') files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty()) << "no file tests in " << root;
  const char* rewrite = std::getenv("LUMEN_REWRITE");
  for (const fs::path& path : files) {
    Case c = read_case(path);
    SCOPED_TRACE(c.name);
    std::string output = fn(c);
    if (!output.empty() && output.back() != '\n') output += '\n';
    if (rewrite && std::string(rewrite) == "1") {
      write_case(c, output);
    } else {
      EXPECT_FALSE(c.expected.empty()) << "no expectation: run once with LUMEN_REWRITE=1 and read what it wrote";
      EXPECT_EQ(output, c.expected);
    }
  }
}

}  // namespace lumen::filetest
