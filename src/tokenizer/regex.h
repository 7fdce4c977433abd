// Regex: a compiled PCRE2 pattern (JIT where the CPU has one) over valid UTF-8. PCRE2's header stays out of ours.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lumen::tok {

class Regex {
 public:
  static Result<Regex> compile(const std::string& pattern);
  struct Match {
    size_t begin, end;  // bytes
  };
  // The first match that begins at or after `from` (a character boundary). False: none. A match that exceeds PCRE2's limits
  // counts as none.
  bool find(std::string_view text, size_t from, Match& match) const;

 private:
  std::shared_ptr<void> code_;
};

// Tokenizers' patterns mean Unicode White_Space by \s; PCRE2 also counts U+180E. The pattern with \s (and \S outside of classes)
// written out.
std::string spell_out_whitespace(std::string_view pattern);

}  // namespace lumen::tok
