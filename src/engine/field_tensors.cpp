// See field_tensors.h.
#include "engine/field_tensors.h"

#include <cstring>

namespace lumen::engine {
namespace {

// Where one field's entries lie: entry for row n, block b at data + (n / rows) * row_bytes + (b * block / elements or b) * bytes.
struct Place {
  const uint8_t* data = nullptr;
  int64_t row_bytes = 0;      // 0: all rows share a row
  int64_t rows = 1;           // that share a row of entries
  int64_t blocks = 1;         // that share an entry; 0: all of a row
  int64_t bytes = 0, to = 0;  // of the field in a block; where it goes there
};

int64_t field_bytes(const ir::FormatField& f) { return int64_t{f.count} * size_of(f.type); }

std::string shape_text(const std::vector<int64_t>& dims) {
  std::string s = "[";
  for (size_t i = 0; i < dims.size(); ++i) s += (i ? ", " : "") + std::to_string(dims[i]);
  return s + "]";
}

class Places {
 public:
  Places(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight) : f_(f), file_(file), weight_(weight) {}

  Status find() {
    if (!weight_.bytes) return error(weight_, "its size is unknown");
    int64_t own = 0;
    for (const ir::FormatField& field : f_.fields)
      if (field.beside.empty()) own += field_bytes(field);
    n_ = 1;
    for (size_t i = 0; i + 1 < weight_.dims.size(); ++i) n_ *= weight_.dims[i];
    int64_t row = static_cast<int64_t>(*weight_.bytes) / n_;
    if (own == 0 || row % own != 0)
      return error(weight_, "its rows of " + std::to_string(row) + " bytes hold no whole blocks: expected a multiple of " + std::to_string(own));
    blocks_ = row / own;
    int64_t at = 0;
    for (const ir::FormatField& field : f_.fields) {
      if (!field.beside.empty()) {
        LUMEN_CHECK(find_beside(field));
        continue;
      }
      LUMEN_TRY(data, file_.data(weight_));
      places_.push_back({data.data + at, row, 1, 1, field_bytes(field), field.offset});
      places_.back().blocks = -own;  // entries of a block stand `own` bytes apart
      at += field_bytes(field);
    }
    return ok_status();
  }

  int64_t rows() const { return n_; }
  int64_t blocks() const { return blocks_; }
  const std::vector<Place>& places() const { return places_; }

 private:
  Error error(const CheckpointTensor& t, const std::string& what) const {
    return Error{file_.path() + ": tensor " + std::string(t.name) + ", for the format " + f_.name + ": " + what};
  }

  Status find_beside(const ir::FormatField& field) {
    std::string name = tensor_beside(weight_.name, field.beside);
    const CheckpointTensor* t = file_.find_tensor(name);
    if (!t) return Error{file_.path() + ": tensor " + std::string(weight_.name) + ", for the format " + f_.name + ": found no " + name};
    LUMEN_TRY(data, file_.data(*t));
    int64_t elements = t->element_count(), size = size_of(field.type);
    if (elements * size != static_cast<int64_t>(data.size))
      return error(*t, "expected elements of " + std::to_string(size) + " bytes, found " + file_.type_name(t->type_id));
    // As rows and columns; a list is a column where it has an entry for each row, or for each matrix of a stack.
    int64_t wide = t->dims.back(), high = elements / wide;
    if (t->dims.size() == 1 && wide > 1 && wide == n_) high = wide, wide = 1;
    int64_t length = blocks_ * f_.block;
    int64_t want_wide = field.elements ? (length + field.elements - 1) / field.elements : blocks_ * field.count;
    int64_t per_matrix = weight_.dims.size() >= 2 ? weight_.dims[weight_.dims.size() - 2] : 1, matrices = n_ / per_matrix, rows = field.rows;
    if (t->dims.size() == 1 && matrices > 1 && wide == matrices) high = wide, wide = 1, rows = per_matrix;
    int64_t want_high = matrices * ((per_matrix + rows - 1) / rows);
    if (matrices > 1 && per_matrix % rows != 0) return error(*t, "rows of several matrices share its entries");
    bool one_row = high == 1, one_column = wide == 1 && field.count == 1;
    if ((high != want_high && !one_row) || (wide != want_wide && !one_column))
      return error(*t, "expected the shape [" + std::to_string(want_high) + ", " + std::to_string(want_wide) + "], found " + shape_text(t->dims));
    Place p;
    p.data = data.data;
    p.row_bytes = one_row ? 0 : wide * size;
    p.rows = rows;
    p.blocks = one_column ? 0 : field.elements ? field.elements / f_.block : 1;
    p.bytes = field_bytes(field);
    p.to = field.offset;
    places_.push_back(p);
    return ok_status();
  }

  const ir::FormatType& f_;
  const Checkpoint& file_;
  const CheckpointTensor& weight_;
  int64_t n_ = 0, blocks_ = 0;
  std::vector<Place> places_;
};

// One field of all blocks of a row.
void copy_field(const Place& p, int64_t row, int64_t blocks, int64_t block_bytes, uint8_t* out) {
  const uint8_t* from = p.data + row / p.rows * p.row_bytes;
  uint8_t* to = out + p.to;
  size_t bytes = static_cast<size_t>(p.bytes);
  if (p.blocks < 0) {  // in the weight's own tensor
    for (int64_t b = 0; b < blocks; ++b) std::memcpy(to + b * block_bytes, from + b * -p.blocks, bytes);
  } else if (p.blocks <= 1) {
    int64_t step = p.blocks * p.bytes;
    for (int64_t b = 0; b < blocks; ++b) std::memcpy(to + b * block_bytes, from + b * step, bytes);
  } else {
    for (int64_t b = 0; b < blocks; ++b) std::memcpy(to + b * block_bytes, from + b / p.blocks * p.bytes, bytes);
  }
}

}  // namespace

std::string tensor_beside(std::string_view weight, const std::string& field) {
  size_t dot = weight.rfind('.');
  return std::string(weight.substr(0, dot == weight.npos ? 0 : dot + 1)) + field;
}

bool has_field_tensors(const ir::FormatType& f) {
  for (const ir::FormatField& field : f.fields)
    if (!field.beside.empty()) return true;
  return false;
}

bool fields_apart(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight) {
  for (const ir::FormatField& field : f.fields)
    if (!field.beside.empty() && !file.find_tensor(tensor_beside(weight.name, field.beside))) return false;
  return has_field_tensors(f);
}

Result<std::vector<int64_t>> field_tensor_dims(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight) {
  Places places(f, file, weight);
  LUMEN_CHECK(places.find());
  std::vector<int64_t> dims = weight.dims;
  dims.back() = places.blocks() * f.block;
  return dims;
}

Result<std::shared_ptr<Buffer>> assemble_blocks(const ir::FormatType& f, const Checkpoint& file, const CheckpointTensor& weight,
                                                ThreadTeam& team) {
  Places places(f, file, weight);
  LUMEN_CHECK(places.find());
  int64_t row_bytes = places.blocks() * f.block_bytes;
  LUMEN_TRY(buffer, Buffer::allocate(static_cast<size_t>(places.rows() * row_bytes)));
  auto out = std::make_shared<Buffer>(std::move(buffer));
  team.run(places.rows(), 16, [&](int, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (const Place& p : places.places()) copy_field(p, n, places.blocks(), f.block_bytes, out->data() + n * row_bytes);
  });
  return out;
}

Result<const uint8_t*> whole_rows(const ir::Type& type, const Checkpoint& file, const CheckpointTensor& weight, ThreadTeam& team,
                                  std::shared_ptr<Buffer>& together) {
  if (type.format && fields_apart(*type.format, file, weight)) {
    LUMEN_TRY(blocks, assemble_blocks(*type.format, file, weight, team));
    together = std::move(blocks);
    return static_cast<const uint8_t*>(together->data());
  }
  LUMEN_TRY(data, file.data(weight));
  return data.data;
}

}  // namespace lumen::engine
