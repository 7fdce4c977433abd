// Bits that never change a value are left out first: the analysis of dependences may list some.
#include "compiler/formats/block_writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

std::vector<BitRun> runs_of(const BitList& bits) {
  std::vector<BitRun> runs;
  for (size_t i = 0; i < bits.size(); ++i) {
    if (i > 0 && bits[i] == bits[i - 1] + 1 && bits[i] % 8 != 0)
      runs.back().mask = runs.back().mask << 1 | 1;
    else
      runs.push_back({static_cast<uint32_t>(i), 1, bits[i] / 8, bits[i] % 8});
  }
  return runs;
}

void set_bits(const std::vector<BitRun>& runs, uint32_t setting, uint8_t* block) {
  for (const BitRun& r : runs) block[r.byte] = static_cast<uint8_t>(block[r.byte] | (setting >> r.shift & r.mask) << r.to);
}

// The upper 16 bits of v as f32, turned so that larger numbers have larger ones.
uint32_t order_of(double v) {
  uint32_t u = std::bit_cast<uint32_t>(static_cast<float>(v + 0.0));  // no negative zero
  return (u >> 31 ? ~u : u | 0x80000000u) >> 16;
}

constexpr size_t kLongTable = 64;

std::shared_ptr<const LevelTable> make_table(const std::vector<double>& by_setting) {
  std::vector<uint32_t> order(by_setting.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](uint32_t s) { return !std::isfinite(by_setting[s]); });
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return by_setting[a] < by_setting[b]; });
  auto t = std::make_shared<LevelTable>();
  for (uint32_t s : order) {
    if (!t->values.empty() && t->values.back() == by_setting[s]) continue;
    t->values.push_back(by_setting[s]);
    t->settings.push_back(s);
  }
  if (t->values.size() < kLongTable) return t;
  for (uint32_t i = 0; i < t->values.size(); ++i)
    while (t->starts.size() <= order_of(t->values[i])) t->starts.push_back(i);
  t->starts.resize((1u << 16) + 1, static_cast<uint32_t>(t->values.size()));
  return t;
}

}  // namespace

size_t LevelTable::below(double v) const {
  // A table's values are f32, so that rounding v to f32 takes it past none of them.
  auto from = values.begin(), to = values.end();
  if (!starts.empty()) {
    uint32_t o = order_of(v);
    to = from + starts[o + 1];
    from += starts[o];
  }
  auto it = std::upper_bound(from, to, v);
  return it == values.begin() ? 0 : static_cast<size_t>(it - values.begin()) - 1;
}

double LevelEntry::nearest(double v) const {
  if (!table) return static_cast<float>(std::clamp(v, -3e38, 3e38));
  size_t i = table->below(v);
  if (i + 1 < table->values.size() && table->values[i + 1] - v < v - table->values[i]) ++i;
  return table->values[i];
}

double LevelEntry::next(double v) const {
  if (!table) return nearest(v);
  size_t i = table->below(v);
  double n = nearest(v);
  if (n != table->values[i]) return table->values[i];
  return i + 1 < table->values.size() && v > table->values[i] ? table->values[i + 1] : n;
}

Result<std::unique_ptr<BlockWriter>> BlockWriter::make(const ir::FormatType& f) {
  std::unique_ptr<BlockWriter> w(new BlockWriter(f));
  std::vector<int> owner(8 * static_cast<size_t>(f.block_bytes), -1);  // component of a bit; levels follow with numbers of their own
  std::string why = w->plan_codes(owner);
  if (why.empty()) why = w->plan_levels(owner);
  if (!why.empty()) return Error{why};
  return w;
}

BitList BlockWriter::essential(const std::vector<ir::ExprPtr>& e, BitList bits, Values& v, std::string& why) {
  if (!enumerate_values(f_, e, bits, v, why)) return {};
  BitList keep;
  for (size_t i = 0; i < bits.size(); ++i) {
    bool matters = false;
    for (const std::vector<double>& of : v.of)
      for (size_t s = 0; s < of.size() && !matters; ++s)
        matters = !(s >> i & 1) && of[s] != of[s | 1ull << i] && !(std::isnan(of[s]) && std::isnan(of[s | 1ull << i]));
    if (matters) keep.push_back(bits[i]);
  }
  if (keep.size() != bits.size()) enumerate_values(f_, e, keep, v, why);
  return keep;
}

std::string BlockWriter::plan_codes(std::vector<int>& owner) {
  const ir::IntForm& form = *f_.form;
  BitAnalysis analysis(f_);
  for (int k = 0; k < form.block; ++k) {
    Component c{{k}, {}, {}, nullptr};
    Values v;
    std::string why;
    c.bits = essential({form.raw[static_cast<size_t>(k)]}, analysis.support(form.raw[static_cast<size_t>(k)]), v, why);
    if (!why.empty()) return "element " + std::to_string(k) + ": " + why;
    const BitList own = c.bits;
    for (int b : own) {  // join with those that share a bit
      int o = owner[static_cast<size_t>(b)];
      if (o < 0) continue;
      Component& other = components_[static_cast<size_t>(o)];
      c.elements.insert(c.elements.end(), other.elements.begin(), other.elements.end());
      c.bits = unite(c.bits, other.bits);
      for (int ob : other.bits) owner[static_cast<size_t>(ob)] = -1;
      other = {};
    }
    std::sort(c.elements.begin(), c.elements.end());
    for (int b : c.bits) owner[static_cast<size_t>(b)] = static_cast<int>(components_.size());
    components_.push_back(std::move(c));
  }
  std::erase_if(components_, [](const Component& c) { return c.elements.empty(); });
  for (Component& c : components_)
    if (std::string why = plan_component(c); !why.empty()) return why;
  return "";
}

std::string BlockWriter::plan_component(Component& c) {
  c.runs = runs_of(c.bits);
  const ir::IntForm& form = *f_.form;
  std::string who = "element " + std::to_string(c.elements[0]);
  double keys = std::pow(form.raw_max + 1, c.elements.size());
  if (keys > 1 << 20) {
    return who + " shares bits with element " + std::to_string(c.elements[1]) + " and " + std::to_string(c.elements.size() - 2) + " more";
  }
  std::vector<ir::ExprPtr> outputs;
  for (int k : c.elements) outputs.push_back(form.raw[static_cast<size_t>(k)]);
  Values v;
  std::string why;
  if (!enumerate_values(f_, outputs, c.bits, v, why)) return who + ": " + why;
  std::vector<int32_t> settings(static_cast<size_t>(keys), -1);
  for (size_t s = 0; s < v.of[0].size(); ++s) {
    size_t key = 0;
    for (const std::vector<double>& of : v.of) key = key * static_cast<size_t>(form.raw_max + 1) + static_cast<size_t>(of[s]);
    if (settings[key] < 0) settings[key] = static_cast<int32_t>(s);
  }
  // Codes are chosen one by one: whatever the elements take, some setting must give it, as base-3 digits in a byte do and rows of a grid do not.
  double combinations = 1;
  for (const std::vector<double>& of : v.of) {
    std::vector<bool> taken(static_cast<size_t>(form.raw_max + 1));
    for (double raw : of) taken[static_cast<size_t>(raw)] = true;
    combinations *= static_cast<double>(std::count(taken.begin(), taken.end(), true));
  }
  if (static_cast<double>(settings.size() - static_cast<size_t>(std::count(settings.begin(), settings.end(), -1))) < combinations)
    return who + " and " + std::to_string(c.elements.size() - 1) + " more take their codes together, and not in every combination";
  for (const Component& have : components_)
    if (have.settings && *have.settings == settings) c.settings = have.settings;
  if (!c.settings) c.settings = std::make_shared<const std::vector<int32_t>>(std::move(settings));
  return "";
}

std::string BlockWriter::plan_levels(std::vector<int>& owner) {
  const ir::IntForm& form = *f_.form;
  int number = static_cast<int>(owner.size());
  for (const auto* levels : {&form.scale, &form.offset})
    for (const ir::ScaleLevel& l : *levels) {
      levels_.emplace_back();
      for (const ir::ExprPtr& e : l.value) {
        LevelEntry entry;
        if (std::string why = plan_level(e, l.stored, entry); !why.empty()) return why;
        for (int b : entry.bits) {
          if (owner[static_cast<size_t>(b)] >= 0)
            return "two of its scales, offsets and codes share bits, so they cannot be chosen one by one";
          owner[static_cast<size_t>(b)] = number;
        }
        ++number;
        entry.runs = runs_of(entry.bits);
        levels_.back().push_back(std::move(entry));
      }
    }
  return "";
}

std::string BlockWriter::plan_level(const ir::ExprPtr& e, DType stored, LevelEntry& out) {
  BitAnalysis analysis(f_);
  BitList support = analysis.support(e);
  if (support.size() == 32 && stored == DType::F32) {
    const ir::Expr* core = e.get();
    for (; core->kind == ir::Ek::Op && core->op == ir::Op::Neg; core = core->args[0].get()) out.negative = !out.negative;
    if (core->kind == ir::Ek::Cast) core = core->args[0].get();
    if (core->kind == ir::Ek::Field && core->type == DType::F32) {
      out.bits = support;
      return "";
    }
  }
  Values v;
  std::string why;
  out.bits = essential({e}, support, v, why);
  if (!why.empty()) return "a scale or offset: " + why;
  std::shared_ptr<const LevelTable> table = make_table(v.of[0]);
  if (table->values.empty()) return "a scale or offset is never finite";
  for (const auto& level : levels_)
    for (const LevelEntry& have : level)
      if (have.table && have.table->values == table->values && have.table->settings == table->settings) out.table = have.table;
  if (!out.table) out.table = table;
  return "";
}

std::vector<int> BlockWriter::reachable() const {
  std::vector<int> r;
  for (int raw = 0; raw <= f_.form->raw_max; ++raw) {
    bool everywhere = std::all_of(components_.begin(), components_.end(), [&](const Component& c) {
      return c.elements.size() > 1 || (*c.settings)[static_cast<size_t>(raw)] >= 0;
    });
    if (everywhere) r.push_back(raw);
  }
  return r;
}

bool BlockWriter::write_codes(const uint8_t* raw, uint8_t* block) const {
  size_t base = static_cast<size_t>(f_.form->raw_max + 1);
  for (const Component& c : components_) {
    size_t key = 0;
    for (int k : c.elements) key = key * base + raw[k];
    int32_t s = (*c.settings)[key];
    if (s < 0) return false;
    set_bits(c.runs, static_cast<uint32_t>(s), block);
  }
  return true;
}

void BlockWriter::write_level(size_t level, size_t entry, double value, uint8_t* block) const {
  const LevelEntry& e = levels_[level][entry];
  if (!e.table) {
    uint32_t bits = static_cast<uint32_t>(ir::float_bits(static_cast<float>(e.negative ? -value : value), DType::F32));
    set_bits(e.runs, bits, block);
    return;
  }
  set_bits(e.runs, e.table->settings[e.table->below(value)], block);
}

}  // namespace lumen::formats
