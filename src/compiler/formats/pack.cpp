// Fills packed layouts (layout.h) row by row: codes of a chunk are read into bytes, then spread over the planes.
#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "base/assert.h"
#include "compiler/formats/block_reader.h"
#include "compiler/formats/layout.h"
#include "compiler/formats/row_decoder.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using RowFn = std::function<const uint8_t*(int64_t n)>;

void store(uint8_t* p, uint32_t bits, int size) {
  for (int i = 0; i < size; ++i) p[i] = static_cast<uint8_t>(bits >> 8 * i);
}

// Readers are made once per format and kept while the format lives.
std::shared_ptr<const BlockReader> reader_of(const ir::FormatRef& f) {
  struct Kept {
    std::weak_ptr<const ir::FormatType> format;
    std::shared_ptr<const BlockReader> reader;
  };
  static std::mutex mutex;
  static std::vector<Kept> kept;
  std::lock_guard lock(mutex);
  std::erase_if(kept, [](const Kept& k) { return k.format.expired(); });
  for (const Kept& k : kept)
    if (&k.reader->format() == f.get()) return k.reader;
  kept.push_back({f, std::make_shared<const BlockReader>(*f)});
  return kept.back().reader;
}

// A plane of one row of a unit: dword v collects elements 4 * (v + kBits * s) + i at bits kBits * s of byte i.
template <int kBits>
void put_plane(const uint32_t* c, int low, uint8_t* to, int64_t step) {
  constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
#pragma GCC unroll 8
  for (int v = 0; v < kBits; ++v) {
    uint32_t d = 0;
#pragma GCC unroll 8
    for (int s = 0; s * kBits < 8; ++s) d |= (c[v + kBits * s] >> low & kMask) << (kBits * s);
    std::memcpy(to + v * step, &d, 4);
  }
}

class IntegerPacker {
 public:
  IntegerPacker(const BlockReader& reader, const PackedLayout& l)
      : reader_(reader), scratch_(reader), l_(l), form_(*reader.format().form), codes_(static_cast<size_t>(l.chunk)) {
    blocks_.resize(static_cast<size_t>(l.chunk / form_.block));
    size_t level = 0;
    for (const PackedLevel& p : l.scale) plan_level(p, level++);
    for (const PackedLevel& p : l.offset) plan_level(p, level++);
  }

  // One row of one chunk. `blocks`: the row's blocks from the chunk's first element on.
  void chunk_row(const uint8_t* at, int r, uint8_t* chunk) {
    uint8_t* codes = codes_.data();
    for (const std::vector<Target>& targets : blocks_) {
      reader_.read_codes(at, codes, scratch_);
      reader_.begin_levels(at, scratch_);
      for (const Target& t : targets) {
        uint32_t bits = BlockReader::level_bits(at, *t.entry, scratch_);
        uint8_t* to = chunk + t.at + r * t.row_step;
        if (t.size == 1)
          *to = static_cast<uint8_t>(bits);
        else
          std::memcpy(to, &bits, t.size == 2 ? 2 : 4);
      }
      codes += form_.block;
      at += reader_.format().block_bytes;
    }
    for (int u = 0; u * kUnit < l_.chunk; ++u)
      put_unit(codes_.data() + u * kUnit, r, chunk + l_.codes + static_cast<int64_t>(u) * l_.unit_bytes);
  }

 private:
  struct Target {  // where one level entry of a block goes
    const BlockReader::Entry* entry;
    int64_t at;  // bytes from the start of the chunk, row 0
    int row_step, size;
  };

  void plan_level(const PackedLevel& p, size_t level) {
    int size = size_of(p.stored), per_block = form_.block / p.extent;
    for (int e = 0; e < l_.chunk / p.extent; ++e) {
      int64_t slot = p.pairs ? static_cast<int64_t>(e / 2) * l_.rows * 2 + e % 2 : static_cast<int64_t>(e) * l_.rows;
      Target t{&reader_.entry(level, static_cast<size_t>(e % per_block)), p.offset + slot * size, p.pairs ? 2 * size : size, size};
      blocks_[static_cast<size_t>(e / per_block)].push_back(t);
    }
  }

  // Codes of one unit (32 bytes) into the planes.
  void put_unit(const uint8_t* codes, int r, uint8_t* unit) const {
    uint32_t c[8];
    std::memcpy(c, codes, sizeof c);  // bytes stay in their order: everything below works within bytes
    int low = 0;
    int64_t step = static_cast<int64_t>(l_.rows) * 4;
    for (int bits : l_.planes) {
      uint8_t* to = unit + static_cast<int64_t>(r) * 4;
      if (bits == 8)
        put_plane<8>(c, low, to, step);
      else if (bits == 4)
        put_plane<4>(c, low, to, step);
      else if (bits == 2)
        put_plane<2>(c, low, to, step);
      else
        put_plane<1>(c, low, to, step);
      unit += bits * step;
      low += bits;
    }
  }

  const BlockReader& reader_;
  BlockReader::Scratch scratch_;
  const PackedLayout& l_;
  const ir::IntForm& form_;
  std::vector<uint8_t> codes_;
  std::vector<std::vector<Target>> blocks_;  // by block of the chunk
};

void pack_integer(const ir::Type& weight, const PackedLayout& l, const RowFn& row, int64_t g0, int64_t g1, uint8_t* out) {
  std::shared_ptr<const BlockReader> reader = reader_of(weight.format);
  IntegerPacker packer(*reader, l);
  int64_t step = static_cast<int64_t>(l.chunk) / reader->format().block * reader->format().block_bytes;
  std::vector<const uint8_t*> rows(static_cast<size_t>(l.rows));
  for (int64_t g = g0; g < g1; ++g) {
    uint8_t* group = out + g * l.group_bytes();
    bool whole = (g + 1) * l.rows <= l.n;
    if (!whole) std::memset(group, 0, static_cast<size_t>(l.group_bytes()));
    for (int r = 0; r < l.rows; ++r) rows[r] = g * l.rows + r < l.n ? row(g * l.rows + r) : nullptr;
    for (int64_t c = 0; c * l.chunk < l.k; ++c) {
      uint8_t* chunk = group + c * l.chunk_bytes;
      if (whole && l.codes >= 32) std::memset(chunk + l.codes - 32, 0, 32);  // padding before the codes
      for (int r = 0; r < l.rows; ++r)
        if (rows[r]) packer.chunk_row(rows[r] + c * step, r, chunk);
    }
  }
}

// A group of rows whose numbers are stored as they shall be: element k of all of them, side by side.
template <int kSize>
void interleave(const std::vector<const uint8_t*>& rows, int64_t length, int step, uint8_t* to) {
  for (int64_t k = 0; k < length; ++k, to += step * kSize)
    for (size_t r = 0; r < rows.size(); ++r) std::memcpy(to + r * kSize, rows[r] + k * kSize, kSize);
}

void pack_float(const ir::Type& weight, const PackedLayout& l, const RowFn& row, int64_t g0, int64_t g1, uint8_t* out) {
  RowDecoder decoder(weight);
  int size = size_of(l.element);
  bool as_stored = decoder.stored_as(l.element);
  std::vector<float> values(static_cast<size_t>(as_stored ? 0 : l.k));
  std::vector<const uint8_t*> rows;
  for (int64_t g = g0; g < g1; ++g) {
    uint8_t* group = out + g * l.group_bytes();
    if ((g + 1) * l.rows > l.n) std::memset(group, 0, static_cast<size_t>(l.group_bytes()));
    rows.clear();
    for (int r = 0; r < l.rows && g * l.rows + r < l.n; ++r) rows.push_back(row(g * l.rows + r));
    if (as_stored) {
      size == 2 ? interleave<2>(rows, l.k, l.rows, group) : interleave<4>(rows, l.k, l.rows, group);
      continue;
    }
    for (size_t r = 0; r < rows.size(); ++r) {
      uint8_t* to = group + static_cast<int64_t>(r) * size;
      decoder.decode(rows[r], l.k, values.data());
      for (int64_t k = 0; k < l.k; ++k) store(to + k * l.rows * size, stored_bits(values[k], l.element), size);
    }
  }
}

}  // namespace

void pack(const ir::Type& weight, const PackedLayout& layout, const std::function<const uint8_t*(int64_t n)>& row, int64_t g0, int64_t g1,
          uint8_t* out) {
  LUMEN_ASSERT(g0 >= 0 && g1 <= layout.groups);
  if (layout.integer)
    pack_integer(weight, layout, row, g0, g1, out);
  else
    pack_float(weight, layout, row, g0, g1, out);
}

}  // namespace lumen::formats
