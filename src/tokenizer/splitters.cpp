// See splitters.h. Each function follows its pattern's alternatives in order; a comment names the alternative.
#include "tokenizer/splitters.h"

#include "base/assert.h"
#include "tokenizer/unicode.h"

namespace lumen::tok {

namespace {

struct Known {
  std::string_view pattern;
  Splitter splitter;
};

#define CONTRACTIONS_ANY_CASE "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
#define CL100K_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
const Known kKnown[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", {SplitFamily::Gpt2}},
    {CONTRACTIONS_ANY_CASE R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})" CL100K_TAIL, {SplitFamily::Cl100k, 3}},
    {CONTRACTIONS_ANY_CASE R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" CL100K_TAIL, {SplitFamily::Cl100k, 1}},
    {CONTRACTIONS_ANY_CASE R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+)" CL100K_TAIL, {SplitFamily::Cl100k, 0}},
    {R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" CL100K_TAIL, {SplitFamily::Cl100k, 1, false}},
    {CONTRACTIONS_ANY_CASE R"([^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     {SplitFamily::Cl100k, 1, true, true}},
    {R"(\p{N})", {SplitFamily::Digits}},
    {R"([^\n]+|[\n]+)", {SplitFamily::Newlines}},
};

// A cursor over valid UTF-8: the character at a byte position, its class and where the next one begins.
struct Char {
  uint32_t code = 0;
  CharClass kind = kOther;
  size_t next = 0;
  bool end = true;
};

class Reader {
 public:
  Reader(std::string_view text, bool marks) : text_(text), letters_(marks ? kLetter | kMark : kLetter) {}
  Char at(size_t pos) const {
    if (pos >= text_.size()) return {};
    const auto first = static_cast<uint8_t>(text_[pos]);
    if (first < 0x80) return {first, kAsciiClass[first], pos + 1, false};
    const Utf8 c = read_utf8(text_.substr(pos));
    return {c.code, classify(c.code), pos + c.length, false};
  }
  bool letter(const Char& c) const { return !c.end && (c.kind & letters_); }
  bool number(const Char& c) const { return !c.end && c.kind == kNumber; }
  bool space(const Char& c) const { return !c.end && c.kind == kSpace; }
  bool symbol(const Char& c) const { return !c.end && !(c.kind & (letters_ | kNumber | kSpace)); }
  template <class Test>
  size_t run(size_t pos, Test test) const {  // the end of the run of characters that pass
    for (Char c = at(pos); test(c); c = at(pos)) pos = c.next;
    return pos;
  }

 private:
  std::string_view text_;
  int letters_;
};

// U+017F (long s) folds to s: an any-case 's matches it too.
uint32_t fold(uint32_t code) {
  if (code >= 'A' && code <= 'Z') return code + 32;
  return code == 0x17F ? 's' : code;
}

// The end of "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" at pos (which holds an apostrophe); 0: none.
size_t contraction_end(const Reader& r, size_t pos, bool any_case) {
  const Char first = r.at(pos + 1);
  if (first.end) return 0;
  const uint32_t a = any_case ? fold(first.code) : first.code;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return first.next;
  const Char second = r.at(first.next);
  if (second.end) return 0;
  const uint32_t b = any_case ? fold(second.code) : second.code;
  const bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return two ? second.next : 0;
}

// \s+(?!\S)|\s+ at pos, which holds white space: all of the run at the text's end, else all but its last character, else that one.
size_t whitespace_end(const Reader& r, size_t pos) {
  size_t last = pos, end = pos;
  for (Char c = r.at(pos); r.space(c); c = r.at(end)) last = end, end = c.next;
  if (r.at(end).end || last == pos) return end;
  return last;
}

size_t gpt2_end(const Reader& r, size_t pos) {
  const Char c = r.at(pos);
  if (c.code == '\'') {
    if (const size_t end = contraction_end(r, pos, false)) return end;
  }
  const size_t body = c.code == ' ' ? c.next : pos;  // " ?"
  const Char b = r.at(body);
  if (r.letter(b)) return r.run(body, [&](const Char& x) { return r.letter(x); });
  if (r.number(b)) return r.run(body, [&](const Char& x) { return r.number(x); });
  if (r.symbol(b)) return r.run(body, [&](const Char& x) { return r.symbol(x); });
  return whitespace_end(r, pos);
}

// \s*[\r\n]+ at pos: through the last newline of the run of white space; 0: none.
size_t newline_end(const Reader& r, size_t pos) {
  size_t end = 0;
  for (Char c = r.at(pos); r.space(c); c = r.at(c.next)) {
    if (c.code == '\r' || c.code == '\n') end = c.next;
  }
  return end;
}

size_t cl100k_end(const Reader& r, const Splitter& s, size_t pos) {
  const Char c = r.at(pos);
  if (s.contractions && c.code == '\'') {
    if (const size_t end = contraction_end(r, pos, true)) return end;
  }
  const auto letter = [&](const Char& x) { return r.letter(x); };
  if (r.letter(c)) return r.run(c.next, letter);
  if (r.number(c)) {  // before the optional prefix, which is no number
    size_t end = c.next;
    for (int n = 1; (s.max_digits == 0 || n < s.max_digits) && r.number(r.at(end)); ++n) end = r.at(end).next;
    return end;
  }
  if (c.code != '\r' && c.code != '\n' && r.letter(r.at(c.next))) return r.run(c.next, letter);  // [^\r\n\p{L}\p{N}]?\p{L}+
  const size_t body = c.code == ' ' ? c.next : pos;
  if (r.symbol(r.at(body))) {  // " ?[^\s\p{L}\p{N}]+[\r\n]*"
    const size_t end = r.run(body, [&](const Char& x) { return r.symbol(x); });
    return r.run(end, [](const Char& x) { return !x.end && (x.code == '\r' || x.code == '\n'); });
  }
  if (const size_t end = newline_end(r, pos)) return end;
  return whitespace_end(r, pos);
}

// \p{N} with the text between as it is.
size_t digits_end(const Reader& r, size_t pos) {
  const Char c = r.at(pos);
  if (r.number(c)) return c.next;
  return r.run(pos, [&](const Char& x) { return !x.end && !r.number(x); });
}

size_t newlines_end(const Reader& r, size_t pos) {
  const bool newline = r.at(pos).code == '\n';
  return r.run(pos, [&](const Char& x) { return !x.end && (x.code == '\n') == newline; });
}

}  // namespace

std::optional<Splitter> known_splitter(std::string_view pattern) {
  for (const Known& known : kKnown) {
    if (known.pattern == pattern) return known.splitter;
  }
  return std::nullopt;
}

void split(const Splitter& splitter, std::string_view text, std::vector<std::string_view>& pieces) {
  const Reader reader(text, splitter.marks);
  for (size_t pos = 0; pos < text.size();) {
    size_t end = pos;
    switch (splitter.family) {
      case SplitFamily::Gpt2:
        end = gpt2_end(reader, pos);
        break;
      case SplitFamily::Cl100k:
        end = cl100k_end(reader, splitter, pos);
        break;
      case SplitFamily::Digits:
        end = digits_end(reader, pos);
        break;
      case SplitFamily::Newlines:
        end = newlines_end(reader, pos);
        break;
    }
    LUMEN_ASSERT(end > pos);
    pieces.push_back(text.substr(pos, end - pos));
    pos = end;
  }
}

}  // namespace lumen::tok
