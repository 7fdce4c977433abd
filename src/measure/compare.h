// Measures engines against each other: a process for every trial, engines alternating within a round, so that a machine that changes
// its speed does so for all of them; what the machine gives is measured before and after each trial. What fails is recorded with its
// reason, and the rest goes on. After an interrupt (measure/process.h) nothing more is measured, and what there is stands.
#pragma once
#include <functional>

#include "measure/comparison.h"
#include "measure/engine_process.h"
#include "measure/prober.h"

namespace lumen::measure {

struct CompareOptions {
  std::vector<Test> tests;  // Load is worked out from ColdStart and HotStart
  int64_t rounds = 5;
  int64_t continued_tokens = 48;  // of the greedy continuations; 0: none are made
  bool logits = true;
  std::function<void(const std::string&)> progress;  // a line for every trial
};

// `c` comes with what is known before (machine, prompt, models' subjects) and is filled. The prober is asked around every trial.
Status compare(LumenProcess& lumen, std::vector<std::unique_ptr<PeerProcess>>& peers, Prober& prober, const EngineSettings& settings,
               const CompareOptions& options, Comparison& c);

}  // namespace lumen::measure
