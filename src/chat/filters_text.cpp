// Filters on text and numbers, tojson, default.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "chat/filters.h"
#include "chat/json.h"
#include "chat/pyformat.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

// str(input) handed to F, whose text is the result.
template <std::string (*F)(std::string_view)>
Value mapped(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "this filter", args, {});
  if (!b.ok()) return {};
  return with_str(input, in.budget,
                  [&](const std::string& s) { return in.budget.text(s.size()) ? make_text(F(s), in.budget).like(input) : Value(); });
}

std::string same_text(std::string_view s) { return std::string(s); }

Value safe_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "safe", args, {});
  return b.ok() ? Value::markup(str(input, in.budget)) : Value();
}

template <bool Force>
Value escape_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "escape", args, {});
  if (!b.ok() || (input.is_markup() && !Force)) return b.ok() ? input : Value();
  std::string text = str(input, in.budget);
  return in.budget.text(text.size() * 5) ? Value::markup(escape_html(text)) : Value();
}

// Jinja's title: a word begins behind white space or one of - ( { [ <
std::string filter_title(std::string_view text) {
  std::string out;
  bool start = true;
  while (!text.empty()) {
    std::string_view c = next_rune(text);
    bool boundary = std::string_view("-({[<").find(c) != std::string_view::npos || is_space(decode_rune(c, 0).code);
    out += boundary ? std::string(c) : start ? upper(c) : lower(c);
    start = boundary;
  }
  return out;
}

Value trim_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "trim", args, {"chars"});
  if (!b.ok()) return {};
  bool chars = b[0] && !b[0]->is_none();
  std::string set = chars ? b.text(0, "") : "";
  return with_str(input, in.budget, [&](const std::string& s) {
    return in.budget.text(s.size() + set.size()) ? Value(chars ? strip(s, set, Side::Both) : strip(s, Side::Both)).like(input) : Value();
  });
}

Value replace_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "replace", args, {"old", "new", "count"}, 2);
  if (!b.ok()) return {};
  int64_t limit = b[2] && b[2]->is_none() ? -1 : b.integer(2, -1);
  std::string from = b.text(0, ""), to = b.text(1, "");
  return with_str(input, in.budget, [&](const std::string& s) -> Value {
    if (!in.budget.text(s.size())) return {};
    size_t n = count_of(s, from);
    if (limit >= 0) n = std::min(n, static_cast<size_t>(limit));
    return in.budget.text(s.size() + n * to.size()) ? Value(replace(s, from, to, limit)) : Value();
  });
}

Value indent_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "indent", args, {"width", "first", "blank"});
  if (!b.ok()) return {};
  if (!input.is_string()) return in.fail(input.is_undefined() ? input.undefined_message() : "indent needs a str, not " + type_name(input));
  int64_t width = b[0] && b[0]->is_string() ? 0 : b.integer(0, 4);
  if (width > 4096) return in.fail("indent's width is above 4096");
  std::string prefix = b[0] && b[0]->is_string() ? b[0]->as_string() : std::string(static_cast<size_t>(std::max<int64_t>(0, width)), ' ');
  std::string source = input.as_string() + "\n";
  if (!in.budget.text(source.size())) return {};
  auto lines = split_lines(source);
  if (!in.budget.text(source.size() + std::min(lines.size(), in.budget.limits().max_text) * prefix.size())) return {};
  std::string out = b.flag(1, false) ? prefix : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i) out += "\n";
    if (i && (b.flag(2, false) || !lines[i].empty())) out += prefix;
    out += lines[i];
  }
  return out;
}

Value center_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "center", args, {"width"});
  if (!b.ok()) return {};
  Args widths;
  widths.positional.emplace_back(b.integer(0, 80));
  return in.call_method(Value(str(input, in.budget)), "center", widths);
}

Value truncate_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "truncate", args, {"length", "killwords", "end", "leeway"});
  int64_t want = b.integer(0, 255), leeway = b[3] && b[3]->is_none() ? 5 : b.integer(3, 5);
  std::string end = b.text(2, "..."), s = str(input, in.budget);
  if (!b.ok() || !in.budget.text(s.size())) return {};
  int64_t tail = static_cast<int64_t>(rune_count(end));
  if (want < tail || leeway < 0) return in.fail("truncate needs a length of at least " + std::to_string(tail) + " and no negative leeway");
  int64_t n = static_cast<int64_t>(rune_count(s));
  if (n - want <= leeway) return s;
  std::string_view head = std::string_view(s).substr(0, rune_offset(s, static_cast<size_t>(want - tail)));
  if (!b.flag(1, false)) head = head.substr(0, head.rfind(' '));
  return std::string(head) + end;
}

Value wordcount_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "wordcount", args, {});
  std::string s = str(input, in.budget);
  if (!b.ok() || !in.budget.text(s.size())) return {};
  int64_t n = 0;
  bool inside = false;
  for (uint32_t c : to_runes(s)) {
    n += is_word(c) && !inside;
    inside = is_word(c);
  }
  return n;
}

std::string percent_encode(std::string_view s, bool query) {
  std::string out;
  for (char c : s) {
    if (std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_.-~").find(c) != std::string_view::npos || (c == '/' && !query)) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      char buffer[4];
      std::snprintf(buffer, sizeof buffer, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += buffer;
    }
  }
  return out;
}

Value urlencode_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "urlencode", args, {});
  if (!b.ok()) return {};
  if (!input.is_list() && !input.is_dict()) {
    std::string s = str(input, in.budget);
    return in.budget.text(s.size() * 3) ? Value(percent_encode(s, false)) : Value();
  }
  Value pairs = input.is_dict() ? in.call_method(input, "items", {}) : input;
  Value::ListPtr items = iterate(pairs, in.budget);
  std::string out;
  for (size_t i = 0; items && i < items->items.size() && in.ok(); ++i) {
    Value::ListPtr pair = iterate(items->items[i], in.budget);
    if (!pair) return {};
    if (pair->items.size() != 2) return in.fail("urlencode needs pairs of a key and a value");
    std::string key = str(pair->items[0], in.budget), value = str(pair->items[1], in.budget);
    if (!in.budget.text(out.size() / 32 + (key.size() + value.size()) * 3)) return {};
    out += (i ? "&" : "") + percent_encode(key, true) + "=" + percent_encode(value, true);
    if (out.size() > in.budget.limits().max_text) in.budget.text(out.size());
  }
  return out;
}

Value format_filter(Interp& in, const Value& input, const Args& args) {
  if (!args.positional.empty() && !args.keyword.empty()) return in.fail("format takes positional or keyword arguments, not both");
  Value values = Value::list(args.positional, ListKind::Tuple);
  if (!args.keyword.empty()) {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [name, value] : args.keyword) entries.emplace_back(name, value);
    values = Value::dict(std::move(entries));
  }
  return make_text(format_percent(str(input, in.budget), values, in.budget), in.budget);
}

Value tojson_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  if (!b.ok()) return {};
  JsonStyle style;
  style.ascii = b.flag(0, false);
  style.sort_keys = b.flag(3, false);
  if (b[1] && !b[1]->is_none()) {
    style.indented = true;
    style.item_separator = ",";
    int64_t width = b[1]->is_string() ? 0 : b.integer(1, 0);
    if (width > 256) return in.fail("tojson's indent is above 256");
    style.indent = b[1]->is_string() ? b[1]->as_string() : std::string(static_cast<size_t>(std::max<int64_t>(0, width)), ' ');
  }
  if (b[2] && !b[2]->is_none()) {
    Value::ListPtr two = iterate(*b[2], in.budget);
    if (!two || two->items.size() != 2 || !two->items[0].is_string() || !two->items[1].is_string()) {
      return in.fail("tojson's separators must be two strings");
    }
    style.item_separator = two->items[0].as_string();
    style.key_separator = two->items[1].as_string();
  }
  return in.ok() ? make_text(to_json(input, style, in.budget), in.budget) : Value();
}

Value default_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "default", args, {"default_value", "boolean"});
  if (!b.ok()) return {};
  if (!input.is_undefined() && !(b.flag(1, false) && !truthy(input))) return input;
  return b[0] ? *b[0] : Value("");
}

Value attr_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "attr", args, {"name"}, 1);
  if (!b.ok()) return {};
  if (input.is_dict() && !b.text(0, "").starts_with("__") && !Interp::has_method(input, b.text(0, "")))
    return Value::undefined("'dict object' has no attribute '" + b.text(0, "") + "'");
  return in.get_attribute(input, b.text(0, ""));
}

// ---- numbers

std::optional<int64_t> parse_int(std::string_view text, int64_t base) {
  text = strip(text, Side::Both);
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    char c = static_cast<char>(text[1] | 32);
    if ((base == 16 && c == 'x') || (base == 8 && c == 'o') || (base == 2 && c == 'b')) text.remove_prefix(2);
  }
  std::string digits = negative ? "-" : "";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && i > 0 && i + 1 < text.size() && text[i - 1] != '_') continue;
    if (!std::isalnum(static_cast<unsigned char>(text[i]))) return std::nullopt;
    digits += text[i];
  }
  int64_t value = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (ec != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  std::string s(strip(text, Side::Both)), word = lower(s);
  if (!word.empty() && (word[0] == '+' || word[0] == '-')) word.erase(0, 1);
  bool named = word == "inf" || word == "infinity" || word == "nan";
  if (s.empty() || (!named && s.find_first_not_of("0123456789+-.eE_") != std::string::npos)) return std::nullopt;
  s.erase(std::remove(s.begin(), s.end(), '_'), s.end());
  char* end = nullptr;
  double x = std::strtod(s.c_str(), &end);
  if (*end) return std::nullopt;
  return x;
}

bool fits_int(double x) { return x > -9.2e18 && x < 9.2e18; }

Value int_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "int", args, {"default", "base"});
  int64_t base = b.integer(1, 10);
  if (!b.ok()) return {};
  if (base != 0 && (base < 2 || base > 36)) return in.fail("int's base must be between 2 and 36");
  Value otherwise = b[0] ? *b[0] : Value(0);
  if (input.is_undefined()) return in.fail(input.undefined_message());
  if (is_integer(input)) return integer_of(input);
  if (input.is(Kind::Float)) {
    if (std::isnan(input.as_float())) return otherwise;
    return fits_int(input.as_float()) ? Value(static_cast<int64_t>(input.as_float())) : in.fail("an integer does not fit 64 bits");
  }
  if (!input.is_string()) return otherwise;
  if (auto i = parse_int(input.as_string(), base == 0 ? 10 : base)) return *i;
  auto x = parse_float(input.as_string());
  return x && fits_int(*x) ? Value(static_cast<int64_t>(*x)) : otherwise;
}

Value float_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "float", args, {"default"});
  if (!b.ok()) return {};
  if (input.is_undefined()) return in.fail(input.undefined_message());
  if (is_number(input)) return number_of(input);
  std::optional<double> x = input.is_string() ? parse_float(input.as_string()) : std::nullopt;
  return x ? Value(*x) : b[0] ? *b[0] : Value(0.0);
}

Value abs_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "abs", args, {});
  if (!b.ok()) return {};
  if (!is_number(input)) return in.fail(input.is_undefined() ? input.undefined_message() : "abs needs a number, not " + type_name(input));
  if (input.is(Kind::Float)) return std::abs(input.as_float());
  return integer_of(input) < 0 ? negate(input, in.budget) : Value(integer_of(input));
}

Value round_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "round", args, {"precision", "method"});
  int64_t precision = b.integer(0, 0);
  std::string method = b.text(1, "common");
  if (!b.ok()) return {};
  if (!is_number(input)) return in.fail(input.is_undefined() ? input.undefined_message() : "round needs a number, not " + type_name(input));
  if (method != "common" && method != "ceil" && method != "floor") return in.fail("round's method must be common, ceil or floor");
  if (precision > 300 || precision < -300) return in.fail("round's precision is out of range");
  double scale = std::pow(10.0, static_cast<double>(precision)), x = number_of(input);
  if (method != "common") return (method == "ceil" ? std::ceil(x * scale) : std::floor(x * scale)) / scale;
  if (is_integer(input)) {
    if (precision >= 0) return integer_of(input);
    double tens = std::pow(10.0, static_cast<double>(-precision)), rounded = std::nearbyint(x / tens) * tens;
    return fits_int(rounded) ? Value(static_cast<int64_t>(rounded)) : in.fail("an integer does not fit 64 bits");
  }
  if (!std::isfinite(x)) return x;
  if (precision < 0) return std::nearbyint(x * scale) / scale;
  char buffer[700];  // the exact decimal value decides, as in Python
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), x);
  return std::strtod(buffer, nullptr);
}

}  // namespace

const FilterTable& text_filters() {
  static const FilterTable table = {{"upper", mapped<upper>},
                                    {"lower", mapped<lower>},
                                    {"capitalize", mapped<capitalize>},
                                    {"title", mapped<filter_title>},
                                    {"string", mapped<same_text>},
                                    {"safe", safe_filter},
                                    {"escape", escape_filter<false>},
                                    {"e", escape_filter<false>},
                                    {"forceescape", escape_filter<true>},
                                    {"trim", trim_filter},
                                    {"replace", replace_filter},
                                    {"indent", indent_filter},
                                    {"center", center_filter},
                                    {"truncate", truncate_filter},
                                    {"wordcount", wordcount_filter},
                                    {"urlencode", urlencode_filter},
                                    {"format", format_filter},
                                    {"tojson", tojson_filter},
                                    {"default", default_filter},
                                    {"d", default_filter},
                                    {"attr", attr_filter}};
  return table;
}

const FilterTable& number_filters() {
  static const FilterTable table = {{"int", int_filter}, {"float", float_filter}, {"abs", abs_filter}, {"round", round_filter}};
  return table;
}

}  // namespace lumen::chat
