// A JSON object as metadata: nested keys joined by points ("rope_scaling.factor"; entries of arrays of objects by number), numbers
// as i64 or f64, arrays of one kind of scalar as arrays. null means absent, as do arrays that mix kinds.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"

namespace lumen {

// What keys and values point into; deque: they never move.
using MetaStorage = std::deque<std::string>;

// Appends the members of `object`. Error: more entries than any model has.
Status append_metadata(const Json& object, const std::string& prefix, MetaStorage& storage, std::vector<MetaEntry>& out);

}  // namespace lumen
