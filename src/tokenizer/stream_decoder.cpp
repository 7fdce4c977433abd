// See stream_decoder.h.
#include "tokenizer/stream_decoder.h"

#include "tokenizer/unicode.h"

namespace lumen {

std::string Utf8Assembler::push(std::string_view bytes) {
  held_.append(bytes);
  std::string out;
  size_t pos = 0;
  while (pos < held_.size()) {
    const tok::Utf8 c = tok::read_utf8(std::string_view(held_).substr(pos));
    if (c.status == tok::Utf8Status::Truncated) break;
    if (c.status == tok::Utf8Status::Ok) {
      out.append(held_, pos, c.length);
    } else {
      out.append(tok::kReplacement);
    }
    pos += c.length;
  }
  held_.erase(0, pos);
  return out;
}

std::string Utf8Assembler::finish() {
  std::string out;
  if (!held_.empty()) out = tok::kReplacement;  // by construction one truncated sequence
  held_.clear();
  return out;
}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  std::string_view piece = tokenizer_->piece(id);
  if (strip_ && !piece.empty()) {
    if (piece.front() == ' ') piece.remove_prefix(1);
    strip_ = false;
  }
  return utf8_.push(piece);
}

}  // namespace lumen
