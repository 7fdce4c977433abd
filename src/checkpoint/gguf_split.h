// Models in several GGUF files: NAME-00001-of-00003.gguf and so on, each a GGUF file of its own with the keys split.no (from 0),
// split.count and split.tensors.count (of all parts together). The first part has the model's metadata.
#pragma once
#include <functional>

#include "checkpoint/checkpoint.h"

namespace lumen {

// True where the metadata says that there are more files than this one. Error: the split keys make no sense.
Result<bool> is_part(const Checkpoint::Contents& c);

// The first part with the tensors of all others behind its own. Opened is `first`, at first.path; `read` reads one more file.
// Errors: not the first part; a part is missing, of another split, of the wrong number; a tensor in two parts; too few tensors.
Result<Checkpoint::Contents> join_parts(Checkpoint::Contents first,
                                        const std::function<Result<Checkpoint::Contents>(const std::string& path)>& read);

}  // namespace lumen
