// Planning: every result bit of eight elements is either taken from eight consecutive bytes at one bit position, or it goes
// into a table indexed by its source byte, or by bits of several bytes where those act together. What depends on more bits than a
// table takes is left to the expressions.
#include "compiler/formats/block_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101ull;
constexpr size_t kLookupBits = 12;

// Byte e of a word is element e: little-endian machines only, as everything that maps files here.
static_assert(std::endian::native == std::endian::little);
uint64_t load8(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}

}  // namespace

uint32_t stored_bits(double v, DType t) {
  if (is_float(t)) return static_cast<uint32_t>(ir::float_bits(static_cast<float>(v), t));
  return static_cast<uint32_t>(static_cast<int64_t>(v)) & (size_of(t) == 4 ? ~0u : (1u << 8 * size_of(t)) - 1);
}

BlockReader::BlockReader(const ir::FormatType& f) : f_(f), form_(*f.form) {
  fast_codes_ = plan_codes();
  plan_levels();
}

BlockReader::Scratch::Scratch(const BlockReader& r) {
  if (!r.fast_codes_) codes = std::make_unique<BlockProgram>(r.f_, r.form_.raw);
  if (r.computes_levels_) levels = std::make_unique<BlockProgram>(r.f_, r.computed_);
}

const uint64_t* BlockReader::shared(std::vector<uint64_t> table) {
  for (const auto& have : tables_)
    if (*have == table) return have->data();
  tables_.push_back(std::make_unique<const std::vector<uint64_t>>(std::move(table)));
  return tables_.back()->data();
}

std::vector<BlockReader::Piece> BlockReader::pieces(const BitList& bits) {
  std::vector<Piece> r;
  for (size_t i = 0; i < bits.size(); ++i) {  // neighbouring bits of a byte travel together
    Piece* last = r.empty() ? nullptr : &r.back();
    if (last && last->byte == bits[i] / 8 && last->shift + std::popcount(last->mask) == bits[i] % 8)
      last->mask = static_cast<uint8_t>(last->mask << 1 | 1);
    else
      r.push_back({bits[i] / 8, static_cast<uint8_t>(bits[i] % 8), 1, static_cast<int>(i)});
  }
  return r;
}

bool BlockReader::plan_codes() {
  std::vector<XorForm> forms;
  if (!find_xor_forms(f_, form_.raw, forms)) return false;
  for (size_t k = 0; k < forms.size(); k += 8)
    if (!plan_group(static_cast<int>(k), forms)) return false;
  return true;
}

bool BlockReader::plan_group(int first, const std::vector<XorForm>& forms) {
  uint64_t flip = 0;
  for (int e = 0; e < 8; ++e) flip |= static_cast<uint64_t>(forms[static_cast<size_t>(first + e)].base) << 8 * e;
  flips_.push_back(flip);
  uint8_t taken = plan_strided(first, forms);
  std::vector<Cluster> clusters;
  for (int e = 0; e < 8; ++e)
    for (const XorForm::Part& p : forms[static_cast<size_t>(first + e)].parts) {
      bool copy = p.bits.size() == 1 && std::has_single_bit(p.table[1]) && (p.table[1] & taken);
      if (!copy) clusters.push_back({p.bits, {{e, &p}}});
    }
  join(clusters);
  for (const Cluster& c : clusters)
    if (!plan_cluster(first, c)) return false;
  return true;
}

// Result bits that eight elements copy from eight consecutive bytes, each from the same place: read as one word. Returns which.
uint8_t BlockReader::plan_strided(int first, const std::vector<XorForm>& forms) {
  auto source = [&](int e, int bit) {  // of a result bit; -1: not the copy of one
    int from = -1;
    for (const XorForm::Part& p : forms[static_cast<size_t>(first + e)].parts) {
      unsigned touched = 0;
      for (uint8_t v : p.table) touched |= v;
      if (!(touched >> bit & 1)) continue;
      if (from >= 0 || p.bits.size() != 1 || touched != 1u << bit) return -1;
      from = p.bits[0];
    }
    return from;
  };
  std::vector<Strided> here;
  unsigned taken = 0;
  for (int bit = 0; bit < form_.bits; ++bit) {
    int from = source(0, bit);
    bool strided = from >= 0;
    for (int e = 1; e < 8 && strided; ++e) strided = source(e, bit) == from + 8 * e;
    if (!strided) continue;
    taken |= 1u << bit;
    Strided* last = here.empty() ? nullptr : &here.back();
    int width = last ? std::popcount(last->mask & 255) : 0;
    if (last && last->byte == from / 8 && last->shift + width == from % 8 && last->to + width == bit)
      last->mask = (last->mask << 1) | kOnes;
    else
      here.push_back({first, from / 8, from % 8, bit, kOnes, 1});
  }
  for (const Strided& s : here) add_strided(s);
  return static_cast<uint8_t>(taken);
}

// Fewer and larger ones: those of one byte, those that are part of others, those that overlap.
void BlockReader::join(std::vector<Cluster>& clusters) {
  auto one_byte = [](const BitList& b) { return b.front() / 8 == b.back() / 8; };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < clusters.size(); ++i)
      for (size_t j = i + 1; j < clusters.size();) {
        Cluster &a = clusters[i], &b = clusters[j];
        BitList both = unite(a.bits, b.bits);
        bool overlap = both.size() < a.bits.size() + b.bits.size();
        if (!one_byte(both) && !(overlap && both.size() <= kMaxGroupBits)) {
          ++j;
          continue;
        }
        a.bits = std::move(both);
        a.parts.insert(a.parts.end(), b.parts.begin(), b.parts.end());
        clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(j));
        changed = true;
      }
  }
}

bool BlockReader::plan_cluster(int first, const Cluster& c) {
  bool byte = c.bits.front() / 8 == c.bits.back() / 8;
  BitList index = c.bits;
  if (byte)
    for (index.clear(); index.size() < 8;) index.push_back(c.bits.front() / 8 * 8 + static_cast<int>(index.size()));
  std::vector<uint64_t> table(size_t{1} << index.size(), 0);
  for (const auto& [e, part] : c.parts) {
    std::vector<size_t> places;
    for (int b : part->bits) places.push_back(static_cast<size_t>(std::lower_bound(index.begin(), index.end(), b) - index.begin()));
    for (size_t x = 0; x < table.size(); ++x) {
      size_t setting = 0;
      for (size_t i = 0; i < places.size(); ++i) setting |= (x >> places[i] & 1) << i;
      table[x] ^= static_cast<uint64_t>(part->table[setting]) << 8 * e;
    }
  }
  const uint64_t* t = shared(std::move(table));
  if (byte)
    table_reads_.push_back({first, c.bits.front() / 8, t});
  else
    gather_reads_.push_back({first, pieces(index), t});
  return true;
}

// Appends to a step that goes on eight elements and eight bytes before.
void BlockReader::add_strided(const Strided& s) {
  for (Strided& have : strided_) {
    bool follows = have.first + 8 * have.count == s.first && have.byte + 8 * have.count == s.byte;
    if (!follows || have.shift != s.shift || have.to != s.to || have.mask != s.mask) continue;
    ++have.count;
    return;
  }
  strided_.push_back(s);
}

void BlockReader::read_codes(const uint8_t* block, uint8_t* raw, Scratch& s) const {
  if (!fast_codes_) {
    s.codes->run(block);
    for (size_t k = 0; k < form_.raw.size(); ++k) raw[k] = static_cast<uint8_t>(s.codes->integer(k));
    return;
  }
  std::memcpy(raw, flips_.data(), flips_.size() * 8);
  auto mix = [](uint8_t* to, uint64_t v) {
    uint64_t have;
    std::memcpy(&have, to, 8);
    have ^= v;
    std::memcpy(to, &have, 8);
  };
  for (const Strided t : strided_)  // by value: what is written through `raw` might be the plan, as far as the compiler knows
    for (int i = 0; i < 8 * t.count; i += 8) mix(raw + t.first + i, (load8(block + t.byte + i) >> t.shift & t.mask) << t.to);
  for (const TableRead& t : table_reads_) mix(raw + t.first, t.table[block[t.byte]]);
  for (const GatherRead& g : gather_reads_) mix(raw + g.first, g.table[gather(block, g.index)]);
}

void BlockReader::plan_levels() {
  for (const auto* levels : {&form_.scale, &form_.offset})
    for (const ir::ScaleLevel& l : *levels) {
      levels_.emplace_back();
      for (const ir::ExprPtr& e : l.value) {
        Entry entry;
        entry.stored = l.stored;
        if (!plan_entry(l, e, entry)) {
          entry.output = computed_.size();
          computed_.push_back(e);
          computes_levels_ = true;
        }
        levels_.back().push_back(std::move(entry));
      }
    }
}

bool BlockReader::plan_entry(const ir::ScaleLevel& level, const ir::ExprPtr& e, Entry& out) {
  const ir::Expr* core = e.get();
  bool negative = false;
  auto strip_sign = [&] {
    for (; core->kind == ir::Ek::Op && core->op == ir::Op::Neg; core = core->args[0].get()) negative = !negative;
  };
  strip_sign();
  float factor = 1;
  if (core->kind == ir::Ek::Op && core->op == ir::Op::Mul && core->args[1]->kind == ir::Ek::Float && level.stored == DType::F32) {
    factor = static_cast<float>(core->args[1]->fval);
    core = core->args[0].get();
    strip_sign();
  }
  if (level.stored == DType::F32 && plan_single(*core, negative, factor, out)) return true;
  if (core->kind == ir::Ek::Cast) core = core->args[0].get();
  bool half = is_float(core->type) && size_of(core->type) == 2 && (core->type == level.stored || level.stored == DType::F32);
  auto as_half = [&] {
    out.flip = negative ? 0x8000 : 0;
    if (core->type == level.stored) return;
    out.half = core->type;
    out.factor = factor;
  };
  if (half && core->kind == ir::Ek::Field && core->args[0]->kind == ir::Ek::Int) {
    out.kind = Entry::Half;
    out.byte = f_.fields[static_cast<size_t>(core->ival)].offset + 2 * static_cast<int>(core->args[0]->ival);
    as_half();
    return true;
  }
  BitAnalysis bits(f_);
  const BitList support = bits.support(e);
  Values v;
  std::string why;
  if (support.size() > kLookupBits) {
    if (!half || core->kind != ir::Ek::Bitcast) return false;
    as_half();
    return plan_scattered(core->args[0], out);
  }
  if (!enumerate_values(f_, {e}, support, v, why)) return false;
  out.kind = Entry::Bits;
  std::vector<uint32_t> table;
  for (double x : v.of[0]) table.push_back(stored_bits(x, level.stored));
  add_lookup(support, std::move(table), out);
  return true;
}

// A field of type f32, by itself or times something of few bits.
bool BlockReader::plan_single(const ir::Expr& e, bool negative, float factor, Entry& out) {
  auto is_field = [](const ir::Expr& x) {
    return x.kind == ir::Ek::Field && x.type == DType::F32 && x.args[0]->kind == ir::Ek::Int;
  };
  const ir::Expr* field = &e;
  if (e.kind == ir::Ek::Op && e.op == ir::Op::Mul && factor == 1) {
    size_t at = is_field(*e.args[0]) ? 0 : 1;
    field = e.args[at].get();
    const ir::ExprPtr& other = e.args[1 - at];
    BitAnalysis bits(f_);
    const BitList support = bits.support(other);
    Values v;
    std::string why;
    if (!is_field(*field) || support.size() > kLookupBits || !enumerate_values(f_, {other}, support, v, why)) return false;
    std::vector<uint32_t> table;
    for (double x : v.of[0]) table.push_back(stored_bits(x, DType::F32));
    add_lookup(support, std::move(table), out);
  }
  if (!is_field(*field)) return false;
  out.kind = Entry::Single;
  out.byte = f_.fields[static_cast<size_t>(field->ival)].offset + 4 * static_cast<int>(field->args[0]->ival);
  out.flip = negative ? 1u << 31 : 0;
  out.factor = factor;
  return true;
}

void BlockReader::add_lookup(const BitList& bits, std::vector<uint32_t> table, Entry& out) {
  Lookup l{pieces(bits), nullptr};
  for (const auto& have : level_tables_)
    if (*have == table) l.table = have;
  if (!l.table) level_tables_.push_back(l.table = std::make_shared<const std::vector<uint32_t>>(std::move(table)));
  out.lookups.push_back(std::move(l));
}

// The bits of a half that are gathered from several places: those that depend on the same source bits are looked up together.
bool BlockReader::plan_scattered(const ir::ExprPtr& word, Entry& out) {
  BitAnalysis bits(f_);
  const NodeBits& n = bits.of(word);
  std::vector<std::pair<BitList, uint32_t>> groups;  // source bits, mask of the word's bits
  for (int i = 0; i < 16; ++i) {
    groups.push_back({n.on(i), 1u << i});
    for (size_t g = groups.size() - 1; g-- > 0;) {
      BitList both = unite(groups[g].first, groups.back().first);
      bool near = !both.empty() && both.front() / 8 == both.back() / 8;
      if (both.size() == groups[g].first.size() + groups.back().first.size() && !near) continue;
      groups.back() = {std::move(both), groups.back().second | groups[g].second};
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(g));
    }
  }
  out.kind = Entry::Bits;
  for (const auto& [source, mask] : groups) {
    Values v;
    std::string why;
    if (source.size() > kLookupBits || !enumerate_values(f_, {word}, source, v, why)) return false;
    std::vector<uint32_t> table;
    for (double x : v.of[0]) table.push_back(static_cast<uint32_t>(static_cast<int64_t>(x)) & mask);
    add_lookup(source, std::move(table), out);
  }
  return true;
}

uint32_t BlockReader::gather(const uint8_t* block, const std::vector<Piece>& index) {
  uint32_t i = 0;
  for (const Piece& p : index) i |= static_cast<uint32_t>(block[p.byte] >> p.shift & p.mask) << p.to;
  return i;
}

uint32_t BlockReader::looked_up(const uint8_t* block, const Entry& e) {
  uint32_t r = e.flip;
  for (const Lookup& l : e.lookups) r ^= (*l.table)[gather(block, l.index)];
  return r;
}

uint32_t BlockReader::single(const uint8_t* block, const Entry& e) {
  uint32_t bits;
  std::memcpy(&bits, block + e.byte, 4);
  float v = std::bit_cast<float>(bits ^ e.flip) * e.factor;
  for (const Lookup& l : e.lookups) v *= std::bit_cast<float>((*l.table)[gather(block, l.index)]);
  return std::bit_cast<uint32_t>(v);
}

uint32_t BlockReader::scaled(const Entry& e, uint32_t half) {
  return static_cast<uint32_t>(ir::float_bits(ir::bits_float(half, e.half) * e.factor, DType::F32));
}

uint32_t BlockReader::computed(const Entry& e, const Scratch& s) { return stored_bits(s.levels->number(e.output), e.stored); }

}  // namespace lumen::formats
