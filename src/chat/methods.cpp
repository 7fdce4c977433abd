// The methods a template may call on strings, dicts, lists, `loop` and cyclers. None of them changes a value.
#include <algorithm>
#include <unordered_map>

#include "chat/interp.h"
#include "chat/pyformat.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

using MethodFn = Value (*)(Interp& in, const Value& self, const Args& args);
using Methods = std::unordered_map<std::string_view, MethodFn>;

const std::string* string_argument(Interp& in, const Bound& b, size_t i, const char* what) {
  if (b[i]->is_string()) return &b[i]->as_string();
  in.fail(b[i]->is_undefined() ? b[i]->undefined_message() : std::string(what) + " needs a str, not " + type_name(*b[i]));
  return nullptr;
}

Value strings(Interp& in, const std::vector<std::string_view>& parts, ListKind kind = ListKind::List) {
  if (!in.budget.spend(parts.size() * 2)) return {};
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string_view part : parts) items.emplace_back(part);
  return make_list(std::move(items), kind, in.budget);
}

bool pay(Interp& in, const Value& self) { return in.budget.text(self.as_string().size()); }

// ---- str: shape

template <std::string (*F)(std::string_view)>
Value mapped(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "this str method", args, {});
  return b.ok() && pay(in, self) ? make_text(F(self.as_string()), in.budget).like(self) : Value();
}

template <Side S>
Value strip_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "strip", args, {"chars"});
  if (!b.ok() || !pay(in, self)) return {};
  if (!b[0] || b[0]->is_none()) return Value(strip(self.as_string(), S)).like(self);
  const std::string* chars = string_argument(in, b, 0, "strip");
  return chars && in.budget.spend(chars->size()) ? Value(strip(self.as_string(), *chars, S)).like(self) : Value();
}

template <bool Right>
Value split_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "split", args, {"sep", "maxsplit"});
  int64_t limit = b.integer(1, -1);
  if (!b.ok() || !pay(in, self)) return {};
  const std::string& s = self.as_string();
  if (!b[0] || b[0]->is_none()) return strings(in, Right ? split_space_right(s, limit) : split_space(s, limit));
  const std::string* separator = string_argument(in, b, 0, "split");
  if (!separator) return {};
  if (separator->empty()) return in.fail("split's separator must not be empty");
  return strings(in, Right ? split_right(s, *separator, limit) : split(s, *separator, limit));
}

template <bool Right>
Value partition_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "partition", args, {"sep"}, 1);
  const std::string* separator = b.ok() ? string_argument(in, b, 0, "partition") : nullptr;
  if (!separator || !pay(in, self)) return {};
  if (separator->empty()) return in.fail("partition's separator must not be empty");
  std::string_view s = self.as_string();
  size_t at = Right ? s.rfind(*separator) : s.find(*separator);
  if (at != std::string_view::npos) return strings(in, {s.substr(0, at), *separator, s.substr(at + separator->size())}, ListKind::Tuple);
  return Right ? strings(in, {"", "", s}, ListKind::Tuple) : strings(in, {s, "", ""}, ListKind::Tuple);
}

Value splitlines_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "splitlines", args, {"keepends"});
  return b.ok() && pay(in, self) ? strings(in, split_lines(self.as_string(), b.flag(0, false))) : Value();
}

Value join_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "join", args, {"iterable"}, 1);
  Value::ListPtr items = b.ok() ? iterate(*b[0], in.budget) : nullptr;
  if (!items) return {};
  std::string out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    const Value& v = items->items[i];
    if (!v.is_string()) return in.fail("join needs strings, but item " + std::to_string(i) + " is a " + type_name(v));
    size_t more = v.as_string().size() + (i ? self.as_string().size() : 0);
    if (!in.budget.text(out.size() + more > in.budget.limits().max_text ? out.size() + more : more) || !in.budget.spend()) return {};
    if (i) out += self.as_string();
    out += v.as_string();
  }
  return out;
}

Value replace_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "replace", args, {"old", "new", "count"}, 2);
  int64_t limit = b.integer(2, -1);
  if (!b.ok()) return {};
  const std::string *from = string_argument(in, b, 0, "replace"), *to = string_argument(in, b, 1, "replace");
  if (!from || !to || !pay(in, self)) return {};
  size_t n = count_of(self.as_string(), *from);
  if (limit >= 0) n = std::min(n, static_cast<size_t>(limit));
  if (!in.budget.text(self.as_string().size() + n * to->size())) return {};
  return replace(self.as_string(), *from, *to, limit);
}

template <char Align>
Value pad_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "padding", args, {"width", "fillchar"}, 1);
  int64_t width = b.integer(0, 0);
  std::string fill = b.text(1, " ");
  if (!b.ok() || !pay(in, self)) return {};
  if (rune_count(fill) != 1) return in.fail("the fill character must be one character");
  int64_t missing = width - static_cast<int64_t>(rune_count(self.as_string()));
  if (missing <= 0) return self;
  if (!in.budget.text(self.as_string().size() + std::min(static_cast<size_t>(missing), in.budget.limits().max_text) * fill.size()))
    return {};
  // Python puts the odd one on the left when the width is odd.
  int64_t left = Align == '<' ? 0 : Align == '>' ? missing : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.as_string();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

Value zfill_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "zfill", args, {"width"}, 1);
  int64_t width = b.integer(0, 0);
  if (!b.ok() || !pay(in, self)) return {};
  std::string s = self.as_string();
  int64_t missing = width - static_cast<int64_t>(rune_count(s));
  if (missing <= 0) return self;
  size_t n = std::min(static_cast<size_t>(missing), in.budget.limits().max_text + 1);
  if (!in.budget.text(s.size() + n)) return {};
  return s.insert(!s.empty() && (s[0] == '-' || s[0] == '+'), n, '0');
}

template <bool Prefix>
Value remove_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "removeprefix", args, {"affix"}, 1);
  const std::string* affix = b.ok() ? string_argument(in, b, 0, "removeprefix") : nullptr;
  if (!affix || !pay(in, self)) return {};
  std::string_view s = self.as_string();
  if (Prefix ? s.starts_with(*affix) : s.ends_with(*affix)) Prefix ? s.remove_prefix(affix->size()) : s.remove_suffix(affix->size());
  return s;
}

Value format_method(Interp& in, const Value& self, const Args& args) {
  auto look_up = [&](std::string_view field) -> Value {
    size_t end = std::min(field.find_first_of(".["), field.size());
    std::string first(field.substr(0, end));
    const Value* v = nullptr;
    if (!first.empty() && first.size() < 7 && first.find_first_not_of("0123456789") == std::string::npos) {
      size_t i = std::stoul(first);
      if (i < args.positional.size()) v = &args.positional[i];
    }
    for (const auto& [name, value] : args.keyword) {
      if (name == first) v = &value;
    }
    if (!v) return in.fail("format has no value for the field '" + first + "'");
    Value value = *v;
    while (end < field.size() && in.ok()) {
      bool item = field[end] == '[';
      size_t stop = item ? field.find(']', end) : std::min(field.find_first_of(".[", end + 1), field.size());
      if (stop == std::string_view::npos) return in.fail("a field of the format has no ']'");
      std::string name(field.substr(end + 1, stop - end - 1));
      bool number = item && !name.empty() && name.size() < 10 && name.find_first_not_of("0123456789") == std::string::npos;
      value = number ? in.get_item(value, static_cast<int64_t>(std::stoul(name)))
              : item ? in.get_item(value, name)
                     : in.get_attribute(value, name);
      end = item ? stop + 1 : stop;
    }
    return value;
  };
  return make_text(format_braces(self.as_string(), look_up, in.budget), in.budget);
}

// ---- str: questions

// The part of a str that (start, end) of find, count and startswith selects; `offset` is where it begins, in characters.
std::string_view window(Interp& in, const Value& self, const Bound& b, int64_t& offset, bool& valid) {
  std::string_view s = self.as_string();
  int64_t n = static_cast<int64_t>(rune_count(s)), from = 0, to = n;
  auto bound = [&](size_t i, int64_t& out) {
    if (!b[i] || b[i]->is_none()) return;
    if (!is_integer(*b[i])) return void(in.fail("a position must be an int"));
    out = integer_of(*b[i]);
    if (out < 0) out = std::max<int64_t>(0, out < -n ? 0 : out + n);
  };
  bound(1, from);
  bound(2, to);
  valid = from <= n && from <= to;
  to = std::min(to, n);
  if (!valid) return {};
  offset = from;
  size_t begin = rune_offset(s, static_cast<size_t>(from));
  s.remove_prefix(begin);
  return s.substr(0, rune_offset(s, static_cast<size_t>(to - from)));
}

template <bool Right, bool MustFind>
Value find_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "find", args, {"sub", "start", "end"}, 1);
  const std::string* what = b.ok() ? string_argument(in, b, 0, "find") : nullptr;
  if (!what || !pay(in, self)) return {};
  int64_t offset = 0;
  bool valid = true;
  std::string_view s = window(in, self, b, offset, valid);
  size_t at = !valid ? std::string_view::npos : Right ? s.rfind(*what) : s.find(*what);
  if (at != std::string_view::npos) return offset + static_cast<int64_t>(rune_count(s.substr(0, at)));
  return MustFind ? in.fail("index did not find the text") : Value(-1);
}

Value count_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "count", args, {"sub", "start", "end"}, 1);
  const std::string* what = b.ok() ? string_argument(in, b, 0, "count") : nullptr;
  if (!what || !pay(in, self)) return {};
  int64_t offset = 0;
  bool valid = true;
  std::string_view s = window(in, self, b, offset, valid);
  return valid ? static_cast<int64_t>(count_of(s, *what)) : 0;
}

template <bool Prefix>
Value affix_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, Prefix ? "startswith" : "endswith", args, {"affix", "start", "end"}, 1);
  if (!b.ok() || !pay(in, self)) return {};
  int64_t offset = 0;
  bool valid = true;
  std::string_view s = window(in, self, b, offset, valid);
  auto matches = [&](const std::string& affix) { return valid && (Prefix ? s.starts_with(affix) : s.ends_with(affix)); };
  if (b[0]->is_list() && b[0]->as_list().kind == ListKind::Tuple) {
    for (const Value& v : b[0]->as_list().items) {
      if (!in.budget.spend()) return {};
      if (!v.is_string()) return in.fail("startswith and endswith need strings, not " + type_name(v));
      if (matches(v.as_string())) return true;
    }
    return false;
  }
  const std::string* affix = string_argument(in, b, 0, Prefix ? "startswith" : "endswith");
  return affix && matches(*affix);
}

// All characters satisfy F, and there is at least one.
template <bool (*F)(uint32_t)>
Value all_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "this str method", args, {});
  if (!b.ok() || !pay(in, self)) return {};
  std::vector<uint32_t> runes = to_runes(self.as_string());
  return !runes.empty() && std::all_of(runes.begin(), runes.end(), F);
}

bool is_alnum(uint32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_ascii(uint32_t c) { return c < 128; }

template <bool (*Wanted)(uint32_t), bool (*Unwanted)(uint32_t)>
Value case_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "this str method", args, {});
  if (!b.ok() || !pay(in, self)) return {};
  bool any = false;
  for (uint32_t c : to_runes(self.as_string())) {
    if (Unwanted(c) || is_title(c)) return false;
    any |= Wanted(c);
  }
  return any;
}

Value istitle_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "istitle", args, {});
  if (!b.ok() || !pay(in, self)) return {};
  bool any = false, in_word = false;
  for (uint32_t c : to_runes(self.as_string())) {
    bool head = is_upper(c) || is_title(c);
    if (head ? in_word : is_lower(c) && !in_word) return false;
    in_word = head || is_lower(c);
    any |= in_word;
  }
  return any;
}

Value isidentifier_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "isidentifier", args, {});
  if (!b.ok() || !pay(in, self)) return {};
  std::vector<uint32_t> runes = to_runes(self.as_string());
  return !runes.empty() && !is_numeric(runes[0]) && std::all_of(runes.begin(), runes.end(), is_word);
}

Value isascii_method(Interp& in, const Value& self, const Args& args) {
  return self.as_string().empty() ? Value(true) : all_method<is_ascii>(in, self, args);
}

Value isprintable_method(Interp& in, const Value& self, const Args& args) {
  return self.as_string().empty() ? Value(true) : all_method<is_printable>(in, self, args);
}

const Methods& string_methods() {
  static const Methods methods = {{"upper", mapped<upper>},
                                  {"lower", mapped<lower>},
                                  {"casefold", mapped<lower>},
                                  {"capitalize", mapped<capitalize>},
                                  {"title", mapped<title>},
                                  {"swapcase", mapped<swap_case>},
                                  {"strip", strip_method<Side::Both>},
                                  {"lstrip", strip_method<Side::Left>},
                                  {"rstrip", strip_method<Side::Right>},
                                  {"split", split_method<false>},
                                  {"rsplit", split_method<true>},
                                  {"splitlines", splitlines_method},
                                  {"partition", partition_method<false>},
                                  {"rpartition", partition_method<true>},
                                  {"join", join_method},
                                  {"replace", replace_method},
                                  {"center", pad_method<'^'>},
                                  {"ljust", pad_method<'<'>},
                                  {"rjust", pad_method<'>'>},
                                  {"zfill", zfill_method},
                                  {"removeprefix", remove_method<true>},
                                  {"removesuffix", remove_method<false>},
                                  {"format", format_method},
                                  {"find", find_method<false, false>},
                                  {"rfind", find_method<true, false>},
                                  {"index", find_method<false, true>},
                                  {"rindex", find_method<true, true>},
                                  {"count", count_method},
                                  {"startswith", affix_method<true>},
                                  {"endswith", affix_method<false>},
                                  {"isalpha", all_method<is_alpha>},
                                  {"isdigit", all_method<is_digit>},
                                  {"isdecimal", all_method<is_decimal>},
                                  {"isnumeric", all_method<is_numeric>},
                                  {"isalnum", all_method<is_alnum>},
                                  {"isspace", all_method<is_space>},
                                  {"isascii", isascii_method},
                                  {"isprintable", isprintable_method},
                                  {"isupper", case_method<is_upper, is_lower>},
                                  {"islower", case_method<is_lower, is_upper>},
                                  {"istitle", istitle_method},
                                  {"isidentifier", isidentifier_method}};
  return methods;
}

// ---- dict, list, loop, cycler

enum class Part : uint8_t { Items, Keys, Values };

template <Part P>
Value view_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "this dict method", args, {});
  if (!b.ok()) return {};
  std::vector<Value> items;
  for (const auto& [key, value] : self.as_dict().entries()) {
    if (!in.budget.spend()) return {};
    items.push_back(P == Part::Keys ? key : P == Part::Values ? value : Value::list({key, value}, ListKind::Tuple));
  }
  return make_list(std::move(items), ListKind::View, in.budget);
}

Value get_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "get", args, {"key", "default"}, 1);
  if (!b.ok()) return {};
  if (!Dict::can_be_key(*b[0]) && !b[0]->is_undefined()) return in.fail("a " + type_name(*b[0]) + " cannot be a dict's key");
  const Value* found = self.as_dict().find(*b[0]);
  return found ? *found : b[1] ? *b[1] : Value(nullptr);
}

Value copy_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "copy", args, {});
  return b.ok() ? self : Value();
}

Value list_index_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "index", args, {"value"}, 1);
  if (!b.ok()) return {};
  const auto& items = self.as_list().items;
  for (size_t i = 0; i < items.size() && in.budget.spend(); ++i) {
    if (equal(items[i], *b[0], in.budget)) return i;
  }
  return in.fail("index did not find the value");
}

Value list_count_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "count", args, {"value"}, 1);
  int64_t n = 0;
  if (!b.ok()) return {};
  for (const Value& v : self.as_list().items) {
    if (!in.budget.spend()) return {};
    n += equal(v, *b[0], in.budget);
  }
  return n;
}

Value loop_cycle_method(Interp& in, const Value& self, const Args& args) {
  if (args.positional.empty() || !args.keyword.empty()) return in.fail("loop.cycle needs at least one item, and no keywords");
  return args.positional[static_cast<Loop&>(self.as_object()).index % args.positional.size()];
}

Value loop_changed_method(Interp& in, const Value& self, const Args& args) {
  auto& loop = static_cast<Loop&>(self.as_object());
  if (!args.keyword.empty()) return in.fail("loop.changed takes no keywords");
  Value now = make_list(args.positional, ListKind::Tuple, in.budget);
  if (loop.has_changed && equal(loop.changed, now, in.budget)) return false;
  if (!loop.has_changed) in.note_changed(self.object_ptr());
  loop.has_changed = true;
  loop.changed = now;
  return true;
}

Value cycler_next_method(Interp& in, const Value& self, const Args& args) {
  auto& cycler = static_cast<Cycler&>(self.as_object());
  Bound b(in, "next", args, {});
  Value v = cycler.items[cycler.at];
  cycler.at = (cycler.at + 1) % cycler.items.size();
  return v;
}

Value cycler_reset_method(Interp& in, const Value& self, const Args& args) {
  Bound b(in, "reset", args, {});
  static_cast<Cycler&>(self.as_object()).at = 0;
  return nullptr;
}

const Methods* methods_of(const Value& v) {
  static const Methods dict = {{"items", view_method<Part::Items>},
                               {"keys", view_method<Part::Keys>},
                               {"values", view_method<Part::Values>},
                               {"get", get_method},
                               {"copy", copy_method}};
  static const Methods list = {{"index", list_index_method}, {"count", list_count_method}, {"copy", copy_method}};
  static const Methods tuple = {{"index", list_index_method}, {"count", list_count_method}};
  static const Methods loop = {{"cycle", loop_cycle_method}, {"changed", loop_changed_method}};
  static const Methods cycler = {{"next", cycler_next_method}, {"reset", cycler_reset_method}};
  if (v.is_string()) return &string_methods();
  if (v.is_dict()) return &dict;
  if (v.is_list()) return v.as_list().kind == ListKind::List ? &list : v.as_list().kind <= ListKind::Range ? &tuple : nullptr;
  if (v.is_object(ObjectKind::Loop)) return &loop;
  return v.is_object(ObjectKind::Cycler) ? &cycler : nullptr;
}

}  // namespace

bool Interp::has_method(const Value& object, std::string_view name) {
  const Methods* methods = methods_of(object);
  return methods && methods->count(name) > 0;
}

Value Interp::call_method(const Value& self, const std::string& name, const Args& args) {
  if (!budget.spend()) return {};
  const Methods* methods = methods_of(self);
  auto found = methods ? methods->find(name) : Methods::const_iterator();
  if (!methods || found == methods->end()) return fail("a " + type_name(self) + " has no method '" + name + "'");
  return found->second(*this, self, args);
}

}  // namespace lumen::chat
