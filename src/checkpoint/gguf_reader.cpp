// Layout (all little-endian): magic, version, tensor count, key count; keys; tensor infos; padding to the alignment; data.
// A count is compared with the bytes left before anything is allocated for it. See ggml's docs/gguf.md for the format.
#include "checkpoint/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "base/assert.h"
#include "checkpoint/gguf_split.h"

namespace lumen {
namespace {

constexpr uint64_t kMaxEntries = 1 << 20;             // keys, tensors: a thousand times more than any model has
constexpr uint64_t kLeastKey = 8 + 1 + 4 + 1;         // bytes: length, one character, type, one byte of value
constexpr uint64_t kLeastTensor = 8 + 1 + 4 + 4 + 8;  // bytes: length, one character, rank, type, offset
constexpr uint32_t kMaxRank = 4;
constexpr uint64_t kMinAlignment = 8, kMaxAlignment = 65536, kDefaultAlignment = 32;

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& name, const GeometryOf& geometry) : bytes_(bytes), geometry_(geometry) {
    in_ = {bytes.data(), bytes.data() + bytes.size()};
    c_.path = name;
    c_.container = "gguf";
    c_.file_size = bytes.size();
  }

  Result<Checkpoint::Contents> read() {
    LUMEN_CHECK(read_header());
    LUMEN_CHECK(read_metadata());
    LUMEN_CHECK(read_alignment());
    LUMEN_CHECK(read_tensors());
    LUMEN_CHECK(place_tensors());
    return std::move(c_);
  }

 private:
  Error bad(const std::string& where, const std::string& what) const { return Error{c_.path + ": " + where + ": " + what}; }
  Error ends(const std::string& where, const std::string& before) const {
    return bad(where, "the file ends before its " + before + " (" + std::to_string(bytes_.size()) + " bytes in all)");
  }
  uint64_t position() const { return in_.at - bytes_.data(); }

  Status read_header() {
    uint32_t magic = 0;
    if (!in_.read(magic) || magic != 0x46554747)  // "GGUF"
      return bad("header", "expected a GGUF file (its first bytes GGUF), found " +
                               quoted({reinterpret_cast<const char*>(bytes_.data()), std::min<size_t>(4, bytes_.size())}));
    if (!in_.read(c_.version)) return ends("header", "version");
    if ((c_.version & 0xFFFF) == 0 && c_.version != 0) return bad("header", "a big-endian GGUF: expected a little-endian one");
    if (c_.version != 2 && c_.version != 3) return bad("header", "expected GGUF version 2 or 3, found " + std::to_string(c_.version));
    if (!in_.read(tensor_count_)) return ends("header", "tensor count");
    if (!in_.read(key_count_)) return ends("header", "metadata count");
    LUMEN_CHECK(check_count("tensor count", tensor_count_, kLeastTensor));
    return check_count("metadata count", key_count_, kLeastKey);
  }

  Status check_count(const std::string& field, uint64_t count, uint64_t least_bytes) const {
    uint64_t limit = std::min(kMaxEntries, in_.left() / least_bytes);
    if (count > limit)
      return bad("header", field + " is " + std::to_string(count) + ": expected at most " + std::to_string(limit) + " in the " +
                               std::to_string(in_.left()) + " bytes that follow");
    return ok_status();
  }

  Status read_metadata() {
    c_.metadata.reserve(key_count_);
    std::unordered_set<std::string_view> seen;
    std::string problem;
    for (uint64_t i = 0; i < key_count_; ++i) {
      auto where = [&] { return "metadata key " + std::to_string(i) + " of " + std::to_string(key_count_); };
      MetaValue key;
      if (!parse_value(in_, MetaType::String, key, problem)) return bad(where(), "its name: " + problem);
      MetaEntry e;
      e.key = std::get<std::string_view>(key.scalar());
      if (e.key.empty()) return bad(where(), "expected a name, found an empty one");
      if (!seen.insert(e.key).second) return bad(where(), "the name " + quoted(e.key) + " appears a second time: expected unique names");
      uint32_t type;
      if (!in_.read(type)) return ends("metadata key " + quoted(e.key), "type");
      if (type >= kMetaTypeCount)
        return bad("metadata key " + quoted(e.key),
                   "unknown value type " + std::to_string(type) + ": expected 0 to " + std::to_string(kMetaTypeCount - 1));
      if (!parse_value(in_, static_cast<MetaType>(type), e.value, problem)) return bad("metadata key " + quoted(e.key), problem);
      c_.metadata.push_back(e);
    }
    return ok_status();
  }

  Status read_alignment() {
    c_.alignment = kDefaultAlignment;
    for (const MetaEntry& e : c_.metadata) {
      if (e.key != "general.alignment") continue;
      MetaValue::Scalar s = e.value.type == MetaType::Array ? MetaValue::Scalar{false} : e.value.scalar();
      const uint64_t* n = std::get_if<uint64_t>(&s);
      if (!n || *n < kMinAlignment || *n > kMaxAlignment || !std::has_single_bit(*n))
        return bad("metadata key 'general.alignment'", "expected an unsigned power of two from " + std::to_string(kMinAlignment) + " to " +
                                                           std::to_string(kMaxAlignment) + ", found " + e.value.type_name() + " " +
                                                           e.value.render());
      c_.alignment = *n;
    }
    return ok_status();
  }

  Status read_tensors() {
    // The keys may have taken what the header's count was first compared with.
    if (tensor_count_ > in_.left() / kLeastTensor)
      return bad("header", "tensor count is " + std::to_string(tensor_count_) + ", but only " + std::to_string(in_.left()) +
                               " bytes follow the metadata: expected at least " + std::to_string(kLeastTensor) + " for each");
    c_.tensors.reserve(tensor_count_);
    std::unordered_set<std::string_view> seen;
    std::string problem;
    for (uint64_t i = 0; i < tensor_count_; ++i) {
      std::string where = "tensor " + std::to_string(i) + " of " + std::to_string(tensor_count_);
      MetaValue name;
      if (!parse_value(in_, MetaType::String, name, problem)) return bad(where, "its name: " + problem);
      CheckpointTensor t;
      t.name = std::get<std::string_view>(name.scalar());
      if (t.name.empty()) return bad(where, "expected a name, found an empty one");
      if (!seen.insert(t.name).second) return bad(where, "the name " + quoted(t.name) + " appears a second time: expected unique names");
      LUMEN_CHECK(read_shape(t));
      c_.tensors.push_back(std::move(t));
    }
    return ok_status();
  }

  static std::string where(const CheckpointTensor& t) { return "tensor " + quoted(t.name); }

  // Rank, dimensions (innermost first in the file), type and offset. A tensor of rank 0 is a single value.
  Status read_shape(CheckpointTensor& t) {
    uint32_t rank;
    if (!in_.read(rank)) return ends(where(t), "number of dimensions");
    if (rank > kMaxRank) return bad(where(t), std::to_string(rank) + " dimensions: expected at most " + std::to_string(kMaxRank));
    t.dims.assign(std::max<uint32_t>(rank, 1), 1);
    uint64_t elements = 1;
    for (uint32_t d = 0; d < rank; ++d) {
      uint64_t n;
      if (!in_.read(n)) return ends(where(t), "dimension " + std::to_string(d));
      if (n == 0) return bad(where(t), "dimension " + std::to_string(d) + " is 0: expected at least 1");
      if (__builtin_mul_overflow(elements, n, &elements) || elements > INT64_MAX)
        return bad(where(t), "dimension " + std::to_string(d) + " is " + std::to_string(n) + ": expected fewer than 2^63 elements in all");
      t.dims[rank - 1 - d] = static_cast<int64_t>(n);
    }
    if (!in_.read(t.type_id)) return ends(where(t), "type");
    if (!in_.read(t.offset)) return ends(where(t), "offset");
    return find_size(t, elements);
  }

  Status find_size(CheckpointTensor& t, uint64_t elements) const {
    std::optional<BlockGeometry> g = geometry_ ? geometry_(t.type_id) : std::nullopt;
    if (!g) return ok_status();
    LUMEN_ASSERT(g->elements > 0 && g->bytes > 0);
    uint64_t row = t.dims.back(), block = g->elements, bytes;
    if (row % block != 0)
      return bad(where(t), "rows of " + std::to_string(row) + " elements: expected a multiple of " + std::to_string(block) +
                               ", the block size of type " + std::to_string(t.type_id));
    if (__builtin_mul_overflow(elements / block, static_cast<uint64_t>(g->bytes), &bytes) || bytes > INT64_MAX)
      return bad(where(t),
                 std::to_string(elements) + " elements of type " + std::to_string(t.type_id) + ": expected fewer than 2^63 bytes");
    t.bytes = bytes;
    return ok_status();
  }

  // From offsets in the data section to places in the file; every tensor inside the file and clear of the others.
  Status place_tensors() {
    if (c_.tensors.empty()) return ok_status();
    uint64_t size = bytes_.size(), start = (position() + c_.alignment - 1) / c_.alignment * c_.alignment;
    uint64_t data_size = start < size ? size - start : 0;
    std::vector<CheckpointTensor*> order;
    for (CheckpointTensor& t : c_.tensors) {
      if (t.offset % c_.alignment != 0)
        return bad(where(t),
                   "offset " + std::to_string(t.offset) + ": expected a multiple of the alignment " + std::to_string(c_.alignment));
      uint64_t least = t.bytes.value_or(1);
      if (t.offset > data_size || least > data_size - t.offset)
        return bad(where(t), (t.bytes ? std::to_string(*t.bytes) + " bytes" : "data") + " at offset " + std::to_string(t.offset) +
                                 ": expected to end within the data section of " + std::to_string(data_size) +
                                 " bytes (is the file truncated?)");
      t.offset += start;
      t.data = bytes_.data() + t.offset;
      order.push_back(&t);
    }
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
    for (size_t i = 0; i < order.size(); ++i) {
      CheckpointTensor& t = *order[i];
      t.room = (i + 1 < order.size() ? order[i + 1]->offset : size) - t.offset;
      if (t.room < t.bytes.value_or(1))
        return bad(where(*order[i + 1]), "its data at byte " + std::to_string(order[i + 1]->offset) +
                                             " of the file overlaps that of tensor " + quoted(t.name) + ": expected separate ranges");
    }
    return ok_status();
  }

  std::span<const uint8_t> bytes_;
  const GeometryOf& geometry_;
  ByteCursor in_;
  uint64_t tensor_count_ = 0, key_count_ = 0;
  Checkpoint::Contents c_;
};

}  // namespace

Result<Checkpoint> parse_gguf(std::span<const uint8_t> bytes, const std::string& name, const GeometryOf& geometry) {
  LUMEN_TRY(contents, Reader(bytes, name, geometry).read());
  LUMEN_TRY(part, is_part(contents));
  if (part) return Error{name + ": header: one part of a model in several files: expected a whole one"};
  return Checkpoint(std::move(contents));
}

Result<Checkpoint> open_gguf(const std::string& path, const GeometryOf& geometry) {
  auto read = [&geometry](const std::string& at) -> Result<Checkpoint::Contents> {
    LUMEN_TRY(file, MappedFile::open(at));
    LUMEN_TRY(contents, Reader(file.bytes(), at, geometry).read());
    contents.files.push_back(std::move(file));
    return contents;
  };
  LUMEN_TRY(contents, read(path));
  LUMEN_TRY(part, is_part(contents));
  if (!part) return Checkpoint(std::move(contents));
  LUMEN_TRY(whole, join_parts(std::move(contents), read));
  return Checkpoint(std::move(whole));
}

}  // namespace lumen
