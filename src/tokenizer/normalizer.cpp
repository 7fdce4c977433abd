// See normalizer.h.
#include "tokenizer/normalizer.h"

#include <cstring>

#include "tokenizer/unicode.h"

namespace lumen::tok {

Result<Charsmap> Charsmap::read(std::string_view bytes) {
  const Error bad{"tokenizer: the precompiled character map is damaged"};
  if (bytes.size() < 4) return bad;
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  const auto u32 = [&](size_t i) { return at(i) | at(i + 1) << 8 | at(i + 2) << 16 | at(i + 3) << 24; };
  const size_t blob = u32(0);
  if (blob % 4 != 0 || blob == 0 || blob > bytes.size() - 4) return bad;
  Charsmap map;
  map.units_.reserve(blob / 4);
  for (size_t i = 0; i < blob; i += 4) map.units_.push_back(u32(4 + i));
  map.replacements_ = bytes.substr(4 + blob);
  if (!map.replacements_.empty() && map.replacements_.back() != '\0') return bad;
  return map;
}

// A Darts unit: bits 0-7 label, 8 has a leaf, 10-30 offset (times 256 if bit 9); a leaf's unit holds the value and bit 31.
size_t Charsmap::replace_prefix(std::string_view text, std::string& out) const {
  const auto offset = [](uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6); };
  size_t node = offset(units_[0]), length = 0, value = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte == 0) break;
    node ^= byte;
    if (node >= units_.size()) break;
    const uint32_t unit = units_[node];
    if ((unit & (0x80000000u | 0xFF)) != byte) break;
    node ^= offset(unit);
    if (unit >> 8 & 1) {
      if (node >= units_.size()) break;
      const size_t candidate = units_[node] & 0x7FFFFFFFu;
      if (candidate >= replacements_.size()) break;
      value = candidate, length = i + 1;
    }
  }
  if (length) out.append(replacements_.data() + value);  // zero-terminated: read() checked that the last one is
  return length;
}

Result<Normalizer> Normalizer::create(const TokenizerSpec& spec) {
  Normalizer n;
  n.form_ = spec.normalization;
  n.has_charsmap_ = !spec.charsmap.empty();
  n.trim_ = spec.remove_extra_whitespaces && spec.kind != TokenizerKind::Bpe;
  n.prefix_ = spec.add_space_prefix;
  n.prefix_unless_space_ = spec.kind == TokenizerKind::Bpe && spec.byte_level;
  n.escape_ = spec.escape_spaces;
  n.valid_utf8_ = spec.kind == TokenizerKind::Bpe || n.has_charsmap_ || n.form_ != Normalization::None;
  if (n.has_charsmap_) {
    LUMEN_TRY(map, Charsmap::read(spec.charsmap));
    n.charsmap_ = std::move(map);
  }
  return n;
}

std::string Normalizer::map_characters(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    size_t used = charsmap_.replace_prefix(text.substr(pos), out);
    if (used == 0) {
      used = sequence_length(text[pos]);
      out.append(text, pos, used);
    }
    pos += used;
  }
  return out;
}

std::string_view Normalizer::apply(std::string_view text, std::string& buffer) const {
  const auto keep = [&](std::string made) { text = buffer = std::move(made); };
  if (valid_utf8_ && !is_valid_utf8(text)) keep(replace_invalid(text));
  if (!surely_normal(text, form_)) keep(normalize(text, form_));
  if (has_charsmap_) keep(map_characters(text));
  if (trim_) {
    std::string kept;
    for (const char c : text) {
      if (c != ' ' || (!kept.empty() && kept.back() != ' ')) kept.push_back(c);
    }
    if (!kept.empty() && kept.back() == ' ') kept.pop_back();
    keep(std::move(kept));
  }
  if (prefix_ && !text.empty() && !(prefix_unless_space_ && text.front() == ' ')) keep(std::string(1, ' ') += text);
  if (escape_ && text.find(' ') != text.npos) keep(escape_spaces(text));
  return text;
}

}  // namespace lumen::tok
