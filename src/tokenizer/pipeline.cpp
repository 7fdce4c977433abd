// See pipeline.h.
#include "tokenizer/pipeline.h"

#include <utf8proc.h>

#include <algorithm>

#include "tokenizer/unicode.h"

namespace lumen::tok {
namespace {

bool is_space(uint32_t c) { return classify(c) & kSpace; }
bool is_word(uint32_t c) { return c == '_' || (classify(c) & (kLetter | kNumber | kMark)); }
bool is_chinese(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}
int category(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// The last character's first byte.
size_t last_begin(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

template <class Use>
void each_character(std::string_view text, Use use) {
  for (size_t at = 0; at < text.size();) {
    Utf8 c = read_utf8(text.substr(at));
    use(c.code, text.substr(at, c.length));
    at += c.length;
  }
}

std::string lowercase(std::string_view text) {
  std::string out;
  each_character(text, [&](uint32_t c, std::string_view) {
    append_utf8(out, c == 0x130 ? 'i' : static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    if (c == 0x130) append_utf8(out, 0x307);  // İ is two characters in lower case
  });
  return out;
}

std::string without_marks(std::string_view text, bool all) {
  std::string out;
  each_character(text, [&](uint32_t c, std::string_view bytes) {
    int k = category(c);
    if (k != UTF8PROC_CATEGORY_MN && (!all || (k != UTF8PROC_CATEGORY_MC && k != UTF8PROC_CATEGORY_ME))) out += bytes;
  });
  return out;
}

std::string clean(std::string_view text) {
  std::string out;
  each_character(text, [&](uint32_t c, std::string_view bytes) {
    bool kept_control = c == '\t' || c == '\n' || c == '\r';
    int k = category(c);
    bool other = k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CN || k == UTF8PROC_CATEGORY_CO;
    if (c == 0 || c == 0xFFFD || (other && !kept_control)) return;
    if (kept_control || is_space(c)) out += ' ';
    else out += bytes;
  });
  return out;
}

std::string nmt(std::string_view text) {
  std::string out;
  each_character(text, [&](uint32_t c, std::string_view bytes) {
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
    bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                 c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    if (space) out += ' ';
    else out += bytes;
  });
  return out;
}

std::string space_chinese(std::string_view text) {
  std::string out;
  each_character(text, [&](uint32_t c, std::string_view bytes) {
    if (is_chinese(c)) out += ' ', out += bytes, out += ' ';
    else out += bytes;
  });
  return out;
}

// The next match at or after `from`; empty ones too.
bool find(const TextPattern& p, const std::optional<Regex>& regex, std::string_view text, size_t from, Regex::Match& m) {
  if (p.regex) return from <= text.size() && regex->find(text, from, m);
  size_t at = p.text.empty() ? text.npos : text.find(p.text, from);
  m = {at, at + p.text.size()};
  return at != text.npos;
}

// Where to look on after a match.
size_t after(const Regex::Match& m, std::string_view text) {
  if (m.end > m.begin) return m.end;
  return m.end < text.size() ? m.end + sequence_length(text[m.end]) : text.size() + 1;
}

Result<std::optional<Regex>> compile(const TextPattern& p) {
  if (!p.regex) return std::optional<Regex>();
  LUMEN_TRY(regex, Regex::compile(p.text));
  return std::optional<Regex>(std::move(regex));
}

}  // namespace

size_t space_at_end(std::string_view text) {
  size_t left = text.size();
  while (left > 0) {
    size_t at = last_begin(text.substr(0, left));
    if (!is_space(read_utf8(text.substr(at, left - at)).code)) break;
    left = at;
  }
  return text.size() - left;
}

size_t space_at_begin(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    Utf8 c = read_utf8(text.substr(at));
    if (!is_space(c.code)) break;
    at += c.length;
  }
  return at;
}

bool ends_in_word(std::string_view text) { return !text.empty() && is_word(read_utf8(text.substr(last_begin(text))).code); }
bool begins_with_word(std::string_view text) { return !text.empty() && is_word(read_utf8(text).code); }

Result<TextPipeline> TextPipeline::create(const Pipeline& pipeline) {
  TextPipeline p;
  for (const NormalizeStep& s : pipeline.normalize) {
    Normalize n{s, {}, {}};
    if (s.kind == NormalizeStep::Replace) {
      LUMEN_TRY(regex, compile(s.pattern));
      n.regex = std::move(regex);
    }
    if (s.kind == NormalizeStep::Charsmap) {
      LUMEN_TRY(map, Charsmap::read(s.content));
      n.charsmap = std::move(map);
    }
    p.normalize_.push_back(std::move(n));
  }
  for (const CutStep& s : pipeline.cut) {
    Cut c{s, {}, {}};
    if (s.kind == CutStep::Pattern) {
      // The splitters return every piece of the text; so does Isolated, and Removed of what matches nothing where all is matched.
      if (s.pattern.regex && s.behavior == CutStep::Isolated) c.splitter = known_splitter(s.pattern.text);
      if (!c.splitter) {
        LUMEN_TRY(regex, compile(s.pattern));
        c.regex = std::move(regex);
      }
    }
    p.cut_.push_back(std::move(c));
  }
  return p;
}

std::string TextPipeline::normalized(const Normalize& n, std::string_view text) {
  const NormalizeStep& s = n.step;
  switch (s.kind) {
    case NormalizeStep::Form:
      return surely_normal(text, s.form) ? std::string(text) : tok::normalize(text, s.form);
    case NormalizeStep::Lowercase:
      return lowercase(text);
    case NormalizeStep::Strip: {
      if (s.left) text.remove_prefix(space_at_begin(text));
      if (s.right) text.remove_suffix(space_at_end(text));
      return std::string(text);
    }
    case NormalizeStep::StripAccents:
    case NormalizeStep::StripNonspacing:
      return without_marks(text, s.kind == NormalizeStep::StripAccents);
    case NormalizeStep::Prepend:
      return text.empty() ? std::string() : s.content + std::string(text);
    case NormalizeStep::Clean:
      return clean(text);
    case NormalizeStep::SpaceChinese:
      return space_chinese(text);
    case NormalizeStep::Nmt:
      return nmt(text);
    case NormalizeStep::Charsmap: {
      std::string out;
      for (size_t at = 0; at < text.size();) {
        size_t used = n.charsmap->replace_prefix(text.substr(at), out);
        if (used == 0) out.append(text, at, used = sequence_length(text[at]));
        at += used;
      }
      return out;
    }
    case NormalizeStep::Replace: {
      std::string out;
      size_t done = 0;
      Regex::Match m;
      for (size_t from = 0; find(s.pattern, n.regex, text, from, m); from = after(m, text)) {
        out.append(text, done, m.begin - done);
        out += s.content;
        done = m.end;
      }
      return out.append(text, done);
    }
  }
  return std::string(text);
}

std::string_view TextPipeline::normalize(std::string_view text, std::string& buffer) const {
  for (const Normalize& n : normalize_) {
    std::string made = normalized(n, text);
    text = buffer = std::move(made);
  }
  return text;
}

void TextPipeline::cut_at_matches(const Cut& c, std::string_view text, std::vector<std::string_view>& out) {
  // Matches and what lies between them, in order.
  struct Part {
    size_t begin, end;
    bool match;
  };
  thread_local std::vector<Part> parts, merged;
  parts.clear();
  auto add = [&](size_t begin, size_t end, bool match) {
    if (end > begin) parts.push_back({begin, end, match != c.step.invert});
  };
  size_t done = 0;
  Regex::Match m;
  for (size_t from = 0; find(c.step.pattern, c.regex, text, from, m); from = after(m, text)) {
    add(done, m.begin, false);
    add(m.begin, m.end, true);
    done = m.end;
  }
  add(done, text.size(), false);
  merged.clear();
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& p = parts[i];
    bool before = i > 0 && parts[i - 1].match, joins = false;
    switch (c.step.behavior) {
      case CutStep::Removed:
        if (p.match) continue;
        break;
      case CutStep::Isolated:
        break;
      case CutStep::MergedWithPrevious:
        joins = p.match && i > 0 && !before;
        break;
      case CutStep::MergedWithNext:  // what follows a match joins it, unless it is a match itself
        joins = !p.match && before;
        break;
      case CutStep::Contiguous:
        joins = i > 0 && p.match == before;
        break;
    }
    if (joins) merged.back().end = p.end;
    else merged.push_back(p);
  }
  for (const Part& p : merged) out.push_back(text.substr(p.begin, p.end - p.begin));
}

void TextPipeline::cut(std::string_view text, bool first, std::vector<std::string_view>& words, std::deque<std::string>& made) const {
  words.clear();
  if (text.empty()) return;
  words.push_back(text);
  std::vector<std::string_view> pieces;
  for (const Cut& c : cut_) {
    pieces.swap(words);
    words.clear();
    bool begins = first;  // whether a piece begins the whole text
    for (std::string_view piece : pieces) {
      const CutStep& s = c.step;
      switch (s.kind) {
        case CutStep::Pattern:
          if (c.splitter) tok::split(*c.splitter, piece, words);
          else cut_at_matches(c, piece, words);
          break;
        case CutStep::PrefixSpace:
          words.push_back(piece.starts_with(' ') ? piece : made.emplace_back(" " + std::string(piece)));
          break;
        case CutStep::FixedLength:
          for (size_t at = 0; at < piece.size();) {
            size_t end = at;
            for (int i = 0; i < s.length && end < piece.size(); ++i) end += sequence_length(piece[end]);
            words.push_back(piece.substr(at, end - at));
            at = end;
          }
          break;
        case CutStep::Metaspace: {
          std::string out;
          for (char ch : piece) ch == ' ' ? out += s.replacement : out += ch;
          bool wanted = s.prepend == CutStep::Always || (s.prepend == CutStep::First && begins);
          if (wanted && !out.starts_with(s.replacement)) out = s.replacement + out;
          const std::string& kept = made.emplace_back(std::move(out));
          if (!s.split) {
            words.push_back(kept);
            break;
          }
          Cut at{{}, {}, {}};
          at.step.behavior = CutStep::MergedWithNext;
          at.step.pattern.text = s.replacement;
          cut_at_matches(at, kept, words);
          break;
        }
      }
      begins = false;
    }
  }
}

}  // namespace lumen::tok
