// See text_table.h.
#include "tokenizer/text_table.h"

#include <array>
#include <bit>

namespace lumen::tok {

void TextTable::build(std::span<const std::string_view> texts) {
  texts_ = texts;
  slots_.assign(std::bit_ceil(texts.size() * 3 / 2 + 1), {});  // at most 2/3 full
  mask_ = slots_.size() - 1;
  // Hashes a block ahead, so that the cache misses of a block's slots overlap.
  constexpr size_t kBlock = 32;
  std::array<uint64_t, kBlock> hashes;
  for (size_t begin = 0; begin < texts.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, texts.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hash_text(texts[begin + i]);
      prefetch(hashes[i]);
    }
    for (size_t i = 0; i < count; ++i) {
      const std::string_view text = texts[begin + i];
      if (text.empty()) continue;
      const auto tag = static_cast<uint32_t>(hashes[i] >> 32);
      size_t at = hashes[i] & mask_;
      bool known = false;
      for (; slots_[at].id >= 0 && !known; at = known ? at : (at + 1) & mask_) {
        known = slots_[at].tag == tag && texts[static_cast<size_t>(slots_[at].id)] == text;
      }
      if (!known) slots_[at] = {tag, static_cast<int32_t>(begin + i)};
    }
  }
}

}  // namespace lumen::tok
