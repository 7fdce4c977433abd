// Command line options, declared and checked: every number has a range, every complaint names the option and what was expected.
// The parsing library stays behind this.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace lumen::tool {

// Options that every command takes.
struct Globals {
  std::vector<std::string> lum_directories;
  bool trust_embedded_formats = false;
};

class Arguments {
 public:
  Arguments(CLI::App& app, const Globals& globals) : app_(app), globals_(globals) {}

  // Flags as the parsing library spells them: "-n", "--temp", "-t,--threads".
  void positional(const std::string& name, std::string& into, const std::string& help, bool required);
  void positionals(const std::string& name, std::vector<std::string>& into, const std::string& help);  // at least one
  void text(const std::string& flags, std::string& into, const std::string& help);
  void texts(const std::string& flags, std::vector<std::string>& into, const std::string& help);  // may be repeated
  void choice(const std::string& flags, std::string& into, const std::vector<std::string>& allowed, const std::string& help);
  void integers(const std::string& flags, std::vector<int64_t>& into, int64_t lo, int64_t hi, const std::string& help);  // "1,2,3"
  void integer(const std::string& flags, int64_t& into, int64_t lo, int64_t hi, const std::string& help);
  void number(const std::string& flags, double& into, double lo, double hi, const std::string& help);
  void flag(const std::string& flags, bool& into, const std::string& help);
  // Was the option given? `flag` as declared, one spelling.
  bool given(const std::string& flag) const;

  const Globals& globals() const { return globals_; }

 private:
  CLI::App& app_;
  const Globals& globals_;
};

}  // namespace lumen::tool
