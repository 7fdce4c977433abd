// Codes: every value a code expression takes is listed, and the smallest representation that gives them all is chosen.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_set>

#include "compiler/formats/listing.h"
#include "compiler/formats/parts.h"
#include "compiler/formats/shape_key.h"

namespace lumen::formats {
namespace {

using ir::ExprPtr;
using ir::Op;

constexpr int kMaxCodebook = 16;  // entries that a look-up in registers takes

// One code: its values, and those of the integer subexpressions that see the same bits.
struct CodeValues {
  ExprPtr code;
  std::vector<ExprPtr> nodes;  // arguments before users
  Listing v;                   // output 0: code; 1 + i: nodes[i]
};

void collect(const ExprPtr& e, BitAnalysis& bits, const BitList& support, std::unordered_set<const ir::Expr*>& seen,
             std::vector<ExprPtr>& out) {
  if (!seen.insert(e.get()).second) return;
  if (bits.support(e) != support) return;
  for (const ExprPtr& a : e->args) collect(a, bits, support, seen, out);
  if (is_integer(e->type)) out.push_back(e);
}

std::string element(int k) { return "element " + std::to_string(k); }

// A node that counts 0, 1, … as the code does from its lowest value, or the code itself, shifted.
ExprPtr dense_raw(const CodeValues& c, double unit, double lo) {
  for (size_t n = 0; n < c.nodes.size(); ++n) {
    bool same = true;
    for (size_t s = 0; s < c.v.of[0].size() && same; ++s) same = c.v.of[0][s] / unit - lo == c.v.of[1 + n][s];
    if (same) return ir::make_cast(c.nodes[n], DType::U8);
  }
  for (size_t n = 0; n < c.nodes.size(); ++n) {
    if (c.v.of[1 + n] != c.v.of[0] || unit != 1) continue;
    return ir::make_cast(ir::make_op(Op::Sub, {ir::make_cast(c.nodes[n], DType::I32), ir::make_int(static_cast<int64_t>(lo))}), DType::U8);
  }
  ExprPtr e = c.code;
  if (is_float(e->type)) {
    if (unit != 1) e = ir::make_op(Op::Div, {to_f32(e), ir::make_float(unit)});
  } else if (unit != 1) {
    e = ir::make_op(Op::Div, {ir::make_cast(e, DType::I32), ir::make_int(static_cast<int64_t>(unit))});
  }
  return ir::make_cast(ir::make_op(Op::Sub, {ir::make_cast(e, DType::I32), ir::make_int(static_cast<int64_t>(lo))}), DType::U8);
}

struct Codebook {
  std::vector<double> entries;  // NaN: not seen
  std::vector<ExprPtr> raw;
  int bits = 0;
};

// Extends the code book by node n of an element; false where they disagree or the node is no small index.
bool fits_codebook(const CodeValues& c, size_t n, double unit, std::vector<double>& entries) {
  std::vector<double> next = entries;
  for (size_t s = 0; s < c.v.of[0].size(); ++s) {
    double i = c.v.of[1 + n][s], value = c.v.of[0][s] / unit;
    if (i < 0 || i >= kMaxCodebook) return false;
    double& e = next[static_cast<size_t>(i)];
    if (!std::isnan(e) && e != value) return false;
    e = value;
  }
  entries = std::move(next);
  return true;
}

bool find_codebook(const std::vector<CodeValues>& all, double unit, Codebook& book) {
  book.entries.assign(kMaxCodebook, std::numeric_limits<double>::quiet_NaN());
  for (const CodeValues& c : all) {
    size_t n = 0;
    while (n < c.nodes.size() && !fits_codebook(c, n, unit, book.entries)) ++n;
    if (n == c.nodes.size()) return false;
    book.raw.push_back(ir::make_cast(c.nodes[n], DType::U8));
  }
  while (std::isnan(book.entries.back())) book.entries.pop_back();
  book.bits = std::max(1, static_cast<int>(std::bit_width(book.entries.size() - 1)));
  return true;
}

void use_codebook(const Codebook& book, ir::IntForm& form) {
  double lo = INFINITY, hi = -INFINITY;
  for (double e : book.entries) {
    if (std::isnan(e)) continue;
    lo = std::min(lo, e);
    hi = std::max(hi, e);
  }
  form.bias = lo >= -128 && hi <= 127 ? 0 : static_cast<int>(lo);
  form.bits = book.bits;
  form.raw_max = static_cast<int>(book.entries.size()) - 1;
  for (int i = 0; i < 1 << book.bits; ++i) {  // what no index reaches is filled with the lowest value
    double e = i <= form.raw_max && !std::isnan(book.entries[i]) ? book.entries[i] : lo;
    form.codebook.push_back(static_cast<int>(e) - form.bias);
  }
}

std::string too_many_bits(Subject& s, int k, const BitList& support) {
  std::string r = element(k) + " takes its code from " + std::to_string(support.size()) + " bits, at most " + std::to_string(kMaxGroupBits) +
                  " are looked at";
  size_t shared =
      static_cast<size_t>(std::count_if(support.begin(), support.end(), [&](int b) { return s.map.users[static_cast<size_t>(b)] > 1; }));
  if (shared > 0) r += " (" + std::to_string(shared) + " of them are shared with other elements, but not by runs of 16 as a scale's are)";
  return r;
}

// A code book made of the values seen, where they are few: magnitudes in ascending order, and above them a bit for the sign where there
// are negative ones, since files keep signs apart; else the values in ascending order. False where it is no narrower than `bits`.
bool make_codebook(const std::vector<CodeValues>& all, const std::vector<double>& seen, double unit, int bits, Codebook& book) {
  if (seen.size() > size_t{kMaxCodebook}) return false;
  double lo = seen.front() / unit, hi = seen.back() / unit;
  std::vector<double> sizes;
  for (double v : seen) sizes.push_back(std::fabs(v) / unit);
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  auto width = [](size_t count) { return std::max(1, static_cast<int>(std::bit_width(count - 1))); };
  int sign_bit = width(sizes.size());
  book.bits = width(seen.size());
  bool by_size = lo < 0 && sign_bit + 1 <= book.bits;
  std::vector<double> raw_of(static_cast<size_t>(hi - lo) + 1, 0);
  book.entries.assign(size_t{1} << book.bits, std::numeric_limits<double>::quiet_NaN());
  for (size_t i = 0; i < seen.size(); ++i) {
    double v = seen[i] / unit;
    size_t raw = i;
    if (by_size) raw = static_cast<size_t>(std::lower_bound(sizes.begin(), sizes.end(), std::fabs(v)) - sizes.begin());
    if (by_size && v < 0) raw |= size_t{1} << sign_bit;
    raw_of[static_cast<size_t>(v - lo)] = static_cast<double>(raw);
    book.entries[raw] = v;
  }
  if (book.bits >= bits) return false;
  while (std::isnan(book.entries.back())) book.entries.pop_back();
  auto table = std::make_shared<const std::vector<double>>(std::move(raw_of));
  book.raw.clear();
  for (const CodeValues& c : all) book.raw.push_back(ir::make_table(table, DType::U8, ir::make_cast(dense_raw(c, unit, lo), DType::I32)));
  return true;
}

// Values of all codes, and of all of them together: ascending, each once.
std::string list_codes(Subject& s, const std::vector<ExprPtr>& codes, std::vector<CodeValues>& all, std::vector<double>& seen) {
  std::map<std::vector<uint64_t>, size_t> listed;  // kinds that differ in their levels only have the same codes
  for (size_t i = 0; i < codes.size(); ++i) {
    int k = s.map.kinds[i].k;
    CodeValues c{codes[i], {}, {}};
    const BitList support = s.bits.support(c.code);
    std::unordered_set<const ir::Expr*> visited;
    collect(c.code, s.bits, support, visited, c.nodes);
    auto [same, fresh] = listed.try_emplace(ShapeKey(c.code).key, i);
    if (!fresh) {
      c.v = all[same->second].v;
      all.push_back(std::move(c));
      continue;
    }
    std::vector<ExprPtr> outputs = {c.code};
    outputs.insert(outputs.end(), c.nodes.begin(), c.nodes.end());
    std::string why;
    if (!list_values(s.f, s.bits, c.code, outputs, c.v, why)) {
      bool many = support.size() > kMaxGroupBits && c.v.groups.size() < 2;
      return many ? too_many_bits(s, k, support) : element(k) + ": " + why;
    }
    seen.insert(seen.end(), c.v.of[0].begin(), c.v.of[0].end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    all.push_back(std::move(c));
  }
  return "";
}

}  // namespace

double common_unit(const std::vector<double>& values) {
  int lowest = 10000;
  auto exponent = [](double v) {  // of the lowest set bit
    int e;
    double m = std::frexp(v, &e);
    return e - 53 + std::countr_zero(static_cast<uint64_t>(std::llabs(static_cast<long long>(std::ldexp(m, 53)))));
  };
  for (double v : values) {
    if (!std::isfinite(v)) return 0;
    if (v != 0) lowest = std::min(lowest, exponent(v));
  }
  if (lowest == 10000) return 0;
  uint64_t g = 0;
  for (double v : values) {
    double scaled = std::fabs(std::ldexp(v, -lowest));
    if (scaled >= 0x1p53) return std::ldexp(1.0, lowest);
    g = std::gcd(g, static_cast<uint64_t>(scaled));
  }
  return std::ldexp(static_cast<double>(g), lowest);
}

std::string find_codes(Subject& s, const std::vector<ExprPtr>& codes, ir::IntForm& form, double& unit) {
  std::vector<CodeValues> all;
  std::vector<double> seen;
  if (std::string why = list_codes(s, codes, all, seen); !why.empty()) return why;
  unit = common_unit(seen);
  if (unit == 0 || seen.size() < 2) return "its codes are not several finite numbers";
  double lo = seen.front() / unit, hi = seen.back() / unit;
  if (hi - lo > 255) {
    auto number = [](double v) { return std::fabs(v) < 0x1p53 ? std::to_string(static_cast<long long>(v)) : "beyond 2^53"; };
    return "its codes are multiples of " + std::to_string(unit) + " from " + number(lo) + " to " + number(hi) +
           " of it, more than 8 bits hold";
  }
  form.bits = static_cast<int>(std::bit_width(static_cast<unsigned>(hi - lo)));
  auto raw_of_elements = [&](const std::vector<ExprPtr>& raw) {
    for (int k = 0; k < s.f.block; ++k)
      form.raw.push_back(s.rename(s.intern(raw[static_cast<size_t>(s.map.elements[static_cast<size_t>(k)].kind)]), k));
  };
  Codebook book;
  bool found = find_codebook(all, unit, book) && book.bits < form.bits;
  if (!found) found = make_codebook(all, seen, unit, form.bits, book);
  if (found) {
    use_codebook(book, form);
    raw_of_elements(book.raw);
    return "";
  }
  if (std::fabs(lo) > 32767) return "its codes lie at " + std::to_string(static_cast<long long>(lo)) + ", outside 16 bits";
  form.raw_max = static_cast<int>(hi - lo);
  form.bias = static_cast<int>(lo);
  std::vector<ExprPtr> raw;
  for (const CodeValues& c : all) raw.push_back(dense_raw(c, unit, lo));
  raw_of_elements(raw);
  return "";
}

}  // namespace lumen::formats
