// Test helper: GGUF files put together byte by byte, so that every field can hold what no writer would write.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/gguf_reader.h"

namespace lumen::test {

struct Bytes {
  std::string out;
  template <class T>
  Bytes& put(T v) {
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
    return *this;
  }
  Bytes& u32(uint32_t v) { return put(v); }
  Bytes& u64(uint64_t v) { return put(v); }
  Bytes& str(std::string_view s) {
    u64(s.size());
    out += s;
    return *this;
  }
  Bytes& raw(std::string_view s) {
    out += s;
    return *this;
  }
  Bytes& pad(size_t to) {
    out.resize((out.size() + to - 1) / to * to, '\0');
    return *this;
  }
};

inline Bytes header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
  return Bytes().raw("GGUF").u32(version).u64(tensors).u64(keys);
}

// Types 0 (4-byte scalars), 2 (32 elements in 18 bytes) and 999 (1 element in 2^30 bytes, to overflow with).
inline std::optional<BlockGeometry> test_geometry(uint32_t type) {
  if (type == 0) return BlockGeometry{1, 4};
  if (type == 2) return BlockGeometry{32, 18};
  if (type == 999) return BlockGeometry{1, 1 << 30};
  return std::nullopt;
}

// Parses from a heap block of exactly the right size, so that a sanitizer sees every byte read past the end.
struct Parsed {
  std::unique_ptr<uint8_t[]> bytes;
  Result<Checkpoint> result;
};
inline Parsed parse(std::string_view text) {
  auto exact = std::make_unique<uint8_t[]>(text.size());
  if (!text.empty()) std::memcpy(exact.get(), text.data(), text.size());
  auto result = parse_gguf({exact.get(), text.size()}, "test.gguf", test_geometry);
  return {std::move(exact), std::move(result)};
}

// Does with a checkpoint all that a program could: every getter, rendering, the ends of every tensor. Returns a checksum
// so that nothing is optimised away.
inline uint64_t use_everything(const Checkpoint& c) {
  uint64_t sum = c.version() + c.alignment();
  for (const MetaEntry& e : c.metadata()) {
    sum += e.value.render(8).size() + e.value.type_name().size();
    sum += c.get_int(e.key, 0, 1 << 20).ok() + c.get_float(e.key).ok() + c.get_bool(e.key).ok();
    if (auto s = c.get_string(e.key); s.ok()) sum += quoted(*s).size();
    if (auto v = c.get_ints(e.key); v.ok()) sum += v->size();
    if (auto v = c.get_floats(e.key); v.ok()) sum += v->size();
    if (auto v = c.get_bools(e.key); v.ok()) sum += v->size();
    if (auto v = c.get_strings(e.key); v.ok())
      for (std::string_view s : *v) sum += s.size() + (s.empty() ? 0 : static_cast<uint8_t>(s.back()));
  }
  for (const CheckpointTensor& t : c.tensors()) {
    auto d = c.data(t.name);
    sum += t.element_count() + t.room + t.data[0];
    if (d.ok()) sum += d->data[0] + d->data[d->size - 1];
    c.release(t);
  }
  return sum;
}

}  // namespace lumen::test
