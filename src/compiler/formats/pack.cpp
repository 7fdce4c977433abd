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

class IntegerPacker {
 public:
  IntegerPacker(const BlockReader& reader, const PackedLayout& l)
      : reader_(reader), scratch_(reader), l_(l), form_(*reader.format().form), codes_(static_cast<size_t>(l.chunk) + 8) {}

  // One row of one chunk. `blocks`: the row's blocks from the chunk's first element on.
  void chunk_row(const uint8_t* blocks, int r, uint8_t* chunk) {
    int block = form_.block, block_bytes = reader_.format().block_bytes;
    for (int b = 0; b * block < l_.chunk; ++b) {
      const uint8_t* at = blocks + static_cast<int64_t>(b) * block_bytes;
      reader_.read_codes(at, codes_.data() + b * block, scratch_);
      reader_.begin_levels(at, scratch_);
      size_t level = 0;
      for (const auto& [levels, packed] : {std::pair{&form_.scale, &l_.scale}, std::pair{&form_.offset, &l_.offset}})
        for (size_t i = 0; i < levels->size(); ++i) put_level((*levels)[i], (*packed)[i], at, level++, b * block, r, chunk);
    }
    for (int u = 0; u * kUnit < l_.chunk; ++u) put_unit(codes_.data() + u * kUnit, r, chunk + l_.codes + static_cast<int64_t>(u) * l_.unit_bytes);
  }

 private:
  void put_level(const ir::ScaleLevel& level, const PackedLevel& p, const uint8_t* block, size_t number, int first, int r, uint8_t* chunk) {
    int size = size_of(p.stored);
    int64_t e0 = first / p.extent;
    for (size_t i = 0; i < level.value.size(); ++i) {
      int64_t e = e0 + static_cast<int64_t>(i);
      int64_t slot = p.pairs ? ((e / 2) * l_.rows + r) * 2 + e % 2 : e * l_.rows + r;
      store(chunk + p.offset + slot * size, reader_.level_bits(block, number, i, scratch_), size);
    }
  }

  // Codes of one unit (32 bytes) into the planes: vector v, dword r collects elements 4 * (v + bits * s) + i at bits * s.
  void put_unit(const uint8_t* codes, int r, uint8_t* unit) const {
    uint32_t c[8];
    std::memcpy(c, codes, sizeof c);  // bytes stay in their order: everything below works within bytes
    int low = 0;
    for (int bits : l_.planes) {
      uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
      for (int v = 0; v < bits; ++v) {
        uint32_t d = 0;
        for (int s = 0; s * bits < 8; ++s) d |= (c[v + bits * s] >> low & mask) << (bits * s);
        std::memcpy(unit + (static_cast<int64_t>(v) * l_.rows + r) * 4, &d, 4);
      }
      unit += static_cast<int64_t>(bits) * l_.rows * 4;
      low += bits;
    }
  }

  const BlockReader& reader_;
  BlockReader::Scratch scratch_;
  const PackedLayout& l_;
  const ir::IntForm& form_;
  std::vector<uint8_t> codes_;
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

void pack_float(const ir::Type& weight, const PackedLayout& l, const RowFn& row, int64_t g0, int64_t g1, uint8_t* out) {
  RowDecoder decoder(weight);
  int size = size_of(l.element);
  std::vector<float> values(static_cast<size_t>(l.k));
  for (int64_t g = g0; g < g1; ++g) {
    uint8_t* group = out + g * l.group_bytes();
    if ((g + 1) * l.rows > l.n) std::memset(group, 0, static_cast<size_t>(l.group_bytes()));
    for (int r = 0; r < l.rows && g * l.rows + r < l.n; ++r) {
      const uint8_t* from = row(g * l.rows + r);
      uint8_t* to = group + static_cast<int64_t>(r) * size;
      if (const uint8_t* stored = decoder.stored_as(l.element) ? from : nullptr) {
        for (int64_t k = 0; k < l.k; ++k) std::memcpy(to + k * l.rows * size, stored + k * size, static_cast<size_t>(size));
        continue;
      }
      decoder.decode(from, l.k, values.data());
      for (int64_t k = 0; k < l.k; ++k) store(to + k * l.rows * size, stored_bits(values[k], l.element), size);
    }
  }
}

}  // namespace

void pack(const ir::Type& weight, const PackedLayout& layout, const std::function<const uint8_t*(int64_t n)>& row, int64_t g0, int64_t g1,
          uint8_t* out) {
  LUMEN_ASSERT(g0 >= 0 && g1 <= layout.groups);
  if (layout.integer) pack_integer(weight, layout, row, g0, g1, out);
  else pack_float(weight, layout, row, g0, g1, out);
}

}  // namespace lumen::formats
