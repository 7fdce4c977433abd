// A finished plan as bytes: launches, code, where its weights come from. What is needed to run it and no more: of its function the
// params alone. The bytes are believed no further than a start cache is (start_cache.h): numbers out of range are refused.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "compiler/plan/plan.h"

namespace lumen::engine {

// Where the bytes of one weight of a plan are found again.
struct KeptWeight {
  enum From : uint8_t {
    Packed,  // in the packed cache, under `key`
    Rows,    // there, too: rows that were put together, as they are
    Mapped,  // in the model file: `bytes` from `offset` of the tensor `key`
    Own,     // computed: in `data`
  } from = Own;
  std::string made_as;  // which weight, in which layout
  std::string key;
  int64_t offset = 0, bytes = 0;
  std::string data;
};

// Empty: the target's code cannot be kept.
std::string keep_step(const Target& target, const plan::Plan& plan, const std::vector<KeptWeight>& weights);
// The plan, its code made for `target`, and its weights in the order of plan.weights. An Error where the bytes make no sense.
Result<plan::Plan> restore_step(Target& target, std::string_view bytes, std::vector<KeptWeight>& weights);

}  // namespace lumen::engine
