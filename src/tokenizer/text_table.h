// TextTable: string -> id for a vocabulary, open addressing. Holds 8 bytes a slot and views of the texts, never copies:
// building one for 150,000 tokens must take milliseconds, for it happens at every start.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace lumen::tok {

inline uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Not for hostile keys: vocabularies only. (A text that makes many probes costs time linear in its own length at worst.)
inline uint64_t hash_text(std::string_view s) {
  constexpr uint64_t k0 = 0xa0761d6478bd642full, k1 = 0xe7037ed1a0b428dbull;
  uint64_t h = s.size() * k0;
  const char* p = s.data();
  size_t n = s.size();
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    h = mix(h ^ w, k1);
  }
  if (n) {
    uint64_t w = 0;
    std::memcpy(&w, p, n);
    h = mix(h ^ w, k1);
  }
  return mix(h ^ k0, k1);
}

class TextTable {
 public:
  // Inserts texts[i] -> i; of equal texts the first wins; empty ones are left out. `texts` must outlive the table.
  void build(std::span<const std::string_view> texts);
  int32_t find(std::string_view text) const { return find(text, hash_text(text)); }
  int32_t find(std::string_view text, uint64_t hash) const {
    const auto tag = static_cast<uint32_t>(hash >> 32);
    for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return -1;
      if (slot.tag == tag && texts_[static_cast<size_t>(slot.id)] == text) return slot.id;
    }
  }
  void prefetch(uint64_t hash) const { __builtin_prefetch(&slots_[hash & mask_]); }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;
  };
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  size_t mask_ = 0;
  std::span<const std::string_view> texts_;
};

}  // namespace lumen::tok
