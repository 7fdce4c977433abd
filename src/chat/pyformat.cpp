// '%' and '{}' formatting: one Spec, two notations for it.
#include "chat/pyformat.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "chat/ops.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

constexpr int64_t kMaxWidth = 4096;  // characters; a wider field is refused
constexpr int64_t kMaxPrecision = 512;

struct Spec {
  std::string fill = " ";
  char align = 0;  // one of < > ^ =, 0 for the type's own
  char sign = '-';
  bool alternate = false, zero = false;
  int64_t width = 0, precision = -1;
  char group = 0;
  char type = 0;
};

std::string pad(std::string body, const Spec& spec, char natural) {
  int64_t missing = spec.width - static_cast<int64_t>(rune_count(body));
  if (missing <= 0) return body;
  auto fill = [&](int64_t n) {
    std::string s;
    while (n-- > 0) s += spec.fill;
    return s;
  };
  char align = spec.align ? spec.align : natural;
  if (align == '<') return body + fill(missing);
  if (align == '^') return fill(missing / 2) + body + fill(missing - missing / 2);
  size_t head = 0;
  if (align == '=') {
    if (!body.empty() && (body[0] == '-' || body[0] == '+' || body[0] == ' ')) head = 1;
    if (body.size() > head + 1 && body[head] == '0' &&
        (body[head + 1] == 'x' || body[head + 1] == 'X' || body[head + 1] == 'o' || body[head + 1] == 'b'))
      head += 2;
  }
  return body.substr(0, head) + fill(missing) + body.substr(head);
}

std::string digits_of(uint64_t n, unsigned base, bool capitals) {
  const char* digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string s;
  do {
    s += digits[n % base];
    n /= base;
  } while (n > 0);
  return {s.rbegin(), s.rend()};
}

std::string group_digits(const std::string& number, char mark) {
  size_t whole = number.find_first_not_of("0123456789");
  std::string head = number.substr(0, whole), out;
  for (size_t i = 0; i < head.size(); ++i) {
    if (i && (head.size() - i) % 3 == 0) out += mark;
    out += head[i];
  }
  return out + (whole == std::string::npos ? "" : number.substr(whole));
}

std::string with_sign(bool negative, const Spec& spec, const std::string& body) {
  if (negative) return "-" + body;
  return spec.sign == '+' || spec.sign == ' ' ? spec.sign + body : body;
}

std::string integer_text(int64_t value, const Spec& spec) {
  uint64_t n = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string body, prefix;
  switch (spec.type) {
    case 'x':
    case 'X':
      body = digits_of(n, 16, spec.type == 'X');
      prefix = spec.type == 'x' ? "0x" : "0X";
      break;
    case 'o':
      body = digits_of(n, 8, false);
      prefix = "0o";
      break;
    case 'b':
      body = digits_of(n, 2, false);
      prefix = "0b";
      break;
    default:
      body = digits_of(n, 10, false);
  }
  if (spec.group) body = group_digits(body, spec.group);
  return with_sign(value < 0, spec, (spec.alternate ? prefix : "") + body);
}

std::string float_digits(double x, const Spec& spec) {
  if (spec.type == 0 && spec.precision < 0) {
    std::string s = float_text(std::abs(x));
    return spec.group ? group_digits(s, spec.group) : s;
  }
  char type = spec.type == '%' ? 'f' : spec.type == 0 ? 'g' : spec.type == 'F' ? 'f' : spec.type;
  char format[] = {'%', '.', '*', type, 0};
  char buffer[1024];
  double shown = std::abs(spec.type == '%' ? x * 100 : x);
  std::snprintf(buffer, sizeof buffer, format, static_cast<int>(spec.precision < 0 ? 6 : spec.precision), shown);
  std::string s = buffer;
  if (spec.type == 0 && s.find_first_not_of("0123456789") == std::string::npos) s += ".0";
  if (spec.group) s = group_digits(s, spec.group);
  return spec.type == '%' ? s + "%" : s;
}

bool is_float_type(char t) { return t && std::string_view("eEfFgG%").find(t) != std::string_view::npos; }
bool is_int_type(char t) { return t && std::string_view("dxXobc").find(t) != std::string_view::npos; }

std::string format_number(const Value& v, const Spec& spec, Budget& budget) {
  Spec s = spec;
  if (s.zero && !s.align) s.fill = "0", s.align = '=';
  if (v.is(Kind::Float) || is_float_type(s.type)) {
    if (is_int_type(s.type)) return budget.fail(std::string("format '") + s.type + "' needs an int, not float"), "";
    double x = number_of(v);
    return pad(with_sign(std::signbit(x), s, float_digits(x, s)), s, '>');
  }
  if (s.type == 'c') {
    std::string out;
    if (integer_of(v) < 0 || integer_of(v) > 0x10FFFF) return budget.fail("format 'c' needs a code point"), "";
    append_rune(out, static_cast<uint32_t>(integer_of(v)));
    return pad(out, s, '<');
  }
  return pad(integer_text(integer_of(v), s), s, '>');
}

std::string cut(std::string text, int64_t precision) {
  return precision < 0 ? text : text.substr(0, rune_offset(text, static_cast<size_t>(precision)));
}

// One number of a specification; fails above `most`.
bool read_number(std::string_view format, size_t& at, int64_t most, int64_t& out, Budget& budget) {
  out = 0;
  bool any = false;
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at, any = true) {
    out = out * 10 + (format[at] - '0');
    if (out > most) return budget.fail("a format's width or precision is above " + std::to_string(most)), false;
  }
  return any;
}

class Percent {
 public:
  Percent(std::string_view format, const Value& values, Budget& budget) : format_(format), values_(values), budget_(budget) {
    if (values.is_list() && (values.as_list().kind == ListKind::Tuple || values.as_list().kind == ListKind::Group))
      tuple_ = &values.as_list().items;
  }
  std::string run() {
    std::string out;
    while (at_ < format_.size() && budget_.text(out.size() / 64)) {
      size_t mark = format_.find('%', at_);
      out += format_.substr(at_, mark - at_);
      if (mark == std::string_view::npos) break;
      at_ = mark + 1;
      out += conversion();
      if (out.size() > budget_.limits().max_text) budget_.text(out.size());
    }
    bool unused = tuple_ ? used_ < tuple_->size() : used_ == 0 && !values_.is_dict() && !named_ && !(values_.is_list());
    if (budget_.ok() && unused) budget_.fail("not all values were used by the '%' format");
    return out;
  }

 private:
  Value next() {
    size_t n = used_++;
    if (tuple_ ? n < tuple_->size() : n == 0) return tuple_ ? (*tuple_)[n] : values_;
    budget_.fail("too few values for the '%' format");
    return {};
  }
  void flags(Spec& spec) {
    for (; at_ < format_.size(); ++at_) {
      switch (format_[at_]) {
        case '-':
          spec.align = '<';
          continue;
        case '+':
          spec.sign = '+';
          continue;
        case ' ':
          spec.sign = spec.sign == '+' ? '+' : ' ';
          continue;
        case '#':
          spec.alternate = true;
          continue;
        case '0':
          spec.zero = true;
          continue;
        default:
          return;
      }
    }
  }
  void number(int64_t most, int64_t& out) {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      Value v = next();
      if (!is_integer(v) || integer_of(v) > most || integer_of(v) < -most) return budget_.fail("'*' in a '%' format needs a small int");
      out = integer_of(v);
    } else {
      read_number(format_, at_, most, out, budget_);
    }
  }
  std::string conversion() {
    const Value* named = nullptr;
    if (at_ < format_.size() && format_[at_] == '(') {
      size_t end = format_.find(')', at_);
      if (end == std::string_view::npos) return budget_.fail("a '%(' has no ')'"), "";
      named = values_.get(format_.substr(at_ + 1, end - at_ - 1));
      if (!named) return budget_.fail("the '%' format names a key the dict does not have"), "";
      named_ = true;
      at_ = end + 1;
    }
    Spec spec;
    flags(spec);
    number(kMaxWidth, spec.width);
    if (spec.width < 0) spec.align = '<', spec.width = -spec.width;
    if (at_ < format_.size() && format_[at_] == '.') ++at_, number(kMaxPrecision, spec.precision = 0);
    if (at_ >= format_.size()) return budget_.fail("the '%' format is incomplete"), "";
    spec.type = format_[at_++];
    if (spec.type == '%') return "%";
    return convert(spec, named ? *named : next());
  }
  std::string convert(Spec& spec, const Value& v) {
    if (!budget_.ok()) return "";
    switch (spec.type) {
      case 's':
        return pad(cut(str(v, budget_), spec.precision), spec, '>');
      case 'r':
      case 'a':
        return pad(cut(repr(v, budget_), spec.precision), spec, '>');
      case 'c':
        if (v.is_string()) return pad(v.as_string(), spec, '>');
        [[fallthrough]];
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        if (!is_number(v)) break;
        if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
        if (v.is(Kind::Float) && spec.type != 'd') break;
        double x = number_of(v);
        if (v.is(Kind::Float) && !(std::abs(x) < 9e18)) break;
        return format_number(v.is(Kind::Float) ? Value(static_cast<int64_t>(x)) : v, spec, budget_);
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (is_number(v)) return format_number(v, spec, budget_);
        break;
      default:
        return budget_.fail(std::string("unknown '%' conversion '") + spec.type + "'"), "";
    }
    budget_.fail(v.is_undefined() ? v.undefined_message() : std::string("'%") + spec.type + "' needs a number, not " + type_name(v));
    return "";
  }

  std::string_view format_;
  const Value& values_;
  Budget& budget_;
  const std::vector<Value>* tuple_ = nullptr;
  size_t at_ = 0, used_ = 0;
  bool named_ = false;
};

// [[fill]align][sign][#][0][width][group][.precision][type]
bool read_spec(std::string_view text, Spec& spec, Budget& budget) {
  auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t at = 0;
  if (!text.empty()) {
    Rune r = decode_rune(text, 0);
    if (r.bytes < text.size() && is_align(text[r.bytes])) {
      spec.fill = text.substr(0, r.bytes), spec.align = text[r.bytes], at = r.bytes + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0], at = 1;
    }
  }
  auto take = [&](char c) { return at < text.size() && text[at] == c ? (++at, true) : false; };
  if (take('+'))
    spec.sign = '+';
  else if (take(' '))
    spec.sign = ' ';
  else
    take('-');
  spec.alternate = take('#');
  spec.zero = take('0');
  read_number(text, at, kMaxWidth, spec.width, budget);
  if (take(','))
    spec.group = ',';
  else if (take('_'))
    spec.group = '_';
  if (take('.') && !read_number(text, at, kMaxPrecision, spec.precision, budget))
    return budget.fail("a format's precision is missing"), false;
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size() || (spec.type && !is_float_type(spec.type) && !is_int_type(spec.type) && spec.type != 's' && spec.type != 'n')) {
    budget.fail("invalid format specification " + quote(text));
  }
  if (spec.type == 'n') spec.type = 0;
  return budget.ok();
}

std::string format_value(const Value& v, std::string_view text, Budget& budget) {
  Spec spec;
  if (!read_spec(text, spec, budget)) return "";
  if (is_number(v) && !(v.is(Kind::Bool) && text.empty())) {
    if (spec.type == 's') return budget.fail("format 's' needs a str, not " + type_name(v)), "";
    return format_number(v, spec, budget);
  }
  if (spec.type && spec.type != 's') return budget.fail(std::string("format '") + spec.type + "' needs a number, not " + type_name(v)), "";
  if (!text.empty() && !v.is_string() && !v.is(Kind::Bool)) return budget.fail("a " + type_name(v) + " takes no format specification"), "";
  return pad(cut(str(v, budget), spec.precision), spec, '<');
}

}  // namespace

std::string format_percent(std::string_view format, const Value& values, Budget& budget) { return Percent(format, values, budget).run(); }

std::string format_braces(std::string_view format, const FieldLookup& look_up, Budget& budget) {
  std::string out;
  size_t automatic = 0;
  for (size_t at = 0; at < format.size() && budget.spend();) {
    char c = format[at];
    if ((c == '{' || c == '}') && at + 1 < format.size() && format[at + 1] == c) {
      out += c, at += 2;
      continue;
    }
    if (c == '}') return budget.fail("single '}' in a format"), "";
    if (c != '{') {
      size_t end = std::min(format.find_first_of("{}", at), format.size());
      out += format.substr(at, end - at), at = end;
      continue;
    }
    size_t end = format.find('}', at);
    if (end == std::string_view::npos) return budget.fail("single '{' in a format"), "";
    std::string_view body = format.substr(at + 1, end - at - 1), spec;
    if (body.find('{') != std::string_view::npos) return budget.fail("nested fields in a format are not supported"), "";
    if (size_t colon = body.find(':'); colon != std::string_view::npos) spec = body.substr(colon + 1), body = body.substr(0, colon);
    char conversion = 0;
    if (body.size() >= 2 && body[body.size() - 2] == '!') conversion = body.back(), body.remove_suffix(2);
    std::string field(body);
    if (field.empty() || field[0] == '.' || field[0] == '[') field = std::to_string(automatic++) + field;
    Value v = look_up(field);
    if (!budget.ok()) return "";
    if (conversion == 'r' || conversion == 'a') v = repr(v, budget);
    if (conversion == 's') v = str(v, budget);
    out += format_value(v, spec, budget);
    if (!budget.text(out.size() > budget.limits().max_text ? out.size() : 32)) return "";
    at = end + 1;
  }
  return out;
}

}  // namespace lumen::chat
