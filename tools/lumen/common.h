// What commands share: choosing a model and a device, prompts as ids, output, a progress bar where a person watches.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "base/result.h"
#include "runtime/open_model.h"

namespace lumen::tool {

// Devices are named here and nowhere else in the project.
Result<std::shared_ptr<Target>> make_target(const std::string& name, int64_t threads);
std::vector<std::string> target_names();

struct ModelChoice {
  std::string model = "smollm2", target = "native";
  int64_t context = 0, threads = 0;
  bool exact = false;
};
// Declares MODEL, --target, --ctx, -t.
void declare_model(Arguments& a, ModelChoice& c, bool required);
Result<std::shared_ptr<const sema::Library>> library_of(const Arguments& a);
Result<runtime::OpenModel> open_chosen(const Arguments& a, const ModelChoice& c, int64_t sequences = 1);

// --prompt TEXT | --tokens 1,2,3
struct PromptChoice {
  std::string prompt, tokens;
  bool has_prompt = false, has_tokens = false;
};
void declare_prompt(Arguments& a, PromptChoice& p);
Result<std::vector<int32_t>> prompt_ids(const Arguments& a, const PromptChoice& p, const runtime::OpenModel& m);
// "1,2,3" or "1 2 3".
Result<std::vector<int32_t>> parse_ids(const std::string& text);

Status print_out(std::string_view text);       // to stdout
std::string visible(std::string_view text);    // control characters escaped, for a terminal
std::string size_text(uint64_t bytes);         // "98.4 MB"
std::string fixed(double v, int digits);       // "12.30"

// A batch of one sequence: ids[begin, end) at their positions, pages in order.
engine::Batch batch_of(const std::vector<int32_t>& ids, int64_t begin, int64_t end);

}  // namespace lumen::tool
