// lumen: the command line. Exit status 0, 2 for what the user asked wrongly, 1 for everything else; errors are one line on stderr.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/timeline.h"
#include "command.h"

namespace lumen::tool {

std::span<const Command> commands() {
  static const Command table[] = {
      {"run", "ask a model, or chat with it where no prompt is given", declare_run},
      {"serve", "answer over HTTP, as OpenAI's API does", declare_serve},
      {"logits", "the logits a model gives after a prompt", declare_logits},
      {"hidden", "the residual stream after a layer", declare_hidden},
      {"tokenize", "text to token ids", declare_tokenize},
      {"detokenize", "token ids to text", declare_detokenize},
      {"inspect", "what a model file holds and what Lumen will do with it", declare_inspect},
      {"perplexity", "how well a model predicts a text", declare_perplexity},
      {"bench", "measure prefill and decode speed", declare_bench},
      {"bench-kernels", "measure the matrix product of each weight format", declare_bench_kernels},
      {"bench-compare", "measure Lumen against llama.cpp and its kin, with a report", declare_bench_compare},
      {"compile", "what becomes of a .lum file, stage by stage", declare_compile},
      {"quantize", "write a model in other formats", declare_quantize},
      {"imatrix", "find which of a model's weights count most, for quantize --imatrix", declare_imatrix},
      {"compare", "how far one model's answers are from another's over a text, and both perplexities", declare_compare},
      {"check", "hold a model against its declaration, its tokenizer and its card", declare_check},
      {"doctor", "this machine: CPU, targets, caches, bandwidth, what is missing and how to get it", declare_doctor},
      {"pull", "fetch a model from a hub into the local store", declare_pull},
      {"list", "the models of the local store", declare_list},
      {"show", "what a model of the store is, where it came from, what it consists of", declare_show},
      {"rm", "remove a model from the store", declare_rm},
  };
  return table;
}

namespace {

int report(const Error& e) {
  std::string m = e.message;
  while (!m.empty() && m.back() == '\n') m.pop_back();
  // Mistakes in .lum files come rendered, with the line and a caret: they begin with the place, as editors expect.
  bool rendered = m.find('\n') != std::string::npos;
  std::fflush(stdout);
  std::fprintf(stderr, "%s%s\n", rendered ? "" : "lumen: ", m.c_str());
  return e.usage ? 2 : 1;
}

int usage(std::string message) {
  for (char& c : message)
    if (c == '\n') c = ' ';
  while (!message.empty() && message.back() == ' ') message.pop_back();
  std::fprintf(stderr, "lumen: %s (lumen --help lists what there is)\n", message.c_str());
  return 2;
}

int main(int argc, char** argv) {
  CLI::App app{"Lumen runs large language models through kernels that its own compiler makes.", "lumen"};
  app.fallthrough();
  app.set_version_flag("--version", "lumen 0.1.0");
  Globals globals;
  app.add_option("--lum", globals.lum_directories, "a directory of .lum files of your own (may be repeated)")
      ->type_name("DIR")
      ->allow_extra_args(false);
  app.add_flag("--trust-embedded-formats", globals.trust_embedded_formats, "read a file's private formats by the declarations it brings");
  std::vector<std::pair<CLI::App*, Action>> actions;
  std::vector<std::unique_ptr<Arguments>> arguments;
  for (const Command& c : commands()) {
    CLI::App* sub = app.add_subcommand(c.name, c.summary);
    sub->fallthrough();
    arguments.push_back(std::make_unique<Arguments>(*sub, globals));
    actions.push_back({sub, c.declare(*arguments.back())});
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return usage(e.what());
  }
  for (auto& [sub, action] : actions)
    if (sub->parsed()) {
      Status s = action();
      if (!s) return report(s.error());
      if (std::fflush(stdout) != 0 || std::ferror(stdout)) return report({"writing to standard output failed"});
      return 0;
    }
  std::fputs(app.help().c_str(), stderr);
  return 2;
}

}  // namespace
}  // namespace lumen::tool

int main(int argc, char** argv) {
  lumen::timeline_mark("until main");
  return lumen::tool::main(argc, argv);
}
