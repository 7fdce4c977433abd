// Formats whose fields a file keeps in several tensors (codes here, scales there): which tensors those are, and their blocks put
// together in memory, field behind field, as kernels and the packer read them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "checkpoint/checkpoint.h"
#include "compiler/ir/format.h"
#include "tensor/buffer.h"

namespace lumen::engine {

// "a.b.weight", "scales" -> "a.b.scales"
std::string tensor_beside(std::string_view weight, const std::string& field);
// True where some field lies in a tensor of its own.
bool has_field_tensors(const ir::FormatType& f);
// True where this file has those tensors beside the weight. False: its blocks are whole in its own tensor, as in a view (declared_view.h).
bool fields_apart(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight);

// The weight's dimensions as the format counts elements: the bytes of its own tensor's rows give the length. An Error where they
// hold no whole blocks, or where a field's tensor is missing or has another shape than that asks for.
Result<std::vector<int64_t>> field_tensor_dims(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight);

// All rows of the weight, block behind block. The dimensions were checked by field_tensor_dims.
Result<std::shared_ptr<Buffer>> assemble_blocks(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight,
                                                ThreadTeam& team);

// The first of the weight's rows, whole blocks or plain numbers: where they lie in the file, or in `together`, which must live as long.
Result<const uint8_t*> whole_rows(const ir::Type& type, const Checkpoint& file, const CheckpointTensor& weight, ThreadTeam& team,
                                  std::shared_ptr<Buffer>& together);

}  // namespace lumen::engine
