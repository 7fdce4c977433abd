// Planning: every result bit of eight elements is either taken from eight consecutive bytes at one bit position, or it goes
// into a table indexed by its source byte. What depends on several bytes in no bit-by-bit manner is left to the expressions.
#include "compiler/formats/block_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

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

const BlockReader::ByteTable* BlockReader::shared(const ByteTable& t) {
  for (const auto& have : tables_)
    if (*have == t) return have.get();
  tables_.push_back(std::make_unique<ByteTable>(t));
  return tables_.back().get();
}

bool BlockReader::plan_codes() {
  BitAnalysis bits(f_);
  std::vector<Values> values(form_.raw.size());
  for (size_t k = 0; k < values.size(); ++k) {
    std::string why;
    if (!enumerate_values(f_, {form_.raw[k]}, bits.support(form_.raw[k]), values[k], why)) return false;
  }
  for (size_t k = 0; k < values.size(); k += 8)
    if (!plan_group(static_cast<int>(k), values)) return false;
  return true;
}

bool BlockReader::plan_group(int first, const std::vector<Values>& values) {
  uint64_t flip = 0;
  std::vector<Strided> strided_here;
  std::map<int, ByteTable> tables;  // by source byte
  auto table = [&](int byte) -> ByteTable& {
    auto [it, fresh] = tables.try_emplace(byte);
    if (fresh) it->second.fill(0);
    return it->second;
  };
  std::array<BitField, 8> fields;
  bool all_exact = true;
  for (int e = 0; e < 8; ++e) {
    const Values& v = values[static_cast<size_t>(first + e)];
    fields[e] = find_bit_field(v, 0, form_.bits);
    if (fields[e].exact) continue;
    all_exact = false;
    int byte = v.bits.empty() ? 0 : v.bits[0] / 8;
    for (int b : v.bits)
      if (b / 8 != byte) return false;
    ByteTable& t = table(byte);
    for (size_t x = 0; x < 256; ++x) {
      size_t setting = 0;
      for (size_t i = 0; i < v.bits.size(); ++i) setting |= (x >> v.bits[i] % 8 & 1) << i;
      t[x] |= static_cast<uint64_t>(v.of[0][setting]) << 8 * e;
    }
  }
  for (int bit = 0; bit < form_.bits; ++bit) {
    bool strided = all_exact && fields[0].bits[bit].source >= 0;
    for (int e = 0; e < 8 && strided; ++e) strided = fields[e].bits[bit].source == fields[0].bits[bit].source + 8 * e;
    for (int e = 0; e < 8; ++e) {
      if (!fields[e].exact) continue;
      const BitSource& s = fields[e].bits[bit];
      if (s.inverted) flip |= 1ull << (8 * e + bit);
      if (s.source < 0 || strided) continue;
      ByteTable& t = table(s.source / 8);
      for (size_t x = 0; x < 256; ++x) t[x] |= static_cast<uint64_t>(x >> s.source % 8 & 1) << (8 * e + bit);
    }
    if (!strided) continue;
    int byte = fields[0].bits[bit].source / 8, at = fields[0].bits[bit].source % 8;
    Strided* last = strided_here.empty() ? nullptr : &strided_here.back();
    int taken = last ? std::popcount(last->mask & 255) : 0;
    if (last && last->byte == byte && last->shift + taken == at && last->to + taken == bit)
      last->mask = (last->mask << 1) | kOnes;
    else
      strided_here.push_back({first, byte, at, bit, kOnes, 1});
  }
  for (const Strided& s : strided_here) add_strided(s);
  for (const auto& [byte, t] : tables) table_reads_.push_back({first, byte, shared(t)});
  flips_.push_back(flip);
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
  for (const TableRead& t : table_reads_) mix(raw + t.first, (*t.table)[block[t.byte]]);
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
  for (; core->kind == ir::Ek::Op && core->op == ir::Op::Neg; core = core->args[0].get()) negative = !negative;
  if (core->kind == ir::Ek::Cast) core = core->args[0].get();
  if (size_of(level.stored) == 2 && is_float(level.stored) && core->kind == ir::Ek::Field && core->type == level.stored &&
      core->args[0]->kind == ir::Ek::Int) {
    out.kind = Entry::Half;
    out.byte = f_.fields[static_cast<size_t>(core->ival)].offset + 2 * static_cast<int>(core->args[0]->ival);
    out.flip = negative ? 0x8000 : 0;
    return true;
  }
  BitAnalysis bits(f_);
  const BitList support = bits.support(e);
  Values v;
  std::string why;
  if (support.size() > kLookupBits || !enumerate_values(f_, {e}, support, v, why)) return false;
  out.kind = Entry::Lookup;
  for (size_t i = 0; i < support.size(); ++i) {  // neighbouring bits of a byte travel together
    Piece* last = out.index.empty() ? nullptr : &out.index.back();
    int bit = support[i];
    if (last && last->byte == bit / 8 && last->shift + std::popcount(last->mask) == bit % 8)
      last->mask = static_cast<uint8_t>(last->mask << 1 | 1);
    else
      out.index.push_back({bit / 8, static_cast<uint8_t>(bit % 8), 1, static_cast<int>(i)});
  }
  std::vector<uint32_t> table;
  for (double x : v.of[0]) table.push_back(stored_bits(x, level.stored));
  for (const auto& have : level_tables_)
    if (*have == table) out.table = have;
  if (!out.table) level_tables_.push_back(out.table = std::make_shared<const std::vector<uint32_t>>(std::move(table)));
  return true;
}

uint32_t BlockReader::lookup(const uint8_t* block, const Entry& e) {
  uint32_t i = 0;
  for (const Piece& p : e.index) i |= static_cast<uint32_t>(block[p.byte] >> p.shift & p.mask) << p.to;
  return (*e.table)[i];
}

uint32_t BlockReader::computed(const Entry& e, const Scratch& s) { return stored_bits(s.levels->number(e.output), e.stored); }

}  // namespace lumen::formats
