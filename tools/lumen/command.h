// The one table of commands: each declares its options and gives back what runs after they were read.
#pragma once
#include <functional>
#include <span>

#include "arguments.h"
#include "base/result.h"

namespace lumen::tool {

using Action = std::function<Status()>;

struct Command {
  const char* name;
  const char* summary;
  Action (*declare)(Arguments& a);
};
std::span<const Command> commands();

Action declare_run(Arguments& a);
Action declare_serve(Arguments& a);
Action declare_logits(Arguments& a);
Action declare_hidden(Arguments& a);
Action declare_tokenize(Arguments& a);
Action declare_detokenize(Arguments& a);
Action declare_inspect(Arguments& a);
Action declare_perplexity(Arguments& a);
Action declare_bench(Arguments& a);
Action declare_bench_kernels(Arguments& a);
Action declare_bench_compare(Arguments& a);
Action declare_compile(Arguments& a);
Action declare_quantize(Arguments& a);
Action declare_imatrix(Arguments& a);
Action declare_compare(Arguments& a);
Action declare_check(Arguments& a);
Action declare_doctor(Arguments& a);
Action declare_pull(Arguments& a);
Action declare_list(Arguments& a);
Action declare_show(Arguments& a);
Action declare_rm(Arguments& a);

}  // namespace lumen::tool
