// The engines bench-compare measures, each as a program run anew for every trial: Lumen's own binary, and peers of llama.cpp's kin
// (llama-bench and the programs beside it). What a peer lacks is an Error that says so, never a guess.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/comparison.h"
#include "measure/log_probs.h"
#include "measure/process.h"

namespace lumen::measure {

struct EngineSettings {
  int threads = 1;
  int64_t start_context = 512;  // tokens of context for starts and continuations
  std::string prompt;           // of starts and continuations
  double timeout = 1800;        // seconds for one process
  std::string directory;        // to run in: some programs leave logs behind; all paths are absolute
};

class EngineProcess {
 public:
  explicit EngineProcess(EngineSettings settings) : settings_(std::move(settings)) {}
  virtual ~EngineProcess() = default;
  virtual EngineInfo info() const = 0;
  // One trial of any test but Load, without what the machine gave; its process's wall time. Programs of one family fail together.
  virtual Result<Trial> run(const Subject& model, const Test& test, double& wall_seconds) = 0;
  virtual Result<std::string> continuation(const Subject& model, int64_t tokens) = 0;

 protected:
  // Output of a program that ended well; where it did not, an error that names it.
  Result<ProcessResult> output_of(const std::vector<std::string>& command, ProcessOptions o = {}) const;
  EngineSettings settings_;
};

class LumenProcess : public EngineProcess {
 public:
  // globals: --lum DIR and such, for every command.
  LumenProcess(EngineSettings settings, std::string program, std::string target, std::vector<std::string> globals);
  EngineInfo info() const override;
  Result<Trial> run(const Subject& model, const Test& test, double& wall_seconds) override;
  Result<std::string> continuation(const Subject& model, int64_t tokens) override;
  // What there is to know of a model before anything is measured.
  Result<Subject> examine(const std::string& name, const std::string& path) const;
  // Of the last rows of a sequence of tokens.
  Result<std::vector<std::vector<float>>> log_probs(const Subject& model, const std::vector<int32_t>& tokens, int64_t rows) const;
  Result<std::vector<int32_t>> tokenize(const std::string& model, const std::string& text) const;
  double cache_bytes_per_token() const { return cache_bytes_per_token_; }  // of the model that was benched last

 private:
  std::vector<std::string> command(const std::vector<std::string>& rest) const;
  std::vector<std::string> start_command(const Subject& model, int64_t tokens) const;
  Result<Trial> bench(const Subject& model, const Test& test, double& wall_seconds);
  std::string program_, target_, made_for_;  // made_for_: what "native" turned out to be
  std::vector<std::string> globals_;
  double cache_bytes_per_token_ = 0;
};

class PeerProcess : public EngineProcess {
 public:
  // bench: the path of its llama-bench. options: for llama-bench; empty with `own_options`: the best that its --help knows.
  static Result<std::unique_ptr<PeerProcess>> open(EngineSettings settings, std::string name, std::string bench,
                                                   std::vector<std::string> options, bool own_options);
  EngineInfo info() const override;
  Result<Trial> run(const Subject& model, const Test& test, double& wall_seconds) override;
  Result<std::string> continuation(const Subject& model, int64_t tokens) override;
  // For the first `chunk` tokens of a text (a file), by its perplexity program; rows of the second half.
  Result<LogProbs> log_probs(const Subject& model, const std::string& text_file, int64_t chunk) const;
  static bool knows(const std::string& help, const std::string& option);  // as a word

 private:
  PeerProcess(EngineSettings settings, std::string name, std::string bench)
      : EngineProcess(std::move(settings)), name_(std::move(name)), bench_(std::move(bench)) {}
  std::string beside(const std::vector<std::string>& names) const;  // the first that can be run, or ""
  Result<Trial> bench(const Subject& model, const Test& test, double& wall_seconds);
  Result<std::vector<std::string>> start_command(const Subject& model, int64_t tokens) const;
  std::string name_, bench_, bench_help_, commit_;
  std::vector<std::string> options_;
  std::string completion_, completion_help_, perplexity_;
};

}  // namespace lumen::measure
