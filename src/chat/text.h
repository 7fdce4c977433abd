// Text as Python's str sees it, over UTF-8 bytes: code points, white space, case, splitting, quoting.
// A byte that is no UTF-8 counts as one character (0xDC00 + byte) and is written back as that byte.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lumen::chat {

struct Rune {
  uint32_t code;
  uint32_t bytes;
};

Rune decode_rune(std::string_view text, size_t at);  // at < text.size()
void append_rune(std::string& out, uint32_t code);
size_t rune_count(std::string_view text);
size_t rune_offset(std::string_view text, size_t index);  // byte offset of the index-th character; the size when past the end
std::vector<uint32_t> to_runes(std::string_view text);
std::string_view next_rune(std::string_view& text);  // takes the first character off; text must not be empty
std::string_view last_rune(std::string_view text);   // text must not be empty

bool is_space(uint32_t code);
bool is_line_break(uint32_t code);
bool is_printable(uint32_t code);
bool is_alpha(uint32_t code);
bool is_decimal(uint32_t code);  // category Nd
bool is_digit(uint32_t code);    // Nd and superscript digits
bool is_numeric(uint32_t code);  // any N category
bool is_upper(uint32_t code);
bool is_lower(uint32_t code);
bool is_title(uint32_t code);  // category Lt
inline bool is_cased(uint32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }
bool is_word(uint32_t code);  // a regular expression's \w

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);  // str.title(): a word is a run of cased characters
std::string swap_case(std::string_view text);

enum class Side : uint8_t { Left = 1, Right = 2, Both = 3 };
std::string_view strip(std::string_view text, Side side);                          // white space
std::string_view strip(std::string_view text, std::string_view chars, Side side);  // any of these characters

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);
// `limit` < 0: no limit. An empty separator is the caller's error.
std::vector<std::string_view> split(std::string_view text, std::string_view separator, int64_t limit);
std::vector<std::string_view> split_right(std::string_view text, std::string_view separator, int64_t limit);
std::vector<std::string_view> split_space(std::string_view text, int64_t limit);
std::vector<std::string_view> split_space_right(std::string_view text, int64_t limit);

size_t count_of(std::string_view text, std::string_view what);  // not overlapping; characters + 1 for an empty `what`
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit);

std::string escape_html(std::string_view text);
std::string quote(std::string_view text);  // Python's repr of a str
std::string float_text(double x);          // Python's repr of a float

}  // namespace lumen::chat
