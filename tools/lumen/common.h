// What commands share: choosing a model and a device, prompts as ids, output, a progress bar where a person watches.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "base/result.h"
#include "base/size_text.h"
#include "runtime/interp_model.h"
#include "runtime/open_model.h"

namespace lumen::tool {

// Devices are named here and nowhere else in the project.
Result<std::shared_ptr<Target>> make_target(const std::string& name, int64_t threads);

// A model opened to be run: compiled for a device, or by the interpreter.
struct Opened : runtime::OpenModel {
  std::unique_ptr<runtime::InterpModel> interp;  // else OpenModel::model is set
  Result<const float*> step(const engine::Batch& b) { return interp ? interp->step(b) : model->step(b); }
  Result<std::vector<float>> hidden(const engine::Batch& b, int layer) {
    return interp ? interp->hidden(b, layer) : model->hidden(b, layer);
  }
  int64_t vocab() const { return interp ? interp->vocab() : model->vocab(); }
  int64_t context() const { return interp ? interp->context() : model->context(); }
  int64_t max_batch() const { return interp ? interp->max_batch() : model->max_batch(); }
  int64_t max_rows() const { return interp ? interp->max_rows() : model->max_rows(); }
};

struct ModelChoice {
  std::string model = "smollm2", target = "native";
  int64_t context = 0, threads = 0;
  bool exact = false;
  std::string quantize;
};
// Declares MODEL, --target, --ctx, -t, --quantize. `interp`: the command can use the interpreter, too.
void declare_model(Arguments& a, ModelChoice& c, bool required, bool interp = true);
// The formats, kernels and models at hand, those that the file brings included where the user trusts it.
Result<std::shared_ptr<const sema::Library>> library_for(const Arguments& a, const std::string& model);
Result<Opened> open_chosen(const Arguments& a, const ModelChoice& c, int64_t sequences = 1);

// --prompt TEXT | --tokens 1,2,3
struct PromptChoice {
  std::string prompt, tokens;
  bool has_prompt = false, has_tokens = false;
};
void declare_prompt(Arguments& a, PromptChoice& p);
Result<std::vector<int32_t>> prompt_ids(const Arguments& a, const PromptChoice& p, const Opened& m);
// "1,2,3" or "1 2 3".
Result<std::vector<int32_t>> parse_ids(const std::string& text);

// Progress on stderr, rewritten in place and gone when done; nothing where stderr is no terminal.
std::function<void(int64_t done, int64_t total)> progress_bar(const std::string& doing);

Result<std::string> read_text(const std::string& path);  // a whole file
Status print_out(std::string_view text);     // to stdout
std::string visible(std::string_view text);  // control characters escaped, for a terminal
std::string fixed(double v, int digits);     // "12.30"

// Runs the whole of `ids`, from an empty context, in steps of what the model takes; row(position, logits) for the tokens from `first` on, in order.
Status run_rows(Opened& model, const std::vector<int32_t>& ids, int64_t first, const std::function<void(int64_t, const float*)>& row);

}  // namespace lumen::tool
